"""Registering: three messages. Nothing is evaluated under a live record's key (that would be an uncounted oracle)."""

from __future__ import annotations

from hsm_app.errors import Denied, DenyReason
from hsm_app.fleet.manifest import FleetState
from hsm_app.model import FleetId, RecordId, Subject, WrappedKey
from hsm_app.opaque.messages import RegistrationRecord
from hsm_app.ports import Token
from hsm_app.replica.box import open_ticket, seal_ticket, update
from hsm_app.replica.desk import Desk
from hsm_app.vault import registration
from hsm_app.vault.owner import OwnerClaim
from hsm_app.vault.record import Outcome, Record, Registration, Scheduled
from hsm_app.vault.sealing import Purpose
from hsm_app.vault.status import status
from hsm_app.vault.tickets import (
    RegisterTicket,
    check_expiry,
    decode_register_ticket,
    encode_register_ticket,
)
from hsm_app.wire import messages

SCOPE = "vault:register"


async def start(desk: Desk, asked: messages.RegisterStart, route: int) -> messages.RegisterStarted:
    """Make a fresh OPRF key in the token, evaluate under it, and put it, wrapped, into a ticket. Changes no record."""
    _check_open(desk)
    subject = desk.authorise(asked.token, asked.name, SCOPE, route)
    nonce = await desk.entropy.take(32)

    def work(token: Token) -> tuple[RecordId, tuple[WrappedKey, bytes, bytes]]:
        key, evaluated = token.create_record_key(asked.blinded)
        record_id = token.record_id(subject.text().encode())
        return record_id, (key, evaluated, token.message_key(Purpose.REGISTER_TICKET.value, nonce))

    record_id, (key, evaluated, ticket_key) = await desk.tokens.run(work)
    found = await update(desk, record_id, status)
    ticket = RegisterTicket(
        subject=subject,
        record=record_id,
        key=key,
        generation=found.generation,
        expires_at=desk.clock.now() + desk.ticket_seconds,
    )
    plain = encode_register_ticket(ticket)
    return messages.RegisterStarted(
        evaluated=evaluated,
        server_public_key=desk.fleet.opaque_public,
        ticket=seal_ticket(desk, Purpose.REGISTER_TICKET, plain, key=ticket_key, nonce=nonce),
        generation=found.generation,
        live=found.maximum > 0,
    )


async def finish(desk: Desk, asked: messages.RegisterFinish, route: int) -> messages.RegisterFinished:
    """Write the registration beside whatever is live; it counts only once it is activated."""
    _check_open(desk)
    RegistrationRecord.from_bytes(asked.opaque_record)  # what no login could use is refused while the code is at hand
    ticket = decode_register_ticket(await open_ticket(desk, Purpose.REGISTER_TICKET, asked.ticket))
    desk.check_route(ticket.subject, route)
    now = desk.clock.now()
    check_expiry(ticket, now)
    written = Registration(
        registration_id=asked.registration_id,
        key=ticket.key,
        opaque_record=asked.opaque_record,
        payload=asked.payload,
        owner_public_key=asked.owner_public_key,
        maximum=desk.fleet.attempts.maximum,
    )
    answer = await update(
        desk,
        ticket.record,
        lambda record: registration.finish_registration(record, written, generation=ticket.generation, now=now),
    )
    return messages.RegisterFinished(generation=answer.generation)


async def activate(desk: Desk, asked: messages.Activate, route: int) -> messages.Activated | messages.Scheduled:
    """Make the pending registration the live one, at once or after the delay that an unsigned replacement has."""
    _check_open(desk)
    subject = desk.authorise(asked.token, asked.name, SCOPE, route)
    now = desk.clock.now()
    claim = owner_claim(desk, subject, asked.owner_signature)

    def change(record: Record) -> Outcome[registration.Activated | Scheduled | Denied]:
        return registration.activate(record, asked.registration_id, claim, now=now, policy=desk.fleet.attempts)

    answer: registration.Activated | Scheduled = await update(desk, await desk.record_id(subject), change)
    if isinstance(answer, Scheduled):
        return messages.Scheduled(due_at=answer.due_at)
    return messages.Activated(generation=answer.generation)


def owner_claim(desk: Desk, subject: Subject, signature: bytes) -> OwnerClaim:
    return OwnerClaim(fleet=FleetId(desk.fleet.fleet), subject=subject, signature=signature)


def _check_open(desk: Desk) -> None:
    if desk.fleet.state is not FleetState.ACTIVE:
        raise Denied(
            DenyReason.NO_RECORD,
            f"fleet {desk.fleet.fleet} is {desk.fleet.state.value} and takes no registration",
            "Register in the active fleet of the manifest",
        )
