"""What happened to a record, for its owner: shown by *status* and returned by a successful recovery.

Attempts have their own log (`vault.attempts`), which already holds time and outcome, so the events kept here are the
others; `merge` shows both as one list. That keeps an attacker's attempts from pushing out the event of, say, a delete
that somebody scheduled, and the other way round: of what is shown, at least six are the latest other events, if there
are six, and ten the latest attempts.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from operator import itemgetter
from typing import NamedTuple

from hsm_app.vault.attempts import AttemptLog, AttemptOutcome

KEPT = 16
GUESSES = 10  # the largest maximum: more are never in a row without a success
_PLACE = itemgetter(0)  # when it happened, counted in charges
_ENTRY = struct.Struct(">BQQ")


class EventKind(IntEnum):
    """The vault's numbers for what happened. They are on the wire, so no number is used again for something else."""

    REGISTERED = 1
    ACTIVATED = 2
    ATTEMPT_UNFINISHED = 3
    WRONG_CODE = 4
    RECOVERED = 5
    DESTROYED = 6
    ACTIVATION_SCHEDULED = 7
    DELETION_SCHEDULED = 8
    CANCELLED = 9
    DELETED = 10


EVENT_TEXTS: dict[int, str] = {
    EventKind.REGISTERED: "a registration was written and waits to be activated",
    EventKind.ACTIVATED: "a registration was activated",
    EventKind.ATTEMPT_UNFINISHED: "a recovery was tried and not finished: counts as a wrong code",
    EventKind.WRONG_CODE: "a recovery was tried with a wrong code",
    EventKind.RECOVERED: "the key was recovered",
    EventKind.DESTROYED: "the record was destroyed after too many wrong codes",
    EventKind.ACTIVATION_SCHEDULED: "a replacement without the owner's signature was scheduled",
    EventKind.DELETION_SCHEDULED: "a deletion without the owner's signature was scheduled",
    EventKind.CANCELLED: "the scheduled replacement or deletion was cancelled",
    EventKind.DELETED: "the record was deleted",
}

_OF_OUTCOME = {  # plain numbers on both sides: read for each entry of each recovery
    int(AttemptOutcome.CHARGED): int(EventKind.ATTEMPT_UNFINISHED),
    int(AttemptOutcome.FAILED): int(EventKind.WRONG_CODE),
    int(AttemptOutcome.SUCCEEDED): int(EventKind.RECOVERED),
}


class Event(NamedTuple):
    """`kind` is an `EventKind`, `at` POSIX seconds; of an attempt, the time of its charge."""

    kind: int
    at: int


@dataclass(frozen=True, slots=True)
class EventLog:
    """Oldest first: for each event its kind, its time, and the number of charges before it, which orders the merge."""

    packed: bytes = b""

    def add(self, kind: EventKind, *, at: int, sequence: int) -> EventLog:
        """Return the log with one more event; the oldest beyond `KEPT` is forgotten."""
        return EventLog((self.packed + _ENTRY.pack(kind, at, sequence))[-KEPT * _ENTRY.size :])

    def entries(self) -> Iterator[tuple[int, int, int]]:
        """Yield (kind, at, sequence)."""
        return _ENTRY.iter_unpack(self.packed)

    def check(self) -> None:
        """ValueError unless there are whole entries of known kinds."""
        if len(self.packed) % _ENTRY.size or len(self.packed) > KEPT * _ENTRY.size:
            raise ValueError("an event log of another size")
        if not EVENT_TEXTS.keys() >= set(self.packed[:: _ENTRY.size]):
            raise ValueError("an event of an unknown kind")


NO_EVENTS = EventLog()


def merge(events: EventLog, attempts: AttemptLog) -> tuple[Event, ...]:
    """Return the last 16 of all that happened, oldest first; of attempts the last `GUESSES` whatever else happened.

    So whoever guesses cannot push the guesses out of sight by registrations that nobody activates, which need no code.
    """
    tried = [(2 * sequence, _OF_OUTCOME[outcome], at) for sequence, at, outcome in attempts.latest(KEPT)]
    happened = [(2 * sequence + 1, kind, at) for kind, at, sequence in events.entries()]
    shown = happened[-(KEPT - min(len(tried), GUESSES)) :]
    entries = sorted(shown + tried[-(KEPT - len(shown)) :], key=_PLACE)
    return tuple([Event(kind, at) for _, kind, at in entries])
