"""Digests of rows and hashes of buckets: what the two trees of a replica stand on.

A row is (record id, promised ballot, accepted ballot, value). It has two digests, one for each tree: `state` over what
was accepted and `promise` over what was promised. Promises differ between healthy replicas, what was accepted does not,
so replicas find out by their state trees alone who has missed something. Both together cover every byte of the row.

A record lies in the bucket that the first two bytes of its id name. A bucket's hashes are over the digests of its rows,
in the order of their ids. Each kind of input starts with a label of its own, and all parts but the last have a fixed
length, so nothing can be read as anything else.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import NamedTuple

from hsm_app.model import RecordId

BUCKETS = 1 << 16
HASH_LENGTH = 32

_STATE = b"hsm-vault/row-state/v1\0"
_PROMISE = b"hsm-vault/row-promise/v1\0"
_BUCKET = b"hsm-vault/bucket/v1\0"


class RowDigests(NamedTuple):
    """A row's two digests, 32 bytes each."""

    state: bytes
    promise: bytes


class BucketHashes(NamedTuple):
    """A bucket's two hashes, 32 bytes each: the leaves of the two trees."""

    state: bytes
    promise: bytes


def bucket_of(record: RecordId) -> int:
    """Return the number of the bucket that a record lies in: 0..65,535."""
    return int.from_bytes(record[:2], "big")


def row_digests(record: RecordId, *, promised: bytes, accepted: bytes, value: bytes) -> RowDigests:
    """Return the digests of a row. `record` has 32 bytes, the packed ballots 20 each; `value` is of any length."""
    state = hashlib.sha256(_STATE + record + accepted + hashlib.sha256(value).digest()).digest()
    return RowDigests(state, hashlib.sha256(_PROMISE + record + promised).digest())


def bucket_hashes(rows: Mapping[RecordId, RowDigests]) -> BucketHashes:
    """Return the hashes of a bucket with these rows."""
    ordered = [(record, rows[record]) for record in sorted(rows)]
    state = b"".join(record + digests.state for record, digests in ordered)
    promise = b"".join(record + digests.promise for record, digests in ordered)
    return BucketHashes(hashlib.sha256(_BUCKET + state).digest(), hashlib.sha256(_BUCKET + promise).digest())


EMPTY_BUCKET = bucket_hashes({})
