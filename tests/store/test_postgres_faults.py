"""The PostgreSQL store under killed servers, cut connections, killed replicas, a second process and no room.

Each writer is a process of its own, which tells on its standard output what it has done. The servers here are hurt, so
they are not the session's. "No room" is a limit on the length of the server's files (RLIMIT_FSIZE), which needs no
right to mount: the write fails in the same place, with EFBIG for ENOSPC.
"""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from hsm_app.errors import StoreError
from hsm_app.ports import Store
from hsm_app.store.postgres import PostgresStore
from tests.ports import free_ports
from tests.postgres_server import PostgresServer, running
from tests.store.places import OWNER, ServerPlace, fresh_place, record, slot, write

ROOT = Path(__file__).parents[2]

WRITER = """
import sys
from pathlib import Path
from hsm_app.errors import StoreError
from hsm_app.store.opening import open_store
from hsm_app.store.postgres_place import PostgresPlace
from tests.store.places import OWNER, record, slot, write

host, port, schema, password_file = sys.argv[1:]
place = PostgresPlace(host=host, port=int(port), database="vault", user="vault", schema=schema,
                      password_file=Path(password_file))
try:
    store = open_store(place, OWNER)
    print("open", store.counter(), flush=True)
    batch = store.counter()
    while True:
        batch += 1
        # Every batch writes eight records anew, and all with its own number: half a batch would show.
        write(store, {record(n): slot(batch, batch.to_bytes(4, "big") * 500) for n in range(8)})
        print(f"committed {batch}", flush=True)  # one string, one write: a kill cannot tear the number off
except StoreError as error:
    print("refused", error, flush=True)
"""


def writer(place: ServerPlace) -> subprocess.Popen[str]:
    target = place.target
    words = [target.host, str(target.port), target.schema, str(target.password_file)]
    return subprocess.Popen([sys.executable, "-c", WRITER, *words], cwd=ROOT, stdout=subprocess.PIPE, text=True)


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    with running(free_ports(1)[0]) as server:
        yield server


def opened(place: ServerPlace) -> PostgresStore:
    """Open the store once the server has noticed that the process before is gone."""
    while True:
        try:
            return PostgresStore(place.target, OWNER)
        except StoreError as error:
            if "another process has it open" not in error.what and "no connection" not in error.what:
                raise
            time.sleep(0.05)


def check_whole(place: ServerPlace, said: list[str]) -> None:
    """The store opens, holds every acknowledged batch, and the batch it holds is whole; so it is one batch back."""
    acknowledged = max((int(line.split()[1]) for line in said if line.startswith("committed")), default=0)
    with closing(opened(place)) as store:
        for undone in (False, True):
            rows, batch = store.load(map(record, range(8))), store.counter()
            assert batch in ((acknowledged, acknowledged + 1) if not undone else (acknowledged - 1, acknowledged))
            assert {row.value for row in rows.values()} == ({batch.to_bytes(4, "big") * 500} if batch else set())
            assert len(rows) == (8 if batch else 0)
            if batch and not undone:
                store.undo()
            else:
                break


def run_until(process: subprocess.Popen[str], seconds: float) -> list[str]:
    """Wait until the writer has committed something, and a little longer."""
    assert process.stdout is not None
    said = [process.stdout.readline(), process.stdout.readline()]
    assert said[1].startswith("committed"), said
    time.sleep(seconds)
    return said


def rest_of(process: subprocess.Popen[str]) -> list[str]:
    """Return the lines that are left. (`communicate` would not see what `readline` has buffered already.)"""
    assert process.stdout is not None
    return process.stdout.read().splitlines()


@pytest.mark.parametrize("seed", range(4))
def test_a_server_killed_between_or_within_commits_loses_no_acknowledged_batch(
    server: PostgresServer, seed: int
) -> None:
    place = fresh_place(server)
    with writer(place) as process:
        said = run_until(process, random.Random(seed).uniform(0, 0.2))
        server.kill()
        said += rest_of(process)
    server.start()
    assert "the connection to the server was lost. Start the replica again" in said[-1]
    check_whole(place, said)


@pytest.mark.parametrize("seed", range(4))
def test_a_replica_killed_between_or_within_commits_loses_no_acknowledged_batch(
    server: PostgresServer, seed: int
) -> None:
    place = fresh_place(server)
    with writer(place) as process:
        said = run_until(process, random.Random(seed).uniform(0, 0.2))
        process.send_signal(signal.SIGKILL)
        said += rest_of(process)
    check_whole(place, said)


def test_a_cut_connection_ends_the_writer_and_is_not_taken_up_again(server: PostgresServer) -> None:
    place = fresh_place(server)
    with writer(place) as process:
        said = run_until(process, 0.05)
        server.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'hsm-vault'")
        said += rest_of(process)
    assert "the connection to the server was lost" in said[-1]
    check_whole(place, said)


def test_a_store_whose_connection_was_cut_refuses_everything(server: PostgresServer) -> None:
    place = fresh_place(server)
    with closing(PostgresStore(place.target, OWNER)) as store:
        write(store, {record(1): slot(1)})
        server.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'hsm-vault'")
        for _ in range(2):
            with pytest.raises(StoreError, match="the connection to the server was lost"):
                store.counter()


def test_a_second_process_on_one_schema_is_refused(server: PostgresServer) -> None:
    place = fresh_place(server)
    with closing(place.open()), writer(place) as second:
        said = second.communicate()[0]
    assert "another process has it open. Stop the other replica process" in said


def fill(store: Store, committed: list[int]) -> None:
    while True:
        write(store, {record(len(committed) + 1): slot(1, bytes(16_000))})
        committed.append(len(committed) + 1)


def test_a_server_without_room_stops_the_store_before_it_loses_a_vote() -> None:
    with running(free_ports(1)[0], file_limit=2 << 20) as server:
        place = fresh_place(server)
        committed: list[int] = []
        with closing(place.open()) as store, pytest.raises(StoreError, match=r"longer. Make room on the server"):
            fill(store, committed)
        batch = len(committed)
        assert batch > 5
        with closing(opened(place)) as store:
            assert (store.counter(), store.count()) == (batch, batch)
            rows = store.load(record(n) for n in range(1, batch + 1))
            assert set(rows.values()) == {slot(1, bytes(16_000))}
