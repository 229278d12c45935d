"""What a record tells whoever holds the account: the count, what waits, and what happened."""

from __future__ import annotations

from dataclasses import dataclass

from hsm_app.vault.events import Event, merge
from hsm_app.vault.record import Outcome, Record, Scheduled, State, attempts_left


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """`maximum` and `attempts_left` are 0 unless the state is ACTIVE. `pending`: a registration can be activated."""

    state: State
    generation: int
    attempts_left: int
    maximum: int
    pending: bool
    scheduled: Scheduled | None
    events: tuple[Event, ...]  # the last 16, oldest first


def status(record: Record) -> Outcome[Status]:
    """Read. VAULT-STATUS-TELLS: attempts by anyone, and anything scheduled, are there for the owner to see."""
    answer = Status(
        state=record.state,
        generation=record.generation,
        attempts_left=attempts_left(record),
        maximum=0 if record.active is None else record.active.maximum,
        pending=record.pending is not None,
        scheduled=record.scheduled,
        events=merge(record.events, record.attempts),
    )
    return Outcome(record=None, answer=answer)
