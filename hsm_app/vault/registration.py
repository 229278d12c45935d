"""Registering: a pending registration beside whatever is live, and the activation that makes it the live one.

The start of a registration changes nothing: its ticket carries a fresh wrapped OPRF key, never the live record's, and
the generation that was read. The finish is written beside the live record, and *activate* is a message of its own, so
an operator who drops the answer to the finish cannot make the client register again with fresh guesses.
"""

from __future__ import annotations

from dataclasses import dataclass

from hsm_app.fleet.manifest import AttemptPolicy
from hsm_app.model import RegistrationId
from hsm_app.vault.events import EventKind
from hsm_app.vault.owner import Action, OwnerClaim
from hsm_app.vault.record import REGISTRATIONS_KEPT, Outcome, Record, Registration, Scheduled, State, changed, stale
from hsm_app.vault.schedule import waiting, with_schedule

_REGISTER_AGAIN = "Register again with a new registration id"


@dataclass(frozen=True, slots=True, kw_only=True)
class Registered:
    """The registration waits for `activate`. `generation` is still the live record's."""

    generation: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Activated:
    generation: int


def finish_registration(
    record: Record, registration: Registration, *, generation: int, now: int
) -> Outcome[Registered]:
    """Write the pending registration. `generation` is the one that the ticket carries.

    VAULT-REGISTER-GENERATION: a ticket from before another activation or a deletion is refused.
    VAULT-REGISTRATION-ID-ONCE: the same registration again changes nothing, another content under its id is refused,
    and so is an id that was written before and is gone: replaced, cancelled, or destroyed with its record.
    An older pending registration is replaced, and its scheduled activation goes with it.

    Raises Denied(STALE).
    """
    if generation != record.generation:
        raise stale("the record has changed since this registration began", _REGISTER_AGAIN)
    if registration == record.pending:
        return Outcome(record=None, answer=Registered(generation=generation))
    known = record.registrations
    if registration.registration_id in {known[at : at + 16] for at in range(0, len(known), 16)}:
        raise stale("this registration id was used before", _REGISTER_AGAIN)
    scheduled = record.scheduled
    after = changed(
        record,
        now,
        EventKind.REGISTERED,
        pending=registration,
        registrations=(known + registration.registration_id)[-16 * REGISTRATIONS_KEPT :],
        scheduled=None if scheduled is not None and scheduled.action is Action.ACTIVATE else scheduled,
    )
    return Outcome(record=after, answer=Registered(generation=generation))


def activate(
    record: Record, registration_id: RegistrationId, claim: OwnerClaim, *, now: int, policy: AttemptPolicy
) -> Outcome[Activated | Scheduled]:
    """Make the pending registration live: at once where nothing is live or the owner signed, else after a delay.

    VAULT-ACTIVATE-ONCE: the live registration's own id is answered again; any id but the pending one is refused.

    Raises Denied: STALE, OWNER_REQUIRED, RETRY_LATER (a clock that is behind).
    """
    live = record.active
    if live is not None and live.registration_id == registration_id:
        return Outcome(record=None, answer=Activated(generation=record.generation))
    if record.pending is None or record.pending.registration_id != registration_id:
        raise stale("that registration does not wait here", _REGISTER_AGAIN)
    if live is not None and not claim.proves(
        live.owner_public_key, Action.ACTIVATE, record.generation, registration_id
    ):
        scheduled = waiting(record, Action.ACTIVATE, registration_id, now, policy)
        if scheduled is not None:
            return Outcome(record=with_schedule(record, scheduled, now), answer=scheduled)
    after = _begin_generation(record, record.pending, now)
    return Outcome(record=after, answer=Activated(generation=after.generation))


def _begin_generation(record: Record, registration: Registration, now: int) -> Record:
    """VAULT-ONE-LIVE-GENERATION: the old key blob is gone in the same step, and the new count begins full."""
    return changed(
        record,
        now,
        EventKind.ACTIVATED,
        generation=record.generation + 1,
        state=State.ACTIVE,
        active=registration,
        pending=None,
        last_success=record.sequence,
        scheduled=None,
    )
