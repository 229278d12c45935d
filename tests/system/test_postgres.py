"""One replica of a real fleet keeps its votes in PostgreSQL, beside four on SQLite.

Covered: `config check`, the main job with that replica's vote needed, a kill and a new start, and a server that dies:
the replica ends and says why, the others go on, and it comes back. Not covered: a fleet wholly on PostgreSQL.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live_fleet import LiveFleet, run, well
from tests.ports import free_ports
from tests.postgres_server import PostgresServer, running

NUMBER = 5


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    with running(free_ports(1)[0]) as server:
        yield server


@pytest.fixture(scope="module")
def mixed_fleet(tmp_path_factory: pytest.TempPathFactory, server: PostgresServer) -> Iterator[LiveFleet]:
    """Five replicas, the fifth on PostgreSQL."""
    fleet = LiveFleet.create(tmp_path_factory.mktemp("mixed") / "fleet")
    place = server.place("replica_5")
    config = fleet.settings(f"replica-{NUMBER}")
    lines = [line for line in config.read_text().splitlines() if not line.startswith("store = ")]
    table = f'[postgres]\nhost = "{place.host}"\nport = {place.port}\ndatabase = "vault"\nuser = "vault"\n'
    config.write_text("\n".join([*lines, f'{table}schema = "replica_5"\npassword_file = "{place.password_file}"\n']))
    try:
        fleet.start()
        yield fleet
    finally:
        fleet.stop()


def rows(server: PostgresServer) -> int:
    (found,) = server.execute("SELECT count(*) FROM replica_5.slots", database="vault")
    assert isinstance(found[0], int)
    return found[0]


def recover(fleet: LiveFleet, home: Path, code: str) -> str:
    config = fleet.client_config("paula", home)
    return well("client", "recover", "--config", str(config), "--print-key", code=code).strip()


def test_the_main_job_needs_and_gets_the_votes_in_postgresql(
    mixed_fleet: LiveFleet, server: PostgresServer, tmp_path: Path
) -> None:
    fleet, name = mixed_fleet, f"replica-{NUMBER}"
    says = well("config", "check", "--kind", "replica", str(fleet.settings(name)))
    assert "schema replica_5 of database vault" in says
    server.password_file.chmod(0o644)
    bad = run("config", "check", "--kind", "replica", str(fleet.settings(name)))
    assert (bad.returncode, "others can read it" in bad.stderr) == (3, True), bad.stdout
    server.password_file.chmod(0o600)
    config = fleet.client_config("paula", tmp_path / "old")
    well("client", "register", "--config", str(config), "--code-out", str(tmp_path / "code"))
    code = (tmp_path / "code").read_text().strip()
    fleet.kill(1)
    fleet.kill(2)  # three of five are left, and each one's vote is needed
    key = recover(fleet, tmp_path / "old", code)
    assert rows(server) == 1
    fleet.kill(NUMBER)
    fleet.start(name)  # the anchor in its token fits what the server kept
    assert recover(fleet, tmp_path / "new", code) == key

    fleet.start("replica-1", "replica-2")
    server.kill()
    assert recover(fleet, tmp_path / "others", code) == key
    status, said = fleet.ended(name)
    assert status == 8
    assert "the connection to the server was lost. Start the replica again" in said
    assert server.password not in said
    server.start()
    fleet.kill(3)
    fleet.kill(4)
    fleet.start(name)
    assert recover(fleet, tmp_path / "last", code) == key
