"""A store in memory that notes what is done to it, for tests of what votes on it."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping

from hsm_app.consensus.acceptor import Slot
from hsm_app.errors import StoreError
from hsm_app.model import RecordId


class MemoryStore:
    """Implements the vote worker's store. `commits` holds the rows of each commit; `gate` holds commits back."""

    def __init__(self) -> None:
        self.rows: dict[RecordId, Slot] = {}
        self.commits: list[dict[RecordId, Slot]] = []
        self.loads: list[list[RecordId]] = []
        self.gate = threading.Event()
        self.gate.set()
        self.error: Exception | None = None
        self.is_closed = False

    def boot(self) -> int:
        return 7

    def load(self, records: Iterable[RecordId]) -> dict[RecordId, Slot]:
        wanted = list(records)
        self.loads.append(wanted)
        return {record: self.rows[record] for record in wanted if record in self.rows}

    def commit(self, rows: Mapping[RecordId, Slot]) -> None:
        self.gate.wait(10)
        if self.error is not None:
            raise self.error
        self.commits.append(dict(rows))
        self.rows.update(rows)

    def count(self) -> int:
        return len(self.rows)

    def close(self) -> None:
        self.is_closed = True


FULL = StoreError("the disk is full", "Make room")
