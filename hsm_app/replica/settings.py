"""The replica's configuration file (TOML), and what it points at."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from hsm_app.net.address import Address, parse_address
from hsm_app.settings import Between, ExistingFile, Parsed, Seconds

ReplicaNumber = Annotated[int, Between(1, 255)]
TcpOrUnix = Annotated[Address, Parsed(parse_address)]


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenSettings:
    """Which token, and where its PIN comes from: at most one of the three; none of them asks on the terminal."""

    module: ExistingFile
    label: str
    softhsm2_conf: ExistingFile | None = None
    pin_file: Path | None = None
    pin_credential: str | None = None
    pin_env: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenSettings:
    clients: TcpOrUnix  # relays connect here
    peers: TcpOrUnix  # the other replicas connect here
    operator: TcpOrUnix | None = None  # a Unix socket for the operator's command line (`replica.operator_door`)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaSettings:
    """`peers` gives the address of every other replica of the group by its number in the manifest."""

    fleet: str
    replica: ReplicaNumber
    manifest: ExistingFile
    fleet_keys: ExistingFile
    store: Path
    token: TokenSettings
    listen: ListenSettings
    peers: dict[int, TcpOrUnix]
    in_flight: Annotated[int, Between(1, 65_536)] = 512
    ticket_seconds: Seconds = 300
