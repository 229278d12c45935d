"""The SQLite store under kills, a disk without room, a directory without rights, and a second process.

Every store here is opened by a process of its own, which tells on its standard output what it has done.
"""

from __future__ import annotations

import ctypes
import random
import resource
import signal
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from hsm_app.errors import StoreError
from hsm_app.model import RecordId
from hsm_app.store.sqlite import SqliteStore
from tests.store.places import OWNER, slot, write

ROOT = Path(__file__).parents[2]
PR_CAPBSET_DROP, CAP_DAC_OVERRIDE = 24, 1

WRITER = """
import sys
from pathlib import Path
from hsm_app.errors import StoreError
from hsm_app.model import RecordId
from hsm_app.store.sqlite import SqliteStore
from tests.store.places import OWNER, record, slot, write

path, mode = Path(sys.argv[1]), sys.argv[2]
try:
    store = SqliteStore(path, OWNER)
    print("open", store.counter(), flush=True)
    if mode == "hold":
        sys.stdin.read()
    batch = 0
    while True:
        batch += 1
        # Every batch writes eight records anew, and all with its own number: half a batch would show.
        write(store, {record(n): slot(batch, batch.to_bytes(4, "big") * 500) for n in range(8)})
        if mode == "fill":
            write(store, {RecordId(batch.to_bytes(32, "big")): slot(1, bytes(16_000))})
        print(f"committed {batch}", flush=True)  # one string, one write: a kill cannot tear the number off
except StoreError as error:
    print("refused", error, flush=True)
"""


def writer(path: Path, mode: str, *, file_limit: int = 0, without_root: bool = False) -> subprocess.Popen[str]:
    def prepare() -> None:
        if file_limit:
            resource.setrlimit(resource.RLIMIT_FSIZE, (file_limit, file_limit))
        if without_root:  # takes away what lets root write everywhere; for anybody else it changes nothing
            ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, CAP_DAC_OVERRIDE, 0, 0, 0)

    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path), mode],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=prepare,
    )


def last_committed(said: list[str]) -> int:
    return max((int(line.split()[1]) for line in said if line.startswith("committed")), default=0)


def check_whole(path: Path, acknowledged: int) -> None:
    """The store opens, holds every acknowledged batch, and the batch it holds is whole."""
    with closing(SqliteStore(path, OWNER)) as store:
        rows = store.load(RecordId(n.to_bytes(32, "big")) for n in range(8))
        batches = {row.accepted.counter for row in rows.values()}
        if acknowledged or rows:
            assert len(rows) == 8
            assert len(batches) == 1
            (batch,) = batches
            assert batch in (acknowledged, acknowledged + 1)  # one more may be durable and unsaid
            assert {row.value for row in rows.values()} == {slot(batch, batch.to_bytes(4, "big") * 500).value}


@pytest.mark.parametrize("seed", range(6))
def test_a_kill_between_or_within_commits_loses_no_acknowledged_batch(tmp_path: Path, seed: int) -> None:
    path = tmp_path / "votes.db"
    with writer(path, "write") as process:
        assert process.stdout is not None
        said = [process.stdout.readline()]
        time.sleep(random.Random(seed).uniform(0, 0.2))
        process.send_signal(signal.SIGKILL)
        said += process.stdout.readlines()
    check_whole(path, last_committed(said))


def test_a_disk_without_room_stops_the_store_before_it_loses_a_vote(tmp_path: Path) -> None:
    path = tmp_path / "votes.db"
    with writer(path, "fill", file_limit=2_000_000) as process:
        said = process.communicate()[0].splitlines()
    assert said[-1].startswith(f"refused the store {path} cannot be used: the disk ")
    acknowledged = last_committed(said)
    assert acknowledged > 5
    with closing(SqliteStore(path, OWNER)) as store:
        for n in range(8, acknowledged + 1):
            assert store.load([RecordId(n.to_bytes(32, "big"))])


def test_a_full_database_says_so_and_keeps_what_it_has(tmp_path: Path) -> None:
    with closing(SqliteStore(tmp_path / "votes.db", OWNER)) as store:
        write(store, {RecordId(bytes(32)): slot(1)})
        store._rows.execute("PRAGMA max_page_count = 20")
        with pytest.raises(StoreError, match="the disk is full"):
            write(store, {RecordId(n.to_bytes(32, "big")): slot(2, bytes(16_000)) for n in range(50)})
        assert store.count() == 1
        assert store.load([RecordId(bytes(32))]) == {RecordId(bytes(32)): slot(1)}


def test_a_directory_without_write_rights_is_refused(tmp_path: Path) -> None:
    directory = tmp_path / "closed"
    directory.mkdir()
    directory.chmod(0o555)
    with writer(directory / "votes.db", "write", without_root=True) as process:
        said = process.communicate()[0]
    assert "cannot be opened. Check that its directory exists and is writable" in said


def test_a_store_without_write_rights_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "votes.db"
    with closing(SqliteStore(path, OWNER)):
        pass
    path.chmod(0o444)
    with writer(path, "write", without_root=True) as process:
        said = process.communicate()[0]
    assert "it is read-only. Give the replica's user the right to write" in said


def test_a_second_process_on_the_same_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "votes.db"
    with writer(path, "hold") as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "open 0\n"
        with writer(path, "write") as second:
            said = second.communicate()[0]
        assert "another process has it open. Stop the other replica process" in said
        first.kill()
