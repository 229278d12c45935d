"""The options of the commands that make a fleet: what is typed, and what it means."""

from __future__ import annotations

from pathlib import Path

import pytest

from hsm_app.cli.fleet_options import FleetOptions
from hsm_app.errors import ConfigError


def ports(text: str) -> tuple[int, ...]:
    options = FleetOptions(
        module=Path("module.so"), ports=text, days=1, waits="0", argon2="1,64,1", delay=1, hourly="1,1", trusted=None,
        after=None,
    )  # fmt: skip
    return options.plan(Path("fleet"), "fleet-1", 3, sealed=True).ports


@pytest.mark.parametrize(("typed", "first"), [("", 7700), ("7720", 7720)])
def test_ports_are_counted_up_from_the_first(typed: str, first: int) -> None:
    assert ports(typed) == tuple(range(first, first + 7))


def test_ports_may_be_named_each() -> None:
    assert ports("9,8,7,6,5,4,3") == (9, 8, 7, 6, 5, 4, 3)


@pytest.mark.parametrize("typed", ["1,2", "65533"])
def test_ports_that_are_too_few_are_refused(typed: str) -> None:
    with pytest.raises(ConfigError, match="ports"):
        ports(typed)
