"""The relay's configuration file (TOML)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from hsm_app.errors import ConfigError
from hsm_app.net.address import Address, parse_address
from hsm_app.relay.limits import SourceLimits
from hsm_app.relay.server import RelayOptions
from hsm_app.settings import Between, Parsed, Seconds, read_settings

TcpOrUnix = Annotated[Address, Parsed(parse_address)]
Groups = tuple[tuple[TcpOrUnix, ...], ...]
Milliseconds = Annotated[int, Between(1, 600_000)]


@dataclass(frozen=True, slots=True, kw_only=True)
class RelaySettings:
    """`groups[g]` lists the addresses of group g's replicas in the manifest's order, which decides who is preferred.

    They are the replicas of any fleet that `[fleets]` does not give groups of its own, by its name in the manifest.
    `slow_after_ms` is how long a silent replica holds a request before the next one is asked as well.
    """

    listen: TcpOrUnix
    groups: Groups
    fleets: dict[str, Groups] = field(default_factory=dict)
    requests_per_second: Annotated[int, Between(1, 1_000_000)] = 50
    burst: Annotated[int, Between(1, 1_000_000)] = 200
    connections_per_source: Annotated[int, Between(1, 100_000)] = 64
    idle_seconds: Seconds = 120
    slow_after_ms: Milliseconds = 1500
    give_up_after_ms: Milliseconds = 15_000
    in_flight: Annotated[int, Between(1, 1_000_000)] = 4096


def read_relay_options(path: Path) -> RelayOptions:
    """Read a relay's file. ConfigError names what is wrong with it."""
    settings = read_settings(path, RelaySettings)
    for groups in (settings.groups, *settings.fleets.values()):
        if not groups or not all(groups):
            raise ConfigError(f"{path}: groups is empty", "List the replicas of each group, in the manifest's order")
    return RelayOptions(
        listen=settings.listen,
        groups=settings.groups,
        fleets=settings.fleets,
        limits=SourceLimits(
            requests_per_second=settings.requests_per_second,
            burst=settings.burst,
            connections=settings.connections_per_source,
        ),
        idle_seconds=settings.idle_seconds,
        slow_after=settings.slow_after_ms / 1000,
        give_up_after=settings.give_up_after_ms / 1000,
        in_flight=settings.in_flight,
    )


def check_relay(path: Path) -> tuple[str, ...]:
    """Check a relay's file; return what it says, a line each. ConfigError for the first fault."""
    options = read_relay_options(path)
    named = [line for fleet, groups in options.fleets.items() for line in _lines(f" of {fleet}", groups)]
    return (f"listen    {options.listen}", *_lines("", options.groups), *named)


def _lines(whose: str, groups: Sequence[Sequence[Address]]) -> list[str]:
    return [f"group {number}{whose}   {', '.join(map(str, group))}" for number, group in enumerate(groups)]
