"""What the operations of a vault return."""

from __future__ import annotations

from dataclasses import dataclass, field

from hsm_app.model import RegistrationId
from hsm_app.vault.events import EVENT_TEXTS, EventKind
from hsm_app.wire.messages import Event, StatusReport
from hsm_app.wire.status import StatusBody

FAILED = frozenset({EventKind.WRONG_CODE, EventKind.ATTEMPT_UNFINISHED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """A registration that was written. `owner_key` (32 bytes) lets this device change or delete it at once.

    `due_at` is None when the registration is live, as `generation`. Otherwise it waits, since another one is live whose
    owner did not sign: from `due_at` (POSIX seconds) on, `activate` with this receipt makes it live.
    """

    registration_id: RegistrationId
    owner_key: bytes = field(repr=False)
    generation: int | None = None
    due_at: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovery:
    """A secret that was recovered, and the record's last events, oldest first; times in POSIX seconds."""

    secret: bytes = field(repr=False)
    owner_key: bytes = field(repr=False)
    generation: int
    events: tuple[Event, ...]

    @property
    def failed_attempts(self) -> tuple[Event, ...]:
        """Attempts that did not succeed; whoever did not make them knows that somebody has the account's token."""
        return tuple(event for event in self.events if event.kind in FAILED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Removal:
    """A deletion: done, as `generation`, or due at `due_at` (POSIX seconds), when it has to be asked for again."""

    generation: int | None = None
    due_at: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedStatus:
    """A status that was verified, and the report that proves it to others."""

    body: StatusBody
    report: StatusReport


def event_text(event: Event) -> str:
    """Return what an event means, for people. A kind of a newer vault has only its number."""
    return EVENT_TEXTS.get(event.kind, f"event {event.kind}")
