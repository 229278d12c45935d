"""Deleting a record, and cancelling what was scheduled against its owner.

A deleted record is a tombstone: everything that could yield the secret is erased, the pending registration too, and the
generation goes up, so tickets and signatures from before are worth nothing. The logs stay: status still tells the owner
of a deletion that was not theirs, and replayed attempts are still known.
"""

from __future__ import annotations

from dataclasses import dataclass

from hsm_app.errors import Denied, DenyReason
from hsm_app.fleet.manifest import AttemptPolicy
from hsm_app.vault.events import EventKind
from hsm_app.vault.owner import NO_REGISTRATION, Action, OwnerClaim
from hsm_app.vault.record import Outcome, Record, Scheduled, State, changed, live
from hsm_app.vault.schedule import waiting, with_schedule, without_schedule


@dataclass(frozen=True, slots=True, kw_only=True)
class Deleted:
    generation: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancelled:
    generation: int


def delete(record: Record, claim: OwnerClaim, *, now: int, policy: AttemptPolicy) -> Outcome[Deleted | Scheduled]:
    """Delete: at once where nothing is live or the owner signed, else after a delay. A repeat changes nothing.

    Raises Denied: NO_RECORD, OWNER_REQUIRED, RETRY_LATER (a clock that is behind).
    """
    if record.active is None and record.pending is None:
        if record.state is State.EMPTY:
            raise Denied(DenyReason.NO_RECORD, "there is no record of that name", "Check the account and the name")
        if record.state is State.DELETED:
            return Outcome(record=None, answer=Deleted(generation=record.generation))
    if record.active is not None and not claim.proves(record.active.owner_public_key, Action.DELETE, record.generation):
        scheduled = waiting(record, Action.DELETE, NO_REGISTRATION, now, policy)
        if scheduled is not None:
            return Outcome(record=with_schedule(record, scheduled, now), answer=scheduled)
    after = _bury(record, now)
    return Outcome(record=after, answer=Deleted(generation=after.generation))


def _bury(record: Record, now: int) -> Record:
    """VAULT-DELETE-TOMBSTONE: what is left is the generation, raised by one, and the logs."""
    return changed(
        record,
        now,
        EventKind.DELETED,
        generation=record.generation + 1,
        state=State.DELETED,
        active=None,
        pending=None,
        last_success=record.sequence,
        scheduled=None,
    )


def cancel(record: Record, claim: OwnerClaim, *, now: int) -> Outcome[Cancelled]:
    """Cancel what is scheduled; with nothing scheduled, change nothing. VAULT-CANCEL-OWNER-ONLY: always signed.

    Raises Denied: OWNER_REQUIRED, NO_RECORD, DESTROYED.
    """
    registration = live(record)
    if not claim.proves(registration.owner_public_key, Action.CANCEL, record.generation):
        raise Denied(
            DenyReason.OWNER_REQUIRED,
            "only the owner can cancel, and the request is not signed",
            "Cancel from a device that holds the owner's key, or recover: that cancels as well",
        )
    after = without_schedule(record, now)
    return Outcome(record=None if after is record else after, answer=Cancelled(generation=record.generation))
