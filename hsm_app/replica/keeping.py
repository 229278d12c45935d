"""What an account may do besides registering and recovering: delete, cancel what was scheduled, and look."""

from __future__ import annotations

from hsm_app.errors import Denied
from hsm_app.model import FleetId
from hsm_app.replica.box import update
from hsm_app.replica.desk import Desk
from hsm_app.replica.registering import owner_claim
from hsm_app.vault import removal
from hsm_app.vault.record import Outcome, Record, Scheduled
from hsm_app.vault.status import status as read_status
from hsm_app.wire import messages
from hsm_app.wire.status import Pending, StatusBody, encode_status

DELETE_SCOPE = "vault:delete"
STATUS_SCOPE = "vault:status"


async def delete(desk: Desk, asked: messages.Delete, route: int) -> messages.Deleted | messages.Scheduled:
    """Delete: at once with the owner's signature, else after the policy's delay."""
    subject = desk.authorise(asked.token, asked.name, DELETE_SCOPE, route)
    now = desk.clock.now()
    claim = owner_claim(desk, subject, asked.owner_signature)

    def change(record: Record) -> Outcome[removal.Deleted | Scheduled | Denied]:
        return removal.delete(record, claim, now=now, policy=desk.fleet.attempts)

    answer: removal.Deleted | Scheduled = await update(desk, await desk.record_id(subject), change)
    if isinstance(answer, Scheduled):
        return messages.Scheduled(due_at=answer.due_at)
    return messages.Deleted(generation=answer.generation)


async def cancel(desk: Desk, asked: messages.Cancel, route: int) -> messages.Cancelled:
    """Cancel what was scheduled without the owner's signature."""
    subject = desk.authorise(asked.token, asked.name, DELETE_SCOPE, route)
    now = desk.clock.now()
    claim = owner_claim(desk, subject, asked.owner_signature)
    answer = await update(desk, await desk.record_id(subject), lambda record: removal.cancel(record, claim, now=now))
    return messages.Cancelled(generation=answer.generation)


async def status(desk: Desk, asked: messages.Status, route: int) -> messages.StatusReport:
    """Report on the record, signed by this replica's token over the client's nonce."""
    subject = desk.authorise(asked.token, asked.name, STATUS_SCOPE, route)
    found = await update(desk, await desk.record_id(subject), read_status)
    waits = found.scheduled
    body = StatusBody(
        fleet=FleetId(desk.fleet.fleet),
        epoch=desk.epoch,
        generation=found.generation,
        nonce=asked.nonce,
        subject=subject.text(),
        state=found.state.value,
        attempts_left=found.attempts_left,
        maximum=found.maximum,
        pending=None if waits is None else Pending(kind=int(waits.action), due_at=waits.due_at),
        events=tuple(messages.Event(kind=event.kind, at=event.at) for event in found.events),
    )
    signed = encode_status(body)
    signature = await desk.tokens.run(lambda token: token.sign(signed))
    return messages.StatusReport(replica=desk.replica, signed=signed, signature=signature)
