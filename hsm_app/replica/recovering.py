"""Recovering: the charge is chosen by a majority before any evaluation exists (VAULT-ATTEMPT-CHARGED-FIRST).

The tenant's hourly limits are asked inside the transition, where it is known whether this request charges or destroys:
a repeat is free, and over the limit neither a guess is spent nor a record destroyed.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

from hsm_app.errors import Denied
from hsm_app.model import FleetId
from hsm_app.opaque import server
from hsm_app.opaque.envelope import Identities
from hsm_app.opaque.messages import KE1, RegistrationRecord
from hsm_app.ports import Token
from hsm_app.replica.box import open_ticket, seal_ticket, update
from hsm_app.replica.desk import Desk
from hsm_app.vault import recovery
from hsm_app.vault.attempts import hash_ke1
from hsm_app.vault.profile import CONTEXT, client_identity, server_identity
from hsm_app.vault.record import Outcome, Record, State
from hsm_app.vault.recovery import Charged, Recovered
from hsm_app.vault.sealing import Purpose
from hsm_app.vault.tickets import RecoverTicket, check_expiry, decode_recover_ticket, encode_recover_ticket
from hsm_app.wire import messages

T = TypeVar("T")
SCOPE = "vault:recover"
UNKNOWN_MAC = bytes(32)  # until the handshake has computed it


async def start(desk: Desk, asked: messages.RecoverStart, route: int) -> messages.RecoverStarted:
    """Charge one guess, and only then evaluate under the record's key."""
    subject = desk.authorise(asked.token, asked.name, SCOPE, route)
    ke1 = server.begin_login(asked.ke1)
    now = desk.clock.now()
    record_id = await desk.record_id(subject)

    def charge(record: Record) -> Outcome[Charged | Denied]:
        outcome = recovery.start_recovery(
            record, attempt_id=asked.attempt_id, ke1_hash=hash_ke1(asked.ke1), now=now, policy=desk.fleet.attempts
        )
        if isinstance(outcome.answer, Charged) and outcome.answer.fresh:
            desk.charges.spend(subject.tenant, now)
        return _within_destructions(desk, subject.tenant, now, outcome)

    charged = await update(desk, record_id, charge)
    ticket = RecoverTicket(
        subject=subject,
        record=record_id,
        attempt_id=asked.attempt_id,
        sequence=charged.sequence,
        generation=charged.generation,
        expected_client_mac=UNKNOWN_MAC,
        expires_at=now + desk.ticket_seconds,
    )
    return await _evaluate(desk, ke1, charged, ticket)


async def _evaluate(desk: Desk, ke1: KE1, charged: Charged, ticket: RecoverTicket) -> messages.RecoverStarted:
    """Ask the token for both multiplications and the ticket's key in one trip, and finish the handshake in memory."""
    key, blinded, keyshare = charged.registration.key, ke1.blinded, ke1.client_keyshare
    nonce, purpose = await desk.entropy.take(32), Purpose.RECOVER_TICKET

    def work(token: Token) -> tuple[bytes, bytes, bytes]:
        return token.evaluate(key, blinded), token.opaque_dh(keyshare), token.message_key(purpose.value, nonce)

    evaluated, dh_static, ticket_key = await desk.tokens.run(work)
    ke2, state = server.respond(
        ke1,
        RegistrationRecord.from_bytes(charged.registration.opaque_record),
        evaluated=evaluated,
        dh_static=dh_static,
        server_public_key=desk.fleet.opaque_public,
        randomness=server.LoginRandomness(
            masking_nonce=await desk.entropy.take(32),
            server_nonce=await desk.entropy.take(32),
            keyshare_seed=await desk.entropy.take(32),
        ),
        identities=Identities(
            client=client_identity(ticket.subject), server=server_identity(FleetId(desk.fleet.fleet))
        ),
        context=CONTEXT,
    )
    plain = encode_recover_ticket(replace(ticket, expected_client_mac=state.expected_client_mac))
    return messages.RecoverStarted(ke2=ke2, ticket=seal_ticket(desk, purpose, plain, key=ticket_key, nonce=nonce))


async def finish(desk: Desk, asked: messages.RecoverFinish, route: int) -> messages.Recovered:
    """Settle the attempt that the ticket names: the payload for a valid client MAC, else one guess is gone for good."""
    ticket = decode_recover_ticket(await open_ticket(desk, Purpose.RECOVER_TICKET, asked.ticket))
    desk.check_route(ticket.subject, route)
    now = desk.clock.now()
    check_expiry(ticket, now)
    mac_valid = server.client_mac_matches(ticket.expected_client_mac, asked.ke3)

    def settle(record: Record) -> Outcome[Recovered | Denied]:
        outcome = recovery.finish_recovery(
            record,
            attempt_id=ticket.attempt_id,
            sequence=ticket.sequence,
            generation=ticket.generation,
            mac_valid=mac_valid,
            now=now,
        )
        return _within_destructions(desk, ticket.subject.tenant, now, outcome)

    found = await update(desk, ticket.record, settle)
    events = tuple(messages.Event(kind=event.kind, at=event.at) for event in found.events)
    return messages.Recovered(payload=found.payload, generation=found.generation, events=events)


def _within_destructions(desk: Desk, tenant: str, now: int, outcome: Outcome[T]) -> Outcome[T]:
    """Denied(TENANT_LIMIT) instead of a destruction over the tenant's limit; the record has no guess left anyway."""
    if outcome.record is not None and outcome.record.state is State.DESTROYED:
        desk.destructions.spend(tenant, now)
    return outcome
