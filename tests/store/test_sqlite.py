"""The SQLite store as its caller sees it: what it keeps, whom it refuses, and what it says then.

Kills, full disks and read-only directories are in `test_sqlite_faults.py`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from hsm_app.consensus.acceptor import Slot
from hsm_app.consensus.ballot import ZERO, Ballot
from hsm_app.errors import StoreError
from hsm_app.merkle.rows import EMPTY_BUCKET, bucket_hashes, bucket_of
from hsm_app.model import FleetId, RecordId, ReplicaId
from hsm_app.ports import Batch, Store
from hsm_app.replica.checked_rows import digests_of
from hsm_app.store.sqlite import SqliteStore, StoreOwner

OWNER = StoreOwner(fleet=FleetId("fleet-1"), replica=ReplicaId(3))


def record(number: int) -> RecordId:
    return RecordId(number.to_bytes(32, "big"))


def slot(counter: int, value: bytes = b"v") -> Slot:
    return Slot(promised=Ballot(counter + 1, 3, 1, 1), accepted=Ballot(counter, 3, 1, 1), value=value)


def batch(store: Store, rows: dict[RecordId, Slot]) -> Batch:
    """The batch that follows what `store` holds, its digests and hashes true."""
    digests = {each: digests_of(each, slot) for each, slot in rows.items() if len(each) == 32}
    hashes = {}
    for number in {bucket_of(each) for each in digests}:
        inside = {each: found for each, found in digests.items() if bucket_of(each) == number}
        hashes[number] = bucket_hashes({**store.bucket(number), **inside})
    broken = dict.fromkeys(rows.keys() - digests.keys(), EMPTY_BUCKET)
    return Batch(counter=store.counter() + 1, rows=rows, digests={**digests, **broken}, buckets=hashes)  # type: ignore[dict-item]


def write(store: Store, rows: dict[RecordId, Slot]) -> None:
    store.commit(batch(store, rows))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "votes.db"


@pytest.fixture
def store(path: Path) -> Iterator[SqliteStore]:
    with closing(SqliteStore(path, OWNER)) as opened:
        yield opened


def test_a_new_store_is_empty(store: SqliteStore) -> None:
    assert store.count() == 0
    assert store.load([record(1)]) == {}


def test_rows_come_back_as_they_were_committed(store: SqliteStore) -> None:
    rows = {record(1): slot(1), record(2): Slot(promised=Ballot(9, 1, 1, 1), accepted=ZERO, value=b"")}
    write(store, rows)
    assert store.load([record(1), record(2), record(3)]) == rows
    assert store.count() == 2


def test_a_later_commit_replaces_a_row(store: SqliteStore) -> None:
    write(store, {record(1): slot(1, b"old"), record(2): slot(1)})
    write(store, {record(1): slot(5, b"x" * 16_384)})
    assert store.load([record(1)]) == {record(1): slot(5, b"x" * 16_384)}
    assert store.count() == 2


def test_rows_outlive_the_process_that_wrote_them(path: Path) -> None:
    with closing(SqliteStore(path, OWNER)) as store:
        write(store, {record(1): slot(1)})
    with closing(SqliteStore(path, OWNER)) as store:
        assert store.load([record(1)]) == {record(1): slot(1)}


def test_digests_buckets_and_counter_come_back_as_they_were_committed(path: Path) -> None:
    rows = {record(1): slot(1), RecordId(b"\xff" * 32): slot(2), RecordId(b"\xff\xff" + bytes(30)): slot(3)}
    with closing(SqliteStore(path, OWNER)) as store:
        assert (store.counter(), store.buckets(), store.bucket(0)) == (0, [], {})
        committed = batch(store, rows)
        store.commit(committed)
    with closing(SqliteStore(path, OWNER)) as store:
        assert store.counter() == 1
        assert dict(store.buckets()) == committed.buckets
        assert store.bucket(0) == {record(1): committed.digests[record(1)]}
        assert store.bucket(65_535) == {each: found for each, found in committed.digests.items() if each != record(1)}
        assert store.bucket(65_534) == {}


def content(store: Store) -> tuple[object, ...]:
    every = [each for number, _ in store.buckets() for each in store.bucket(number)]
    return store.counter(), sorted(store.buckets()), store.bucket(0), store.load(every), store.count()


def test_the_last_batch_is_taken_back_whole_durably_and_once(path: Path) -> None:
    with closing(SqliteStore(path, OWNER)) as store:
        write(store, {record(1): slot(1, b"kept"), record(2): slot(1, b"kept too")})
        write(store, {record(3): slot(1)})
        before = content(store)
        elsewhere = RecordId(b"\x01" * 32)
        promised = Slot(promised=Ballot(90, 1, 1, 1), accepted=slot(1).accepted, value=b"kept too")
        write(store, {record(1): slot(7, b"new"), record(2): promised, record(4): slot(1), elsewhere: slot(1)})
        assert store.load([record(2)]) == {record(2): promised}
        store.undo()
        assert content(store) == before
    with closing(SqliteStore(path, OWNER)) as store:
        assert content(store) == before
        with pytest.raises(StoreError, match="nothing was kept"):
            store.undo()
        write(store, {record(1): slot(8)})
        assert store.counter() == 3


def test_a_new_store_has_nothing_to_take_back(store: SqliteStore) -> None:
    with pytest.raises(StoreError, match="nothing was kept"):
        store.undo()


def test_an_empty_batch_moves_the_counter_and_forgets_the_undo_before(store: SqliteStore) -> None:
    write(store, {record(1): slot(1)})
    write(store, {})
    assert store.counter() == 2
    store.undo()
    assert store.counter() == 1
    assert store.load([record(1)]) == {record(1): slot(1)}


@pytest.mark.parametrize("counter", [0, 1, 3])
def test_a_batch_out_of_turn_is_refused(store: SqliteStore, counter: int) -> None:
    write(store, {record(1): slot(1)})
    late = replace(batch(store, {record(1): slot(9)}), counter=counter)
    with pytest.raises(StoreError, match=f"ends with batch 1, and {counter} was to follow"):
        store.commit(late)
    assert store.load([record(1)]) == {record(1): slot(1)}


def test_a_batch_is_written_whole_or_not_at_all(store: SqliteStore) -> None:
    broken = {record(1): slot(1), RecordId(b"short"): slot(1)}
    with pytest.raises(StoreError):
        write(store, broken)
    assert store.count() == 0
    write(store, {record(2): slot(1)})
    assert store.count() == 1


def test_commits_are_synced_before_they_return(store: SqliteStore) -> None:
    # That SQLite keeps its word under these settings is its own test suite's business.
    assert store._pragma("synchronous") == 2  # FULL
    assert store._rows.execute("PRAGMA journal_mode").fetchone() == ("wal",)


# -- files that are not ours


def foreign_text(path: Path) -> None:
    path.write_bytes(b"Dear diary, " * 1000)


def foreign_database(path: Path) -> None:
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE diary (day TEXT)")


def empty_foreign_database(path: Path) -> None:
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA application_id = 77")


def later_version(path: Path) -> None:
    with closing(SqliteStore(path, OWNER)):
        pass
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA user_version = 99")


def other_replica(path: Path) -> None:
    with closing(SqliteStore(path, StoreOwner(fleet=OWNER.fleet, replica=ReplicaId(4)))):
        pass


def other_fleet(path: Path) -> None:
    with closing(SqliteStore(path, StoreOwner(fleet=FleetId("fleet-2"), replica=OWNER.replica))):
        pass


def nobody(path: Path) -> None:
    other_replica(path)
    with closing(sqlite3.connect(path)) as database:
        database.execute("DELETE FROM replica")
        database.commit()


def truncated(path: Path) -> None:
    with closing(SqliteStore(path, OWNER)) as store:
        write(store, {record(n): slot(n, bytes(3000)) for n in range(50)})
    path.write_bytes(path.read_bytes()[:20_000])


def directory(path: Path) -> None:
    path.mkdir()


FOREIGN: dict[str, tuple[Callable[[Path], None], str]] = {
    "a text file": (foreign_text, "it is no database"),
    "another program's database": (foreign_database, "not made by this version"),
    "another program's empty database": (empty_foreign_database, "not made by this version"),
    "a later version's store": (later_version, "not made by this version"),
    "another replica's store": (other_replica, "belongs to replica 4 of fleet fleet-1, not to replica 3 of fleet-1"),
    "another fleet's store": (other_fleet, "belongs to replica 3 of fleet fleet-2, not to replica 3 of fleet-1"),
    "a store whose owner was wiped": (nobody, "belongs to replica ?"),
    "a directory": (directory, "it cannot be opened"),
}


@pytest.mark.parametrize(("make", "says"), FOREIGN.values(), ids=FOREIGN.keys())
def test_refuses_to_open(path: Path, make: Callable[[Path], None], says: str) -> None:
    make(path)
    before = path.read_bytes() if path.is_file() else b""
    with pytest.raises(StoreError, match=says.replace("?", r"\?")) as refused:
        SqliteStore(path, OWNER)
    assert str(path) in refused.value.what
    assert refused.value.todo
    assert (path.read_bytes() if path.is_file() else b"") == before  # not a byte of it was changed


def test_refuses_a_path_whose_directory_is_missing(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be opened"):
        SqliteStore(tmp_path / "missing" / "votes.db", OWNER)


def test_a_truncated_file_is_refused_on_opening_or_on_first_touch(path: Path) -> None:
    truncated(path)
    with pytest.raises(StoreError, match="damaged"), closing(SqliteStore(path, OWNER)) as store:
        store.load(record(n) for n in range(50))


@pytest.mark.parametrize("column", ["promised", "accepted"])
def test_a_ballot_that_nobody_issues_is_damage(path: Path, column: str) -> None:
    with closing(SqliteStore(path, OWNER)) as store:
        write(store, {record(1): slot(1)})
    with closing(sqlite3.connect(path)) as database:
        database.execute(f"UPDATE slots SET {column} = ?", (b"\xff" * 20,))
        database.commit()
    with closing(SqliteStore(path, OWNER)) as store, pytest.raises(StoreError, match="damaged"):
        store.load([record(1)])


RETYPED = {
    "a value that is a text": ("contents", "value BLOB", "value TEXT", "UPDATE contents SET value = 'text'"),
    "a digest that is a number": ("slots", "state BLOB", "state INT", "UPDATE slots SET state = 7"),
    "a bucket hash that is nothing": (
        "buckets",
        "state BLOB NOT NULL",
        "state BLOB",
        "UPDATE buckets SET state = NULL",
    ),
    "a counter that is a text": ("replica", "counter INTEGER", "counter TEXT", "UPDATE replica SET counter = 'x'"),
}


@pytest.mark.parametrize(("table", "was", "now", "edit"), RETYPED.values(), ids=RETYPED.keys())
def test_an_edited_type_is_damage(path: Path, table: str, was: str, now: str, edit: str) -> None:
    with closing(SqliteStore(path, OWNER)) as store:
        write(store, {record(1): slot(1)})
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA writable_schema = ON")
        without_check = "replace(replace(sql, ?, ?), 'CHECK (length(state) = 32)', '')"
        change = f"UPDATE sqlite_schema SET sql = {without_check} WHERE name = ?"
        database.execute(change, (was, now, table))
        database.commit()
    with closing(sqlite3.connect(path)) as database:
        database.execute(edit)
        database.commit()
    with closing(SqliteStore(path, OWNER)) as store, pytest.raises(StoreError, match="damaged"):
        content(store)


def test_a_second_owner_of_the_file_is_refused_and_the_first_goes_on(path: Path, store: SqliteStore) -> None:
    with pytest.raises(StoreError, match="another process has it open"):
        SqliteStore(path, OWNER)
    write(store, {record(1): slot(1)})
    assert store.count() == 1


def test_an_unknown_failure_is_a_store_error_too(store: SqliteStore) -> None:
    store._rows.execute("DROP TABLE slots")
    with pytest.raises(StoreError, match="the database failed"):
        store.count()
