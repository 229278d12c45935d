"""The store for a site that outgrows SQLite: a replica's rows in a schema of its own on a PostgreSQL server.

It is trusted with nothing, as the SQLite file is, and promises the same (ports.Store): a commit that has returned was
synced by the server, a kill of either side at any point leaves a whole batch or none of it, one process has the schema
at a time (`store.postgres_session`), and every failure is a StoreError that ends the process. When the connection
breaks during COMMIT, nobody here knows whether the batch is durable; no answer leaves then, and the next start finds
out with the anchor, which takes the batch back if it is there.

The schema's comment carries the format, so that a foreign schema is told apart before any table of it is touched.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg

from hsm_app.consensus.acceptor import Slot
from hsm_app.consensus.ballot import Ballot
from hsm_app.errors import ProtocolError, StoreError
from hsm_app.merkle.rows import BucketHashes, RowDigests
from hsm_app.model import RecordId
from hsm_app.ports import Batch
from hsm_app.store.owner import StoreOwner
from hsm_app.store.postgres_errors import DAMAGED, REPLACE, refused, translated
from hsm_app.store.postgres_place import PostgresPlace
from hsm_app.store.postgres_rows import SCHEMA, take_back, write_batch
from hsm_app.store.postgres_session import DURABLE, check_durable, connect

FORMAT = "hsm-vault store, format 2"
_CHECK_SCHEMA = "Check postgres.schema in the configuration"

_FOUND = (
    "SELECT coalesce(obj_description(oid, 'pg_namespace'), ''), "
    "(SELECT count(*) FROM pg_class WHERE relnamespace = n.oid) FROM pg_namespace n WHERE nspname = %s"
)
_LOAD = (
    "SELECT s.record, s.promised, s.accepted, c.value FROM slots s JOIN contents c USING (record) "
    "WHERE s.record = ANY(%b)"
)
_BUCKET = "SELECT record, state, promise FROM slots WHERE record BETWEEN %b AND %b"
_COUNT_UP = f"UPDATE replica SET counter = counter + 1, undo = counter WHERE counter = %s - 1 RETURNING {DURABLE}"


class PostgresStore:
    """Implements ports.Store. Opened, used and closed on one thread."""

    def __init__(self, place: PostgresPlace, owner: StoreOwner) -> None:
        """Open or create the store of `owner` in the schema at `place`. ConfigError, or StoreError when unusable."""
        self._place = place
        self._session = connect(place)
        try:
            with self._translated():
                self._open(owner)
        except StoreError:
            self._session.close()
            raise

    def _open(self, owner: StoreOwner) -> None:
        found = self._rows(_FOUND, (self._place.schema,))
        if found not in ([("", 0)], [(FORMAT, found[0][1])]):
            raise self._refused("its schema was not made by this version of the program", _CHECK_SCHEMA)
        if found == [("", 0)]:
            with self._session.transaction():
                self._session.execute(SCHEMA, prepare=False)  # several statements
                self._session.execute("INSERT INTO replica VALUES (%s, %s, 0)", (owner.fleet, owner.replica))
                self._session.execute(f"COMMENT ON SCHEMA {self._place.schema} IS '{FORMAT}'")
        self._check_owner(owner)

    def _check_owner(self, owner: StoreOwner) -> None:
        found = self._rows("SELECT fleet, replica FROM replica")
        if found != [(owner.fleet, owner.replica)]:
            fleet, replica = found[0] if found else ("?", "?")
            raise self._refused(
                f"it belongs to replica {replica} of fleet {fleet}, not to replica {owner.replica} of {owner.fleet}",
                _CHECK_SCHEMA,
            )

    def counter(self) -> int:
        """Return the counter of the last commit, 0 when there was none."""
        with self._translated():
            return self._counter()

    def buckets(self) -> list[tuple[int, BucketHashes]]:
        """Return the hashes of all buckets that ever had a row."""
        with self._translated():
            found = self._rows("SELECT number, state, promise FROM buckets")
        self._check_types(found, int, bytes, bytes)
        return [(number, BucketHashes(state, promise)) for number, state, promise in found]

    def bucket(self, number: int) -> dict[RecordId, RowDigests]:
        """Return the digests of all rows of one bucket."""
        first, last = number.to_bytes(2, "big") + bytes(30), number.to_bytes(2, "big") + b"\xff" * 30
        with self._translated():
            found = self._rows(_BUCKET, (first, last))
        self._check_types(found, bytes, bytes, bytes)
        return {record: RowDigests(state, promise) for record, state, promise in found}

    def load(self, records: Iterable[RecordId]) -> dict[RecordId, Slot]:
        """Return the slots that exist among `records`."""
        wanted: list[RecordId] = list(records)
        with self._translated():
            found = self._rows(_LOAD, (wanted,)) if wanted else []
        self._check_types(found, bytes, bytes, bytes, bytes)
        return {record: self._slot(promised, accepted, value) for record, promised, accepted, value in found}

    def commit(self, batch: Batch) -> None:
        """Write a batch, and what `undo` needs to take it back, in one transaction; durable when this returns."""
        with self._translated(), self._session.pipeline(), self._session.transaction():
            counted = self._session.execute(_COUNT_UP, (batch.counter,))
            write_batch(self._run, batch)
            found = counted.fetchall()  # all statements have been sent; COMMIT has not
            if not found:
                raise self._refused(f"it ends with batch {self._counter()}, and {batch.counter} was to follow", REPLACE)
            check_durable(self._place, found[0])

    def undo(self) -> None:
        """Take the last batch back, durably. StoreError when it has been taken back, or there was none."""
        with self._translated(), self._session.transaction():
            counter = self._counter()
            kept = self._rows("UPDATE replica SET counter = undo, undo = NULL WHERE undo IS NOT NULL RETURNING 1")
            if len(kept) != 1:
                raise self._refused("nothing was kept of what its last batch replaced", REPLACE)
            take_back(self._run, counter)

    def count(self) -> int:
        """Return the number of rows."""
        with self._translated():
            number: int = self._rows("SELECT count(*) FROM slots")[0][0]
        return number

    def close(self) -> None:
        """End the session, and with it the lock on the schema."""
        self._session.close()

    def _run(self, statement: str, arguments: dict[str, Any]) -> None:
        self._session.execute(statement, arguments)

    def _rows(self, statement: str, arguments: tuple[object, ...] = ()) -> list[tuple[Any, ...]]:
        return self._session.execute(statement, arguments, binary=True).fetchall()

    def _slot(self, promised: bytes, accepted: bytes, value: bytes) -> Slot:
        try:
            return Slot(promised=Ballot.unpack(promised), accepted=Ballot.unpack(accepted), value=value)
        except ProtocolError as error:
            raise self._refused(*DAMAGED) from error

    def _counter(self) -> int:
        found = self._rows("SELECT counter FROM replica")
        self._check_types(found, int)
        counter: int = found[0][0]
        return counter

    def _check_types(self, found: list[tuple[Any, ...]], *types: type) -> None:
        """Whoever owns the database may have given a column another type, or removed the rule that it is never NULL."""
        if any(tuple(map(type, row)) != types for row in found):
            raise self._refused(*DAMAGED)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except psycopg.Error as error:
            raise translated(self._place, error, is_connected=not self._session.closed) from error

    def _refused(self, why: str, todo: str) -> StoreError:
        return refused(self._place, why, todo)
