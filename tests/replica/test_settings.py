"""A replica's settings: the one place of its votes, and what is said about two, none, or an unfit one."""

from __future__ import annotations

from pathlib import Path

import pytest

from hsm_app.errors import ConfigError
from hsm_app.replica.settings import ReplicaSettings
from hsm_app.settings import read_settings
from hsm_app.store.postgres_place import PostgresPlace

BASE = """
fleet = "fleet-1"
replica = 1
manifest = "m"
fleet_keys = "m"
{store}
[token]
module = "m"
label = "t"
[listen]
clients = "localhost:1"
peers = "localhost:2"
[peers]
2 = "localhost:3"
"""
POSTGRES = """
[postgres]
host = "/run/postgresql"
database = "vault"
user = "vault"
schema = "replica_1"
"""


def read(tmp_path: Path, store: str, more: str = "") -> ReplicaSettings:
    (tmp_path / "m").write_text("")
    path = tmp_path / "replica.toml"
    path.write_text(BASE.format(store=store) + more)
    return read_settings(path, ReplicaSettings)


def test_a_path_is_a_sqlite_file(tmp_path: Path) -> None:
    assert read(tmp_path, 'store = "votes.db"').votes_in() == tmp_path / "votes.db"


def test_a_table_is_a_postgresql_schema(tmp_path: Path) -> None:
    more = POSTGRES.replace("/run/postgresql", "db.example") + 'port = 6000\nroot_certificate = "m"\n'
    assert read(tmp_path, "", more + 'password_file = "p"\n').votes_in() == PostgresPlace(
        host="db.example",
        database="vault",
        user="vault",
        schema="replica_1",
        port=6000,
        password_file=tmp_path / "p",
        root_certificate=tmp_path / "m",
    )


@pytest.mark.parametrize("host", ["/run/postgresql", "localhost", "127.0.0.1", "::1"])
def test_a_server_on_this_machine_needs_no_certificate(tmp_path: Path, host: str) -> None:
    assert read(tmp_path, "", POSTGRES.replace("/run/postgresql", host)).postgres is not None


FAULTS = {
    "two places": ('store = "votes.db"', POSTGRES, "replica.toml: both store and [postgres] are set"),
    "no place": ("", "", "replica.toml: neither store nor [postgres] is set"),
    "a server elsewhere without TLS": (
        "",
        POSTGRES.replace("/run/postgresql", "db.example"),
        "replica.toml: postgres.host db.example is not on this machine, and postgres.root_certificate is missing",
    ),
    "an address elsewhere without TLS": ("", POSTGRES.replace("/run/postgresql", "192.0.2.7"), "not on this machine"),
    "a password in the file": ("", POSTGRES + 'password = "x"\n', "postgres.password is an unknown key"),
    "a schema that many share": ("", POSTGRES.replace("replica_1", "public"), "cannot be a replica's schema"),
    "a schema of the server's": ("", POSTGRES.replace("replica_1", "pg_temp"), "cannot be a replica's schema"),
    "a schema with a quote": ("", POSTGRES.replace("replica_1", "a';--"), "cannot be a replica's schema"),
    "no schema": ("", POSTGRES.replace('schema = "replica_1"', ""), "postgres.schema is missing"),
}


@pytest.mark.parametrize(("store", "more", "says"), FAULTS.values(), ids=FAULTS.keys())
def test_refuses(tmp_path: Path, store: str, more: str, says: str) -> None:
    with pytest.raises(ConfigError) as refused:
        read(tmp_path, store, more)
    assert says in str(refused.value)
    assert refused.value.todo
