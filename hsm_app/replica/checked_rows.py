"""A replica's rows, read from a store that is trusted with nothing, and checked before anybody acts on them.

In memory are the hashes of all buckets, in two trees whose common root the token has anchored (`merkle`). Everything
else is read when it is needed, and checked on the way in: a bucket's row digests against the bucket's hash, a row
against its digests. So a start costs the same with a thousand rows as with a million, an edited, exchanged, removed or
older row is found on the first touch (VAULT-ANCHOR-FIRST-TOUCH), and memory is bounded by what the two caches below may
hold.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import TypeVar

from hsm_app.consensus.acceptor import Slot
from hsm_app.errors import StoreError
from hsm_app.merkle.anchor import anchored_root
from hsm_app.merkle.rows import (
    BUCKETS,
    EMPTY_BUCKET,
    HASH_LENGTH,
    BucketHashes,
    RowDigests,
    bucket_hashes,
    bucket_of,
    row_digests,
)
from hsm_app.merkle.tree import DEPTH, Tree
from hsm_app.model import RecordId
from hsm_app.ports import Batch, Store

HOT_SLOTS = 4096  # slots kept in memory: a record's second vote follows the first within seconds
HOT_BUCKETS = 4096  # buckets whose row digests are kept: about 20 MB with a million records

K = TypeVar("K")
V = TypeVar("V")


class CheckedRows:
    """The rows of one store. `state` and `promise` are its trees; they follow every batch at once."""

    def __init__(self, store: Store) -> None:
        """Read the hashes of all buckets, and no row. StoreError when they are none."""
        self._store = store
        self._hot: OrderedDict[RecordId, Slot] = OrderedDict()
        self._digests: OrderedDict[int, dict[RecordId, RowDigests]] = OrderedDict()
        self.state, self.promise = Tree(EMPTY_BUCKET.state), Tree(EMPTY_BUCKET.promise)
        found = dict(store.buckets())
        for number, hashes in found.items():
            if not 0 <= number < BUCKETS or any(len(part) != HASH_LENGTH for part in hashes):
                raise _edited(f"the hash of bucket {number} is none")
        self._update(found)

    @property
    def root(self) -> bytes:
        """The root that the anchor of these rows has to name."""
        return anchored_root(self.state.root, self.promise.root)

    def bucket(self, number: int) -> Mapping[RecordId, RowDigests]:
        """Return the digests of all rows of a bucket. StoreError unless they are what was anchored."""
        known = self._digests.get(number)
        if known is None:
            known = self._read_bucket(number)
        _keep(self._digests, number, known, HOT_BUCKETS)
        return known

    def slots(self, records: Iterable[RecordId]) -> dict[RecordId, Slot]:
        """Return the slots that exist among `records`. StoreError unless they are what was anchored."""
        wanted = set(records)
        slots = {record: self._hot[record] for record in wanted if record in self._hot}
        digests = {record: self.bucket(bucket_of(record)).get(record) for record in wanted - slots.keys()}
        present = [record for record, known in digests.items() if known is not None]
        loaded = self._store.load(present) if present else {}
        for record in present:
            slot = loaded.get(record)
            if slot is None:
                raise _edited(f"a row of bucket {bucket_of(record)} is gone")
            if digests_of(record, slot) != digests[record]:
                raise _edited(f"a row of bucket {bucket_of(record)} is not the one that was committed")
            slots[record] = slot
        for record, slot in slots.items():
            _keep(self._hot, record, slot, HOT_SLOTS)
        return slots

    def records(self, after: RecordId | None, limit: int) -> list[RecordId]:
        """Return the ids of up to `limit` records greater than `after`, in order: all there are, as anchored."""
        found: list[RecordId] = []
        for number in range(0 if after is None else bucket_of(after), BUCKETS):
            if self._leaf(number) != EMPTY_BUCKET:
                found += sorted(record for record in self.bucket(number) if after is None or record > after)
            if len(found) >= limit:
                break
        return found[:limit]

    def change(self, counter: int, changed: Mapping[RecordId, Slot]) -> Batch:
        """Take changed rows over, and return the batch that makes them durable under `counter`."""
        digests = {record: digests_of(record, slot) for record, slot in changed.items()}
        touched: dict[int, dict[RecordId, RowDigests]] = {}
        for record, known in digests.items():
            number = bucket_of(record)
            if number not in touched:
                touched[number] = dict(self.bucket(number))
            touched[number][record] = known
        hashes = {number: bucket_hashes(rows) for number, rows in touched.items()}
        self._update(hashes)
        for number, rows in touched.items():
            _keep(self._digests, number, rows, HOT_BUCKETS)
        for record, slot in changed.items():
            _keep(self._hot, record, slot, HOT_SLOTS)
        return Batch(counter=counter, rows=changed, digests=digests, buckets=hashes)

    def _read_bucket(self, number: int) -> dict[RecordId, RowDigests]:
        leaf = self._leaf(number)
        if leaf == EMPTY_BUCKET:
            return {}  # whatever the store may hold there
        found = self._store.bucket(number)
        if bucket_hashes(found) != leaf or any(bucket_of(record) != number for record in found):
            raise _edited(f"bucket {number} does not hold the rows that were committed")
        return found

    def _leaf(self, number: int) -> BucketHashes:
        return BucketHashes(self.state.node(DEPTH, number), self.promise.node(DEPTH, number))

    def _update(self, hashes: Mapping[int, BucketHashes]) -> None:
        self.state.update({number: changed.state for number, changed in hashes.items()})
        self.promise.update({number: changed.promise for number, changed in hashes.items()})


def digests_of(record: RecordId, slot: Slot) -> RowDigests:
    """Return the digests of a record's row."""
    return row_digests(record, promised=slot.promised.pack(), accepted=slot.accepted.pack(), value=slot.value)


def _keep(cache: OrderedDict[K, V], key: K, entry: V, limit: int) -> None:
    cache[key] = entry
    cache.move_to_end(key)
    if len(cache) > limit:
        cache.popitem(last=False)


def _edited(what: str) -> StoreError:
    return StoreError(
        f"the store was changed behind this replica's back: {what}",
        "This replica must not vote on it. Find out who writes to its disk; replace the replica",
    )
