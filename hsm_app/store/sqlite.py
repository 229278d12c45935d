"""The embedded store: a replica's rows in one SQLite file, durable before `commit` returns.

The file is trusted with nothing: values are sealed, and every row, digest and counter read from it is checked against
the token's anchor by the caller (`replica.checked_rows`, `replica.anchors`). This module sees to the rest:

- write-ahead log with synchronous=FULL: a commit has been synced when it returns, so a kill or power loss at any point
  leaves either the whole batch or none of it;
- locking_mode=EXCLUSIVE from the first statement on: a second process on the same file is refused, not interleaved;
- the file carries an application id, a format version and the name of its replica: no foreign file is ever written to;
- every failure (full disk, read-only, damage) is a StoreError that says which, and the caller ends the process.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from hsm_app.consensus.acceptor import Slot
from hsm_app.consensus.ballot import Ballot
from hsm_app.errors import ProtocolError, StoreError
from hsm_app.merkle.rows import BucketHashes, RowDigests
from hsm_app.model import RecordId
from hsm_app.ports import Batch
from hsm_app.store.owner import StoreOwner
from hsm_app.store.sqlite_rows import SCHEMA, take_back, write_batch

APPLICATION_ID = 0x48534D56  # "HSMV"
FORMAT = 2
PAGES_PER_CHECKPOINT = 4000  # 16 MiB of log: hot rows are then written to the main file once for many commits

_LOAD = "SELECT promised, accepted, value FROM slots JOIN contents USING (record) WHERE record = ?"
_BUCKET = "SELECT record, state, promise FROM slots WHERE record BETWEEN ? AND ?"

_CHECK_PATH = "Check the path in the configuration"
_REPLACE = "Do not repair it: replace this replica's store"

# What SQLite reports (primary result code) -> what happened, and what to do.
_CAUSES = {
    sqlite3.SQLITE_FULL: ("the disk is full", "Make room, then start the replica again; no vote was lost"),
    sqlite3.SQLITE_READONLY: ("it is read-only", "Give the replica's user the right to write the file and directory"),
    sqlite3.SQLITE_PERM: ("access is denied", "Give the replica's user the right to write the file and directory"),
    sqlite3.SQLITE_CANTOPEN: ("it cannot be opened", "Check that its directory exists and is writable"),
    sqlite3.SQLITE_BUSY: ("another process has it open", "Stop the other replica process; one store has one owner"),
    sqlite3.SQLITE_IOERR: ("the disk failed", "Check the disk, its quota and its size limit; no vote was lost"),
    sqlite3.SQLITE_CORRUPT: ("it is damaged", _REPLACE),
    sqlite3.SQLITE_NOTADB: ("it is no database", _CHECK_PATH),
}
_OTHER_CAUSE = ("the database failed", "Check the disk; if it goes on, replace this replica's store")


class SqliteStore:
    """Implements ports.Store. Opened, used and closed on one thread."""

    def __init__(self, path: Path, owner: StoreOwner) -> None:
        """Open or create the store of `owner` at `path`. StoreError when it is in use, foreign or unusable."""
        self._path = path
        if os.access(path, os.F_OK) and not os.access(path, os.W_OK):
            raise self._refused(*_CAUSES[sqlite3.SQLITE_READONLY])  # SQLite would open it and fail at the first lock
        with self._translated():
            self._rows = sqlite3.connect(path, isolation_level=None, timeout=0)
        try:
            with self._translated():
                self._open(owner)
        except StoreError:
            self._rows.close()
            raise

    def _open(self, owner: StoreOwner) -> None:
        self._rows.execute("PRAGMA locking_mode = EXCLUSIVE")
        found = self._pragma("application_id"), self._pragma("user_version")
        is_new = found == (0, 0) and self._count("sqlite_schema") == 0
        if not is_new and found != (APPLICATION_ID, FORMAT):
            raise self._refused("it was not made by this version of the program", _CHECK_PATH)
        self._rows.execute("PRAGMA journal_mode = WAL")
        self._rows.execute("PRAGMA synchronous = FULL")
        self._rows.execute("PRAGMA secure_delete = ON")  # what was replaced is wiped: a destroyed record, above all
        self._rows.execute(f"PRAGMA wal_autocheckpoint = {PAGES_PER_CHECKPOINT}")
        with self._transaction():  # takes the exclusive lock, also when nothing is written
            if is_new:
                self._create(owner)
            self._check_owner(owner)

    def _create(self, owner: StoreOwner) -> None:
        for statement in SCHEMA.split(";"):
            self._rows.execute(statement)
        self._rows.execute("INSERT INTO replica VALUES (?, ?, 0)", (owner.fleet, owner.replica))
        self._rows.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        self._rows.execute(f"PRAGMA user_version = {FORMAT}")

    def _check_owner(self, owner: StoreOwner) -> None:
        found = self._rows.execute("SELECT fleet, replica FROM replica").fetchall()
        if found != [(owner.fleet, owner.replica)]:
            fleet, replica = found[0] if found else ("?", "?")
            raise self._refused(
                f"it belongs to replica {replica} of fleet {fleet}, not to replica {owner.replica} of {owner.fleet}",
                _CHECK_PATH,
            )

    def counter(self) -> int:
        """Return the counter of the last commit, 0 when there was none."""
        with self._translated():
            return self._counter()

    def buckets(self) -> list[tuple[int, BucketHashes]]:
        """Return the hashes of all buckets that ever had a row."""
        with self._translated():
            found = self._rows.execute("SELECT number, state, promise FROM buckets").fetchall()
        self._check_types(found, int, bytes, bytes)
        return [(number, BucketHashes(state, promise)) for number, state, promise in found]

    def bucket(self, number: int) -> dict[RecordId, RowDigests]:
        """Return the digests of all rows of one bucket."""
        first, last = number.to_bytes(2, "big") + bytes(30), number.to_bytes(2, "big") + b"\xff" * 30
        with self._translated():
            found = self._rows.execute(_BUCKET, (first, last)).fetchall()
        self._check_types(found, bytes, bytes, bytes)
        return {record: RowDigests(state, promise) for record, state, promise in found}

    def load(self, records: Iterable[RecordId]) -> dict[RecordId, Slot]:
        """Return the slots that exist among `records`."""
        slots: dict[RecordId, Slot] = {}
        with self._translated():
            for record in records:
                found = self._rows.execute(_LOAD, (record,)).fetchall()
                self._check_types(found, bytes, bytes, bytes)
                for row in found:
                    slots[record] = self._slot(*row)
        return slots

    def commit(self, batch: Batch) -> None:
        """Write a batch, and what `undo` needs to take it back, in one transaction; durable when this returns."""
        with self._translated(), self._transaction():
            if self._counter() + 1 != batch.counter:
                raise self._refused(
                    f"it ends with batch {self._counter()}, and {batch.counter} was to follow", _REPLACE
                )
            write_batch(self._rows, batch)

    def undo(self) -> None:
        """Take the last batch back, durably. StoreError when it has been taken back, or there was none."""
        with self._translated(), self._transaction():
            if self._count("undo_counter") != 1:
                raise self._refused("nothing was kept of what its last batch replaced", _REPLACE)
            take_back(self._rows)

    def count(self) -> int:
        """Return the number of rows."""
        with self._translated():
            return self._count("slots")

    def close(self) -> None:
        """Close the file and give up its lock."""
        with self._translated():
            self._rows.close()

    def _slot(self, promised: bytes, accepted: bytes, value: bytes) -> Slot:
        try:
            return Slot(promised=Ballot.unpack(promised), accepted=Ballot.unpack(accepted), value=value)
        except ProtocolError as error:
            raise self._refused(*_CAUSES[sqlite3.SQLITE_CORRUPT]) from error

    def _counter(self) -> int:
        found = self._rows.execute("SELECT counter FROM replica").fetchall()
        self._check_types(found, int)
        counter: int = found[0][0]
        return counter

    def _check_types(self, found: list[tuple[object, ...]], *types: type) -> None:
        """SQLite does not look at a table's types when it reads: whoever edits the file may have put others there."""
        if any(tuple(map(type, row)) != types for row in found):
            raise self._refused(*_CAUSES[sqlite3.SQLITE_CORRUPT])

    def _pragma(self, name: str) -> int:
        value: int = self._rows.execute(f"PRAGMA {name}").fetchone()[0]
        return value

    def _count(self, table: str) -> int:
        value: int = self._rows.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
        return value

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._rows.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._rows.execute("COMMIT")
        except BaseException:
            # SQLite has rolled back by itself after a full disk or an I/O error; then there is nothing left to undo.
            if self._rows.in_transaction:
                self._rows.execute("ROLLBACK")
            raise

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            cause = _CAUSES.get(getattr(error, "sqlite_errorcode", 0) & 0xFF, _OTHER_CAUSE)
            raise self._refused(*cause) from error

    def _refused(self, why: str, todo: str) -> StoreError:
        return StoreError(f"the store {self._path} cannot be used: {why}", todo)
