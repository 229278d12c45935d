"""One connection to PostgreSQL that is a replica's alone, and a server that keeps what it has said to keep.

- **Alone.** An advisory lock on the schema's oid is taken by this very connection and held until it ends; a second
  process is refused, after a wait in which a server notices that the process before it has ended. The server gives the
  lock up only when the session is over, and a session's transaction is then
  committed or undone: so nothing of ours can still become durable beside a successor. A lost connection is never taken
  up again: it ends the process (a pooler that moves sessions between connections breaks this; connect without one).
- **Durable.** synchronous_commit is switched on here; a server with fsync or full_page_writes off is refused, when the
  store is opened and again within each commit, since both can be changed while the server runs.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

import psycopg
from psycopg import sql

from hsm_app.errors import ConfigError
from hsm_app.store.postgres_errors import refused, translated, unconnected
from hsm_app.store.postgres_place import PostgresPlace

APPLICATION_ID = 0x48534D56  # "HSMV", as in a SQLite store's header: the upper half of the lock's number
LONGEST_PASSWORD = 1000  # bytes

# Compared by `check_durable`, wherever a statement returns these columns.
DURABLE = "current_setting('fsync'), current_setting('full_page_writes'), current_setting('synchronous_commit')"
_SETTINGS = ("fsync", "full_page_writes", "synchronous_commit")

_SESSION = """
SET synchronous_commit = on; SET default_transaction_isolation = 'read committed'; SET idle_session_timeout = 0;
SET idle_in_transaction_session_timeout = 0; SET statement_timeout = 0; SET lock_timeout = '10s'; SET jit = off;
SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 3
"""
_LOCK = "SELECT pg_advisory_lock((%s::bigint << 32) | oid::bigint) FROM pg_namespace WHERE nspname = %s"
_LOCK_WAIT = "3s"  # a busy server needs a moment to end the session of a process that was killed


def connect(place: PostgresPlace) -> psycopg.Connection:
    """Open the session, take the schema for it alone, creating it when it is missing. ConfigError, StoreError."""
    password = read_password(place.password_file) if place.password_file is not None else None
    root = place.root_certificate
    tls = {} if root is None else {"sslmode": "verify-full", "sslrootcert": str(root)}
    try:
        session = psycopg.connect(
            host=place.host, port=place.port, dbname=place.database, user=place.user, password=password,
            application_name="hsm-vault", autocommit=True, prepare_threshold=0, connect_timeout=10,
            keepalives_idle=10, keepalives_interval=5, keepalives_count=3, tcp_user_timeout=30_000, **tls,  # type: ignore[arg-type]
        )  # fmt: skip
    except psycopg.Error as error:
        raise unconnected(place, error) from error
    try:
        _prepare(session, place)
    except psycopg.Error as error:
        is_connected = not session.broken
        session.close()
        raise translated(place, error, is_connected=is_connected) from error
    except BaseException:
        session.close()
        raise
    return session


def check_durable(place: PostgresPlace, found: tuple[object, ...]) -> None:
    """Refuse a server that may forget what it has committed. `found` is what `DURABLE` returned."""
    for name, value in zip(_SETTINGS, found, strict=True):
        if value != "on":
            raise refused(
                place, f"the server runs with {name} = {value}, and may lose commits", f"Set {name} = on on the server"
            )


def _prepare(session: psycopg.Connection, place: PostgresPlace) -> None:
    session.execute(_SESSION, prepare=False)  # several statements
    read_only, *durable = session.execute(f"SELECT current_setting('transaction_read_only'), {DURABLE}").fetchall()[0]
    if read_only != "off":
        raise refused(place, "it is read-only", "Name the primary server, not a standby")
    check_durable(place, tuple(durable))
    _lock(session, place)
    session.execute(sql.SQL("SET search_path = {}").format(sql.Identifier(place.schema)))


def _lock(session: psycopg.Connection, place: PostgresPlace) -> None:
    """Take the schema for this session alone, and create it when it is missing."""
    words = (APPLICATION_ID, place.schema)
    try:
        with session.transaction():  # SET LOCAL ends with it, the session's lock does not
            session.execute(f"SET LOCAL lock_timeout = '{_LOCK_WAIT}'")
            if not session.execute(_LOCK, words).fetchall():
                session.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(place.schema)))
                session.execute(_LOCK, words)
    except psycopg.errors.LockNotAvailable:
        raise refused(
            place, "another process has it open", "Stop the other replica process; one store has one owner"
        ) from None


def read_password(path: Path) -> str:
    """Read the first line of a file that only its owner can read. Raises ConfigError."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise ConfigError(
            f"cannot read postgres.password_file {path}: {error.strerror}", "Check the path of the password file"
        ) from error
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid() or stat.S_IMODE(status.st_mode) & 0o177:
            raise ConfigError(f"{path} is not this user's own file, or others can read it", f"chmod 600 {path}")
        line = os.read(descriptor, LONGEST_PASSWORD + 1).partition(b"\n")[0]
    finally:
        os.close(descriptor)
    if not 1 <= len(line) <= LONGEST_PASSWORD or b"\0" in line:
        raise ConfigError(f"{path} holds no password", "Write the password into its first line, and nothing else")
    try:
        return line.decode()
    except UnicodeDecodeError:
        raise ConfigError(f"{path} is not UTF-8 text", "Write the password into its first line") from None
