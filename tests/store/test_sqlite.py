"""The SQLite store's own side: how it syncs, and files that are not ours, damaged or edited.

What both stores do is in `test_store.py`; kills, full disks and read-only directories in `test_sqlite_faults.py`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from hsm_app.errors import StoreError
from hsm_app.store.sqlite import SqliteStore
from tests.store.places import OWNER, content, record, slot, write


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "votes.db"


@pytest.fixture
def store(path: Path) -> Iterator[SqliteStore]:
    with closing(SqliteStore(path, OWNER)) as opened:
        yield opened


def test_commits_are_synced_before_they_return(store: SqliteStore) -> None:
    # That SQLite keeps its word under these settings is its own test suite's business.
    assert store._pragma("synchronous") == 2  # FULL
    assert store._rows.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_a_value_that_was_replaced_is_not_left_in_the_file(path: Path) -> None:
    """A destroyed record's value is in the undo for one more batch, and in the log until the store is closed."""
    old = b"a sealed value of before " * 400  # of several pages, which become free
    with closing(SqliteStore(path, OWNER)) as store:
        write(store, {record(1): slot(1, old)})
        write(store, {record(1): slot(2, b"a tombstone")})
        write(store, {record(2): slot(1, b"another record's")})
    whole = b"".join(each.read_bytes() for each in path.parent.iterdir())
    assert b"a tombstone" in whole
    assert b"sealed value of before" not in whole


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
    "a directory": (directory, "it cannot be opened"),
}


@pytest.mark.parametrize(("make", "says"), FOREIGN.values(), ids=FOREIGN.keys())
def test_refuses_to_open(path: Path, make: Callable[[Path], None], says: str) -> None:
    make(path)
    before = path.read_bytes() if path.is_file() else b""
    with pytest.raises(StoreError, match=says) as refused:
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
