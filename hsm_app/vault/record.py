"""The record: what the fleet's majority agrees on for one subject. Values only; the transitions are in other modules.

| module | transitions |
|---|---|
| `vault.registration` | `finish_registration`, `activate` |
| `vault.recovery` | `start_recovery` (the charge), `finish_recovery` |
| `vault.removal` | `delete`, `cancel` |
| `vault.status` | `status` |

    EMPTY -> ACTIVE <-> (charged) -> DESTROYED       any -> DELETED       DESTROYED, DELETED -> ACTIVE

Beside any state there may be a pending registration, which nothing can be recovered from until it is activated. A
transition is a pure function of the record, its input and the time. It returns an `Outcome`, or raises Denied when it
changes nothing; a refusal that changes the record is an `Outcome` whose answer is the Denied. `vault.step.apply` makes
one shape of both. An idempotent repeat finds its own change by id and changes nothing.

Attempts left = maximum - (sequence - last_success). `sequence` counts the charges ever made and never goes back.
`last_success` is the sequence up to which charges have been given back: by the latest success, or by the activation
that began with a full count.

Time: `last_time` is the latest time ever committed and the record's time never goes back (VAULT-TIME-NEVER-BACK).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Generic, TypeVar

from hsm_app.errors import Denied, DenyReason, ProtocolError
from hsm_app.model import RegistrationId, WrappedKey
from hsm_app.vault.attempts import NO_ATTEMPTS, AttemptLog
from hsm_app.vault.events import NO_EVENTS, EventKind, EventLog
from hsm_app.vault.owner import Action

T_co = TypeVar("T_co", covariant=True)

PAYLOAD_LIMIT = 1100  # bytes: a secret of 1 KiB and what `vault.payload` adds
KEY_BLOB_LIMIT = 512  # bytes: P-256 wraps to about 80; room for other tokens' formats
REGISTRATIONS_KEPT = 8  # ids that were ever written here, so that a replayed finish is known as one
CLOCK_TOLERANCE = 60  # seconds by which replicas' clocks may differ without anyone noticing


class State(StrEnum):
    EMPTY = "empty"
    ACTIVE = "active"
    DESTROYED = "destroyed"  # by guesses; keeps generation and logs
    DELETED = "deleted"  # a tombstone; keeps generation and logs


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """What one registration stores. A field out of its limits is a ProtocolError: it could never be read back."""

    registration_id: RegistrationId  # 16
    key: WrappedKey
    opaque_record: bytes = field(repr=False)  # 129, RFC 9807 section 4.1
    payload: bytes = field(repr=False)
    owner_public_key: bytes  # 32, Ed25519
    maximum: int  # charges in a row, from the policy on the day of registration

    def __post_init__(self) -> None:
        if not (
            len(self.registration_id) == 16
            and len(self.key.public) == 33
            and 0 < len(self.key.blob) <= KEY_BLOB_LIMIT
            and len(self.opaque_record) == 129
            and 0 < len(self.payload) <= PAYLOAD_LIMIT
            and len(self.owner_public_key) == 32
            and 0 < self.maximum <= 255
        ):
            raise ProtocolError("a registration has a field of another size", "The client speaks another version")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scheduled:
    """An activation or deletion that waits because the owner did not sign it. `due_at` in POSIX seconds."""

    action: Action
    registration_id: RegistrationId  # of the pending registration, or 16 zero bytes
    due_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One subject's record. `active` is there exactly in state ACTIVE. The defaults are the EMPTY record."""

    generation: int = 0
    state: State = State.EMPTY
    active: Registration | None = None
    pending: Registration | None = None
    sequence: int = 0
    last_success: int = 0
    charged_at: int = 0
    attempts: AttemptLog = NO_ATTEMPTS
    events: EventLog = NO_EVENTS
    registrations: bytes = b""  # ids ever written, 16 bytes each, oldest first
    last_time: int = 0
    scheduled: Scheduled | None = None


EMPTY = Record()


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome(Generic[T_co]):
    """`record` is the value to agree on before `answer` may leave, or None when nothing changes."""

    record: Record | None
    answer: T_co


def attempts_left(record: Record) -> int:
    """Return how many more charges an ACTIVE record takes; 0 in any other state."""
    return 0 if record.active is None else record.active.maximum - (record.sequence - record.last_success)


def live(record: Record) -> Registration:
    """Return the active registration. Denied(DESTROYED) or Denied(NO_RECORD) when there is none."""
    if record.active is not None:
        return record.active
    if record.state is State.DESTROYED:
        raise destroyed()
    raise Denied(DenyReason.NO_RECORD, "there is no active record of that name", "Check the account and the name")


def destroyed() -> Denied:
    return Denied(
        DenyReason.DESTROYED,
        "the record was destroyed after too many wrong codes",
        "What it kept cannot be recovered; register again from a device that still has the key",
        attempts_left=0,
    )


def stale(what: str, todo: str) -> Denied:
    return Denied(DenyReason.STALE, what, todo)


def changed(record: Record, now: int, *events: EventKind, **changes: Any) -> Record:
    """Return the record with changes, the time committed, and events noted after the charges so far."""
    at = max(now, record.last_time)
    log = record.events
    for kind in events:
        log = log.add(kind, at=at, sequence=record.sequence)
    return replace(record, events=log, last_time=at, **changes)


def trusted_time(record: Record, now: int) -> int:
    """Return the time to decide by. Denied(RETRY_LATER) on an earlier clock than the record's (VAULT-CLOCK-NOT-BACK).

    Asked wherever a wait, a delay or a due time decides; what no time decides (a repeat, a finish, the owner's
    signature, the count itself) goes on under any clock, so a clock once set wrong neither frees nor takes a guess.
    """
    behind = record.last_time - now
    if behind > CLOCK_TOLERANCE:
        raise Denied(
            DenyReason.RETRY_LATER,
            f"this replica's clock is {behind} s behind the latest time of the record",
            "Try again later; if it stays so, the fleet's operator has to set a clock right",
            retry_after=behind,
        )
    return max(now, record.last_time)
