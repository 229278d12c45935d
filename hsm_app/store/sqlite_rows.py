"""The tables of the SQLite store, how a batch is written to them, and how it is taken back.

Small rows lie together in the order of their ids, so that a bucket is one page or two; values lie apart, so that a
promise does not write a value again. The `undo_*` tables hold what the last batch replaced: NULL says that there was
nothing. Writing and taking back are run inside a transaction of the caller.
"""

from __future__ import annotations

import sqlite3

from hsm_app.ports import Batch

SCHEMA = """
CREATE TABLE replica (fleet TEXT NOT NULL, replica INTEGER NOT NULL, counter INTEGER NOT NULL) STRICT;
CREATE TABLE slots (
  record BLOB PRIMARY KEY CHECK (length(record) = 32),
  promised BLOB NOT NULL CHECK (length(promised) = 20),
  accepted BLOB NOT NULL CHECK (length(accepted) = 20),
  state BLOB NOT NULL CHECK (length(state) = 32),
  promise BLOB NOT NULL CHECK (length(promise) = 32)
) STRICT, WITHOUT ROWID;
CREATE TABLE contents (record BLOB PRIMARY KEY, value BLOB NOT NULL) STRICT;
CREATE TABLE buckets (number INTEGER PRIMARY KEY, state BLOB NOT NULL, promise BLOB NOT NULL) STRICT;
CREATE TABLE undo_slots (record BLOB NOT NULL, promised BLOB, accepted BLOB, state BLOB, promise BLOB) STRICT;
CREATE TABLE undo_contents (record BLOB NOT NULL, value BLOB) STRICT;
CREATE TABLE undo_buckets (number INTEGER NOT NULL, state BLOB, promise BLOB) STRICT;
CREATE TABLE undo_counter (counter INTEGER NOT NULL) STRICT;
"""

_NOTHING_TO_UNDO = (
    "DELETE FROM undo_slots",
    "DELETE FROM undo_contents",
    "DELETE FROM undo_buckets",
    "DELETE FROM undo_counter",
)

# In this order: each statement still sees what the ones after it replace. A value is written when its digest changes.
_KEEP_COUNTER = "INSERT INTO undo_counter SELECT counter FROM replica"
_KEEP_BUCKET = (
    "INSERT INTO undo_buckets SELECT ?1, b.state, b.promise FROM (SELECT 1) LEFT JOIN buckets b ON b.number = ?1"
)
_KEEP_CONTENT = (
    "INSERT INTO undo_contents SELECT ?1, c.value FROM (SELECT 1) LEFT JOIN slots s ON s.record = ?1 "
    "LEFT JOIN contents c ON c.record = ?1 WHERE s.state IS NOT ?2"
)
_SAVE_CONTENT = (
    "INSERT INTO contents SELECT ?1, ?3 FROM (SELECT 1) LEFT JOIN slots s ON s.record = ?1 WHERE s.state IS NOT ?2 "
    "ON CONFLICT (record) DO UPDATE SET value = excluded.value"
)
_KEEP_SLOT = (
    "INSERT INTO undo_slots SELECT ?1, s.promised, s.accepted, s.state, s.promise "
    "FROM (SELECT 1) LEFT JOIN slots s ON s.record = ?1"
)
_SAVE_SLOT = (
    "INSERT INTO slots VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (record) DO UPDATE SET promised = excluded.promised, "
    "accepted = excluded.accepted, state = excluded.state, promise = excluded.promise"
)
_SAVE_BUCKET = (
    "INSERT INTO buckets VALUES (?1, ?2, ?3) "
    "ON CONFLICT (number) DO UPDATE SET state = excluded.state, promise = excluded.promise"
)
_SAVE_COUNTER = "UPDATE replica SET counter = ?"

_TAKE_BACK = (
    "DELETE FROM slots WHERE record IN (SELECT record FROM undo_slots WHERE state IS NULL)",
    "REPLACE INTO slots SELECT * FROM undo_slots WHERE state IS NOT NULL",
    "DELETE FROM contents WHERE record IN (SELECT record FROM undo_contents WHERE value IS NULL)",
    "REPLACE INTO contents SELECT * FROM undo_contents WHERE value IS NOT NULL",
    "DELETE FROM buckets WHERE number IN (SELECT number FROM undo_buckets WHERE state IS NULL)",
    "REPLACE INTO buckets SELECT * FROM undo_buckets WHERE state IS NOT NULL",
    "UPDATE replica SET counter = (SELECT counter FROM undo_counter)",
    *_NOTHING_TO_UNDO,
)


def write_batch(rows: sqlite3.Connection, batch: Batch) -> None:
    """Write a batch, and keep what it replaces in place of what was kept before."""
    for statement in _NOTHING_TO_UNDO:
        rows.execute(statement)
    rows.execute(_KEEP_COUNTER)
    contents = [(record, batch.digests[record].state, slot.value) for record, slot in batch.rows.items()]
    slots = [
        (record, slot.promised.pack(), slot.accepted.pack(), *batch.digests[record])
        for record, slot in batch.rows.items()
    ]
    buckets = [(number, *hashes) for number, hashes in batch.buckets.items()]
    rows.executemany(_KEEP_CONTENT, [content[:2] for content in contents])
    rows.executemany(_SAVE_CONTENT, contents)
    rows.executemany(_KEEP_SLOT, [slot[:1] for slot in slots])
    rows.executemany(_SAVE_SLOT, slots)
    rows.executemany(_KEEP_BUCKET, [bucket[:1] for bucket in buckets])
    rows.executemany(_SAVE_BUCKET, buckets)
    rows.execute(_SAVE_COUNTER, (batch.counter,))


def take_back(rows: sqlite3.Connection) -> None:
    """Put back what the last batch replaced."""
    for statement in _TAKE_BACK:
        rows.execute(statement)
