"""A store and an anchor in memory that note what is done to them, for tests of what votes on them."""

from __future__ import annotations

import threading
from collections.abc import Iterable

from hsm_app.consensus.acceptor import Slot
from hsm_app.errors import StoreError, TokenError
from hsm_app.merkle.anchor import first_anchor
from hsm_app.merkle.rows import BucketHashes, RowDigests, bucket_of
from hsm_app.model import FleetId, RecordId, ReplicaId
from hsm_app.ports import Batch
from hsm_app.replica.anchors import KeeperIdentity
from hsm_app.replica.keeper import VoteKeeper

IDENTITY = KeeperIdentity(
    fleet=FleetId("fleet-1"),
    group=0,
    replica=ReplicaId(3),
    incarnation=1,
    epoch=4,
    manifest=b"m" * 32,
    root_of_trust=bytes(32),
)

PATIENCE = 120  # seconds, longer than any test holds the gate

_Content = tuple[dict[RecordId, Slot], dict[RecordId, RowDigests], dict[int, BucketHashes], int]


class MemoryStore:
    """Implements ports.Store. `commits` holds the batches that changed rows; `gate` holds commits back.

    `is_held`: a commit has come to the closed gate.
    """

    def __init__(self) -> None:
        self.rows: dict[RecordId, Slot] = {}
        self.digests: dict[RecordId, RowDigests] = {}
        self.hashes: dict[int, BucketHashes] = {}
        self.number = 0
        self.commits: list[Batch] = []
        self.loads: list[list[RecordId]] = []
        self.bucket_reads: list[int] = []
        self.gate = threading.Event()
        self.gate.set()
        self.is_held = False
        self.error: Exception | None = None
        self.is_closed = False
        self._before: tuple[dict[RecordId, Slot], dict[RecordId, RowDigests], dict[int, BucketHashes], int] | None = (
            None
        )

    def copied(self) -> MemoryStore:
        """Return a disk with the same content, as a backup of it would be."""
        copy = MemoryStore()
        copy.rows, copy.digests, copy.hashes = dict(self.rows), dict(self.digests), dict(self.hashes)
        copy.number, copy._before = self.number, self._before
        return copy

    def counter(self) -> int:
        return self.number

    def buckets(self) -> list[tuple[int, BucketHashes]]:
        return list(self.hashes.items())

    def bucket(self, number: int) -> dict[RecordId, RowDigests]:
        self.bucket_reads.append(number)
        return {record: digests for record, digests in self.digests.items() if bucket_of(record) == number}

    def load(self, records: Iterable[RecordId]) -> dict[RecordId, Slot]:
        wanted = list(records)
        self.loads.append(wanted)
        return {record: self.rows[record] for record in wanted if record in self.rows}

    def commit(self, batch: Batch) -> None:
        self.is_held = not self.gate.is_set()
        self.gate.wait(PATIENCE)
        self.is_held = False
        if self.error is not None:
            raise self.error
        if batch.counter != self.number + 1:
            raise StoreError(f"batch {batch.counter} does not follow {self.number}")
        if batch.rows:
            self.commits.append(batch)
        self._before = (dict(self.rows), dict(self.digests), dict(self.hashes), self.number)
        self.rows.update(batch.rows)
        self.digests.update(batch.digests)
        self.hashes.update(batch.buckets)
        self.number = batch.counter

    def undo(self) -> None:
        if self._before is None:
            raise StoreError("nothing was kept")
        self.rows, self.digests, self.hashes, self.number = self._before
        self._before = None

    def count(self) -> int:
        return len(self.rows)

    def close(self) -> None:
        self.is_closed = True


class MemoryAnchor:
    """Implements ports.Anchor over a list of contents, which starts with the first anchor of `identity`."""

    def __init__(self, identity: KeeperIdentity = IDENTITY) -> None:
        self.objects = [
            first_anchor(
                fleet=identity.fleet,
                group=identity.group,
                replica=identity.replica,
                incarnation=identity.incarnation,
                epoch=identity.epoch,
                manifest=identity.manifest,
                root_of_trust=identity.root_of_trust,
            ).to_bytes()
        ]
        self.error: Exception | None = None

    def read(self) -> list[bytes]:
        return list(self.objects)

    def first(self, content: bytes) -> None:
        if self.objects:
            raise TokenError("there is an anchor already")
        self.objects.append(content)

    def replace(self, old: bytes, new: bytes) -> None:
        if self.error is not None:
            raise self.error
        self.objects.append(new)
        self.destroy(old)

    def destroy(self, content: bytes) -> None:
        if content not in self.objects:
            raise TokenError("the anchor to destroy is gone")
        self.objects.remove(content)


def memory_keeper(store: MemoryStore, anchor: MemoryAnchor | None = None) -> VoteKeeper:
    """Open a keeper over a store in memory."""
    return VoteKeeper.open(store, anchor if anchor is not None else MemoryAnchor(), IDENTITY)


FULL = StoreError("the disk is full", "Make room")
