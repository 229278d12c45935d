"""The tables of the PostgreSQL store, how a batch is written to them, and how it is taken back.

As in `store.sqlite_rows`: values lie apart, so that a promise does not write one again, and the `undo_*` tables hold
what the last batch replaced, NULL where there was nothing. Two things are made for PostgreSQL:

- an undo row carries its batch's counter and is found by it: deleted rows stay in a table until it is vacuumed, and a
  plain scan would walk over those of thousands of batches;
- a batch is one statement a table with arrays as arguments, all of them sent before the first answer is read, so that
  32 rows wait as long for the server as one row does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hsm_app.merkle.rows import BucketHashes
from hsm_app.model import RecordId
from hsm_app.ports import Batch

Run = Callable[[str, dict[str, Any]], None]

# Hot rows are rewritten in place while their page has room (fillfactor); sealed values cannot be compressed (EXTERNAL).
SCHEMA = """
CREATE TABLE replica (fleet text NOT NULL, replica integer NOT NULL, counter bigint NOT NULL, undo bigint);
CREATE TABLE slots (
  record bytea PRIMARY KEY CHECK (length(record) = 32),
  promised bytea NOT NULL CHECK (length(promised) = 20),
  accepted bytea NOT NULL CHECK (length(accepted) = 20),
  state bytea NOT NULL CHECK (length(state) = 32),
  promise bytea NOT NULL CHECK (length(promise) = 32)
) WITH (fillfactor = 70);
CREATE TABLE contents (record bytea PRIMARY KEY, value bytea NOT NULL);
ALTER TABLE contents ALTER COLUMN value SET STORAGE EXTERNAL;
CREATE TABLE buckets (number integer PRIMARY KEY, state bytea NOT NULL, promise bytea NOT NULL)
  WITH (fillfactor = 70);
CREATE TABLE undo_slots (
  batch bigint NOT NULL, record bytea NOT NULL, promised bytea, accepted bytea, state bytea, promise bytea
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);
CREATE TABLE undo_contents (batch bigint NOT NULL, record bytea NOT NULL, value bytea)
  WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);
ALTER TABLE undo_contents ALTER COLUMN value SET STORAGE EXTERNAL;
CREATE TABLE undo_buckets (batch bigint NOT NULL, number integer NOT NULL, state bytea, promise bytea)
  WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);
CREATE INDEX ON undo_slots (batch);
CREATE INDEX ON undo_contents (batch);
CREATE INDEX ON undo_buckets (batch)
"""

_FORGET = tuple(f"DELETE FROM {table} WHERE batch = %(batch)s - 1" for table in ("undo_slots", "undo_contents",
                                                                               "undo_buckets"))  # fmt: skip

# In this order: each statement still sees what the ones after it replace. A value is written when its digest changes.
_ROWS = (
    "INSERT INTO undo_contents SELECT %(batch)s, n.record, c.value "
    "FROM unnest(%(records)b::bytea[], %(states)b::bytea[]) AS n (record, state) LEFT JOIN slots s USING (record) "
    "LEFT JOIN contents c USING (record) WHERE s.state IS DISTINCT FROM n.state",
    "INSERT INTO contents SELECT n.record, n.value "
    "FROM unnest(%(records)b::bytea[], %(states)b::bytea[], %(values)b::bytea[]) AS n (record, state, value) "
    "LEFT JOIN slots s USING (record) WHERE s.state IS DISTINCT FROM n.state "
    "ON CONFLICT (record) DO UPDATE SET value = excluded.value",
    "INSERT INTO undo_slots SELECT %(batch)s, n.record, s.promised, s.accepted, s.state, s.promise "
    "FROM unnest(%(records)b::bytea[]) AS n (record) LEFT JOIN slots s USING (record)",
    "INSERT INTO slots SELECT * FROM unnest(%(records)b::bytea[], %(promised)b::bytea[], %(accepted)b::bytea[], "
    "%(states)b::bytea[], %(promises)b::bytea[]) ON CONFLICT (record) DO UPDATE SET promised = excluded.promised, "
    "accepted = excluded.accepted, state = excluded.state, promise = excluded.promise",
)
_BUCKETS = (
    "INSERT INTO undo_buckets SELECT %(batch)s, n.number, b.state, b.promise "
    "FROM unnest(%(numbers)b::int4[]) AS n (number) LEFT JOIN buckets b USING (number)",
    "INSERT INTO buckets SELECT * FROM unnest(%(numbers)b::int4[], %(states)b::bytea[], %(promises)b::bytea[]) "
    "ON CONFLICT (number) DO UPDATE SET state = excluded.state, promise = excluded.promise",
)

_TAKE_BACK = (
    "DELETE FROM slots s USING undo_slots u WHERE u.batch = %(batch)s AND u.record = s.record AND u.state IS NULL",
    "UPDATE slots s SET promised = u.promised, accepted = u.accepted, state = u.state, promise = u.promise "
    "FROM undo_slots u WHERE u.batch = %(batch)s AND u.record = s.record",
    "DELETE FROM contents c USING undo_contents u "
    "WHERE u.batch = %(batch)s AND u.record = c.record AND u.value IS NULL",
    "UPDATE contents c SET value = u.value FROM undo_contents u WHERE u.batch = %(batch)s AND u.record = c.record",
    "DELETE FROM buckets b USING undo_buckets u WHERE u.batch = %(batch)s AND u.number = b.number AND u.state IS NULL",
    "UPDATE buckets b SET state = u.state, promise = u.promise "
    "FROM undo_buckets u WHERE u.batch = %(batch)s AND u.number = b.number",
    "DELETE FROM undo_slots WHERE batch = %(batch)s",
    "DELETE FROM undo_contents WHERE batch = %(batch)s",
    "DELETE FROM undo_buckets WHERE batch = %(batch)s",
)


def write_batch(run: Run, batch: Batch) -> None:
    """Write a batch, and keep what it replaces in place of what was kept before. The counter is the caller's."""
    for statement in _FORGET:
        run(statement, {"batch": batch.counter})
    if batch.rows:
        for statement in _ROWS:
            run(statement, _row_arrays(batch))
    if batch.buckets:
        for statement in _BUCKETS:
            run(statement, _bucket_arrays(batch.counter, list(batch.buckets.items())))


def take_back(run: Run, counter: int) -> None:
    """Put back what batch `counter` replaced."""
    for statement in _TAKE_BACK:
        run(statement, {"batch": counter})


def _row_arrays(batch: Batch) -> dict[str, Any]:
    records: list[RecordId] = list(batch.rows)
    slots, digests = list(batch.rows.values()), [batch.digests[record] for record in records]
    return {
        "batch": batch.counter,
        "records": records,
        "promised": [slot.promised.pack() for slot in slots],
        "accepted": [slot.accepted.pack() for slot in slots],
        "values": [slot.value for slot in slots],
        "states": [each.state for each in digests],
        "promises": [each.promise for each in digests],
    }


def _bucket_arrays(counter: int, buckets: list[tuple[int, BucketHashes]]) -> dict[str, Any]:
    return {
        "batch": counter,
        "numbers": [number for number, _ in buckets],
        "states": [hashes.state for _, hashes in buckets],
        "promises": [hashes.promise for _, hashes in buckets],
    }
