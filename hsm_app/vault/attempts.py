"""The log of attempts: one entry for each of the last 32 charges, packed into one bytes value.

An entry ties an attempt id to the hash of the one KE1 that was charged for, so that the same question again is known as
such (VAULT-ONE-KE1-PER-CHARGE). Entries are fixed in width and stay packed while a record is read, changed and written:
a lookup is one search in bytes, and only the entry that is found becomes a value.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

from hsm_app.model import AttemptId

KEPT = 32  # more than an honest client leaves open, and more than three times the largest maximum of charges
_ENTRY = struct.Struct(">16s32sQQQB")
_OUTCOME = _ENTRY.size - 1


class AttemptOutcome(IntEnum):
    """What is known of an attempt. FAILED is no verdict: a valid MAC afterwards still proves the code."""

    CHARGED = 1  # no valid KE3 so far, so it counts as a failure
    FAILED = 2  # a KE3 with a wrong MAC came
    SUCCEEDED = 3


_OUTCOMES = frozenset(AttemptOutcome)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """`sequence` numbers the charges of a record, `generation` its registrations; `at`: POSIX seconds of the charge."""

    attempt_id: AttemptId
    ke1_hash: bytes  # 32
    sequence: int
    generation: int
    at: int
    outcome: AttemptOutcome


def hash_ke1(ke1: bytes) -> bytes:
    """Return the 32 bytes by which a record knows a KE1 again."""
    return hashlib.sha256(ke1).digest()


def _unpack(entry: tuple[bytes, bytes, int, int, int, int]) -> Attempt:
    attempt_id, ke1_hash, sequence, generation, at, outcome = entry
    return Attempt(
        attempt_id=AttemptId(attempt_id),
        ke1_hash=ke1_hash,
        sequence=sequence,
        generation=generation,
        at=at,
        outcome=AttemptOutcome(outcome),
    )


@dataclass(frozen=True, slots=True)
class AttemptLog:
    """Oldest first. No attempt id is in it twice, since a known one is never charged again."""

    packed: bytes = b""

    def find(self, attempt_id: AttemptId) -> Attempt | None:
        """Return the attempt of that id, or None."""
        at = self._position(attempt_id)
        return None if at < 0 else _unpack(_ENTRY.unpack_from(self.packed, at))

    def add(self, attempt: Attempt) -> AttemptLog:
        """Return the log with one more attempt; the oldest beyond `KEPT` is forgotten."""
        entry = _ENTRY.pack(
            attempt.attempt_id, attempt.ke1_hash, attempt.sequence, attempt.generation, attempt.at, attempt.outcome
        )
        return AttemptLog((self.packed + entry)[-KEPT * _ENTRY.size :])

    def mark(self, attempt: Attempt, outcome: AttemptOutcome) -> AttemptLog:
        """Return the log with another outcome for an attempt that was found in it."""
        at = self._position(attempt.attempt_id) + _OUTCOME
        return AttemptLog(self.packed[:at] + bytes((outcome,)) + self.packed[at + 1 :])

    def latest(self, count: int) -> Iterator[tuple[int, int, int]]:
        """Yield (sequence, at, outcome) of the latest attempts, oldest first."""
        return ((entry[2], entry[4], entry[5]) for entry in _ENTRY.iter_unpack(self.packed[-count * _ENTRY.size :]))

    def check(self, sequence: int) -> None:
        """ValueError unless there are whole entries with known outcomes, whose sequences rise to at most `sequence`."""
        if len(self.packed) % _ENTRY.size or len(self.packed) > KEPT * _ENTRY.size:
            raise ValueError("an attempt log of another size")
        if not _OUTCOMES.issuperset(self.packed[_OUTCOME :: _ENTRY.size]):
            raise ValueError("an attempt with an unknown outcome")
        sequences = [entry[2] for entry in _ENTRY.iter_unpack(self.packed)]
        if sequences != sorted(set(sequences)) or max(sequences, default=0) > sequence:
            raise ValueError("attempts out of order")

    def _position(self, attempt_id: AttemptId) -> int:
        # An id may by chance, or by somebody's choice, also occur across fields: only the start of an entry counts.
        at = self.packed.find(attempt_id)
        while at > 0 and at % _ENTRY.size:
            at = self.packed.find(attempt_id, at + 1)
        return at


NO_ATTEMPTS = AttemptLog()
