"""Actions that wait: what an account token may do to a live record without the owner's signature.

VAULT-UNSIGNED-WAITS: replacing or deleting an ACTIVE record without the signature is scheduled, shown by *status* for
the whole of the policy's delay, and carried out only by the same request after it. At most one action is scheduled. A
request for another one takes its place and waits the whole delay from then on; the same request again changes nothing,
in particular not the due time.

VAULT-CANCEL-STICKS: cancelling a replacement also drops its pending registration, so a replayed *activate* does not
schedule it again.
"""

from __future__ import annotations

from hsm_app.fleet.manifest import AttemptPolicy
from hsm_app.model import RegistrationId
from hsm_app.vault.events import EventKind
from hsm_app.vault.owner import Action
from hsm_app.vault.record import Record, Scheduled, changed, trusted_time

_EVENTS = {Action.ACTIVATE: EventKind.ACTIVATION_SCHEDULED, Action.DELETE: EventKind.DELETION_SCHEDULED}


def waiting(
    record: Record, action: Action, registration_id: RegistrationId, now: int, policy: AttemptPolicy
) -> Scheduled | None:
    """Return the wait that this request has before it, or None when it has waited and is due.

    Denied(RETRY_LATER) when the clock is behind the record's time.
    """
    time = trusted_time(record, now)
    scheduled = record.scheduled
    if scheduled is None or (scheduled.action, scheduled.registration_id) != (action, registration_id):
        due_at = time + policy.replace_delay_seconds
        return Scheduled(action=action, registration_id=registration_id, due_at=due_at)
    return None if time >= scheduled.due_at else scheduled


def with_schedule(record: Record, scheduled: Scheduled, now: int) -> Record | None:
    """Return the record with that action scheduled; None when it already is."""
    if record.scheduled == scheduled:
        return None
    return changed(record, now, _EVENTS[scheduled.action], scheduled=scheduled)


def without_schedule(record: Record, now: int) -> Record:
    """Return the record with nothing scheduled; the same record when nothing is."""
    if record.scheduled is None:
        return record
    pending = None if record.scheduled.action is Action.ACTIVATE else record.pending
    return changed(record, now, EventKind.CANCELLED, scheduled=None, pending=pending)
