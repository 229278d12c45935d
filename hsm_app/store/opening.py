"""Open the store that a configuration names."""

from __future__ import annotations

from pathlib import Path

from hsm_app.errors import ConfigError
from hsm_app.ports import Store
from hsm_app.store.owner import StoreOwner
from hsm_app.store.postgres_place import PostgresPlace
from hsm_app.store.sqlite import SqliteStore


def open_store(place: Path | PostgresPlace, owner: StoreOwner) -> Store:
    """Open or create the store of `owner`: in a file (SQLite) or a schema (PostgreSQL). ConfigError, StoreError."""
    if isinstance(place, Path):
        return SqliteStore(place, owner)
    _check_installed()
    from hsm_app.store.postgres import PostgresStore

    return PostgresStore(place, owner)


def check_postgres(place: PostgresPlace) -> None:
    """Check what a schema needs on this machine; no server is asked. ConfigError."""
    _check_installed()
    from hsm_app.store.postgres_session import read_password

    if place.password_file is not None:
        read_password(place.password_file)


def _check_installed() -> None:
    """Refuse a configuration with PostgreSQL where its client library, which is optional, is not installed."""
    try:
        import psycopg  # noqa: F401  # for a site without PostgreSQL it is one library less to trust
    except ImportError as error:
        raise ConfigError(
            f"[postgres] is configured, and psycopg cannot be loaded ({error})",
            "Install the program with its extra, postgres: in a clone, pip install '.[postgres]'",
        ) from error
