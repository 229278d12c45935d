"""The replica's configuration file (TOML), and what it points at."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from hsm_app.errors import ConfigError
from hsm_app.net.address import Address, parse_address
from hsm_app.root_files import TrustedRoot, read_trusted_root
from hsm_app.settings import Between, ExistingFile, Parsed, Seconds
from hsm_app.store.postgres_place import PostgresPlace

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
    """`peers` gives the address of every other replica of the group by its number in the manifest.

    `root_of_trust` says whom this replica believes about its next epochs; its token remembers the document's hash. A
    later one goes, signed, into `root_successors`, in order. The votes are kept in exactly one place: `store`, the path
    of a SQLite file, or `postgres`.
    """

    fleet: str
    replica: ReplicaNumber
    manifest: ExistingFile
    fleet_keys: ExistingFile
    token: TokenSettings
    listen: ListenSettings
    peers: dict[int, TcpOrUnix]
    root_of_trust: ExistingFile | None = None
    root_successors: tuple[ExistingFile, ...] = ()
    store: Path | None = None
    postgres: PostgresPlace | None = None
    in_flight: Annotated[int, Between(1, 65_536)] = 512
    ticket_seconds: Seconds = 300

    def __post_init__(self) -> None:
        self.votes_in()
        if self.root_successors and self.root_of_trust is None:
            raise ConfigError("root_successors without root_of_trust", "Name the document that they follow")

    def trusted_root(self) -> TrustedRoot | None:
        """Return whom this replica believes; None: nobody, and then only members change. ConfigError, LogError."""
        return None if self.root_of_trust is None else read_trusted_root(self.root_of_trust, self.root_successors)

    def votes_in(self) -> Path | PostgresPlace:
        """Return the one place of the votes. ConfigError when there are two, or none."""
        match self.store, self.postgres:
            case Path() as path, None:
                return path
            case None, PostgresPlace() as place:
                return place
        found = "neither store nor [postgres] is" if self.store is None else "both store and [postgres] are"
        raise ConfigError(f"{found} set", 'Keep one of them: store = "a path" for SQLite, or a table [postgres]')
