"""The order of the tests: what takes longest begins first, so that no core ends up with it when the others are done.

`make test` gives whole files to the cores (pytest-xdist's `loadfile`), since a file's tests share its fixtures. A
fixture of the whole session is made once on each core that wants it.
"""

from __future__ import annotations

import pytest

SLOWEST = ("simulation", "system", "ceremony", "evidence", "page", "store", "replica", "cli")  # rooms, in this order


def put_slowest_first(items: list[pytest.Item]) -> None:
    """Sort by room; within a room, and for all other rooms, the order stays."""
    items.sort(key=lambda item: SLOWEST.index(room) if (room := item.path.parent.name) in SLOWEST else len(SLOWEST))
