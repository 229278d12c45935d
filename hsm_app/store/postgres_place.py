"""Which PostgreSQL server, database and schema hold a replica's rows: the settings' table `[postgres]`.

The password is never part of it. It comes from a file that only its owner can read, or from what libpq finds by itself
(a passfile, a service, peer authentication); it enters no command line, message or log.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from hsm_app.errors import ConfigError
from hsm_app.settings import ExistingFile, Parsed, Port

# Lower case only, so that it is the same quoted and unquoted; 63 bytes are PostgreSQL's own limit for a name.
_SCHEMA = re.compile(r"(?!pg_)[a-z_][a-z0-9_]{0,62}")
_SHARED = frozenset({"public", "information_schema"})


def schema_name(text: str) -> str:
    """Read the name of a schema that is a replica's alone. Raises ConfigError."""
    if not _SCHEMA.fullmatch(text) or text in _SHARED:
        raise ConfigError(
            f"{text!r} cannot be a replica's schema",
            "Write 1 to 63 of a-z, 0-9 and _, such as replica_1; each replica has a schema of its own",
        )
    return text


@dataclass(frozen=True, slots=True, kw_only=True)
class PostgresPlace:
    """`host` is a name, an address or the directory of a Unix socket (then it starts with /)."""

    host: str
    database: str
    user: str
    schema: Annotated[str, Parsed(schema_name)]
    port: Port = 5432
    password_file: Path | None = None
    root_certificate: ExistingFile | None = None  # of the server's certificate authority; the host name is checked too

    def __post_init__(self) -> None:
        """A server across a network is spoken to by TLS with a checked certificate, or not at all."""
        if self.root_certificate is None and not self._is_here():
            raise ConfigError(
                f"postgres.host {self.host} is not on this machine, and postgres.root_certificate is missing",
                "Name the certificate of the authority that signed the server's; its host name is checked against it",
            )

    def __str__(self) -> str:
        return f"schema {self.schema} of database {self.database} on {self.host}:{self.port}"

    def _is_here(self) -> bool:
        if self.host.startswith("/") or self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:  # a name
            return False
