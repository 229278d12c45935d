"""Which tests stay together when the suite runs on several cores (`pytest -n 2 --dist loadgroup`).

A file's tests stay on one core, since they share the file's fixtures. Files that share something slow to make, such as
a fleet of five tokens, stay together too: it is made once. What takes longest begins first, so that no core ends up
with it when the others are done.
"""

from __future__ import annotations

import pytest

SLOWEST = ("simulation", "system", "ceremony", "evidence", "page", "store", "replica", "cli")  # rooms, in this order

# A fixture of the whole session by the name of the group of all tests that want it; the first that fits counts.
SHARED = {
    "deployment": "deployment",
    "unlucky": "deployment",
    "shared_fleet": "fleet",
    "postgres_server": "postgres",
    "chromium": "browser",
}


def keep_together(items: list[pytest.Item]) -> None:
    """Mark each test with the group that it belongs to, and put the slowest rooms first."""
    for item in items:
        wanted = getattr(item, "fixturenames", ())
        shared = next((group for fixture, group in SHARED.items() if fixture in wanted), None)
        item.add_marker(pytest.mark.xdist_group(shared or str(item.path.relative_to(item.config.rootpath))))
    items.sort(key=lambda item: SLOWEST.index(room) if (room := item.path.parent.name) in SLOWEST else len(SLOWEST))
