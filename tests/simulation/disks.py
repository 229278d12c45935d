"""A replica's disk and token as the keeper sees them (`ports.Store`, `ports.Anchor`), with every place to die at.

Both are contents that outlive processes; a process gets a `SimulatedStore` and a `SimulatedAnchor` on them, which call
`pass_by` with a `Point` before and after each durable write. What that does is the scheduler's: nothing, an error, or
the end of the process there and then. So each write is crossed with {refuses, dies before, is done and dies after, is
done and reports an error}; within the creation of an anchor it may also leave an object with half its content.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import Enum

from hsm_app.consensus.acceptor import Slot
from hsm_app.errors import StoreError, TokenError
from hsm_app.merkle.rows import BucketHashes, RowDigests, bucket_of
from hsm_app.model import RecordId
from hsm_app.ports import Batch


class Point(Enum):
    """Where a process can be made to end."""

    COMMIT = "before the store's commit"
    COMMITTED = "after the store's commit"
    UNDO = "before the undo"
    UNDONE = "after the undo"
    CREATE = "before the new anchor"
    CREATING = "within the making of the new anchor"
    CREATED = "after the new anchor"
    DESTROY = "before the end of the old anchor"
    DESTROYED = "after the end of the old anchor"


PassBy = Callable[[Point], None]


class KilledError(BaseException):
    """The process has been killed here: nothing of it runs any more."""


@dataclass(slots=True)
class Disk:
    """The content of a store. `kept` is what `undo` goes back to; `commits` counts those since it was copied."""

    rows: dict[RecordId, Slot] = field(default_factory=dict)
    digests: dict[RecordId, RowDigests] = field(default_factory=dict)
    hashes: dict[int, BucketHashes] = field(default_factory=dict)
    number: int = 0
    kept: Disk | None = None
    commits: int = 0

    def copied(self) -> Disk:
        """Return what a backup taken now would hold. Contents are never changed in place, so this costs little."""
        return Disk(self.rows, self.digests, self.hashes, self.number, self.kept)


class SimulatedStore:
    """Implements ports.Store over a disk."""

    def __init__(self, disk: Disk, pass_by: PassBy) -> None:
        self._disk = disk
        self._pass_by = pass_by

    def counter(self) -> int:
        return self._disk.number

    def buckets(self) -> Iterable[tuple[int, BucketHashes]]:
        return list(self._disk.hashes.items())

    def bucket(self, number: int) -> dict[RecordId, RowDigests]:
        return {record: digests for record, digests in self._disk.digests.items() if bucket_of(record) == number}

    def load(self, records: Iterable[RecordId]) -> dict[RecordId, Slot]:
        return {record: self._disk.rows[record] for record in records if record in self._disk.rows}

    def commit(self, batch: Batch) -> None:
        self._pass_by(Point.COMMIT)
        disk = self._disk
        disk.kept = Disk(disk.rows, disk.digests, disk.hashes, disk.number)
        disk.rows = disk.rows | batch.rows
        disk.digests = disk.digests | batch.digests
        disk.hashes = disk.hashes | batch.buckets
        disk.number = batch.counter
        disk.commits += 1
        self._pass_by(Point.COMMITTED)

    def undo(self) -> None:
        self._pass_by(Point.UNDO)
        disk, kept = self._disk, self._disk.kept
        if kept is None:
            raise StoreError("there is no batch to take back")
        disk.rows, disk.digests, disk.hashes, disk.number = kept.rows, kept.digests, kept.hashes, kept.number
        disk.kept = None
        self._pass_by(Point.UNDONE)

    def count(self) -> int:
        return len(self._disk.rows)

    def close(self) -> None:
        """A disk stays as it is."""


class SimulatedAnchor:
    """Implements ports.Anchor over the objects of a token."""

    def __init__(self, objects: list[bytes], pass_by: PassBy) -> None:
        self._objects = objects
        self._pass_by = pass_by

    def read(self) -> list[bytes]:
        return list(self._objects)

    def first(self, content: bytes) -> None:
        if self._objects:
            raise TokenError("there is an anchor already")
        self._objects.append(content)

    def replace(self, old: bytes, new: bytes) -> None:
        self._pass_by(Point.CREATE)
        self._create(new)
        self.destroy(old)

    def destroy(self, content: bytes) -> None:
        self._pass_by(Point.DESTROY)
        if content not in self._objects:
            raise TokenError("the anchor to destroy is gone")
        self._objects.remove(content)
        self._pass_by(Point.DESTROYED)

    def _create(self, new: bytes) -> None:
        self._objects.append(new[: len(new) // 2])
        self._pass_by(Point.CREATING)
        self._objects[-1] = new
        self._pass_by(Point.CREATED)
