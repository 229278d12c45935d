"""Tickets: what a replica must remember between two messages of an operation, carried by the client, sealed.

Any replica of the group can take the second message. The account token was checked when the ticket was made; its claims
travel in `subject`. A ticket may be used again: the record decides what that does (nothing). Expiry is best effort
(VAULT-NO-BOUND-ON-CLOCK). The bytes here go into `vault.sealing`; any others are a ProtocolError.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import msgpack

from hsm_app.errors import Denied, DenyReason, ProtocolError
from hsm_app.model import AttemptId, RecordId, Subject, WrappedKey

FORMAT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterTicket:
    """`key` is the fresh OPRF key, `generation` what was read; `expires_at` in POSIX seconds."""

    subject: Subject
    record: RecordId
    key: WrappedKey
    generation: int
    expires_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoverTicket:
    """`expected_client_mac`: 32 bytes, of this very KE2; a free retry of the start makes another ticket."""

    subject: Subject
    record: RecordId
    attempt_id: AttemptId
    sequence: int
    generation: int
    expected_client_mac: bytes = field(repr=False)
    expires_at: int


_SUBJECT = (str, str, str)
_REGISTER = (int, *_SUBJECT, bytes, bytes, bytes, int, int)
_RECOVER = (int, *_SUBJECT, bytes, bytes, int, int, bytes, int)


def encode_register_ticket(ticket: RegisterTicket) -> bytes:
    """Return the bytes to seal."""
    return _pack(
        ticket.subject, ticket.record, ticket.key.blob, ticket.key.public, ticket.generation, ticket.expires_at
    )


def decode_register_ticket(data: bytes) -> RegisterTicket:
    """Read unsealed bytes. ProtocolError unless they are the one encoding of a ticket."""
    subject, (record, blob, public, generation, expires_at) = _unpack(data, _REGISTER)
    _check_lengths((record, 32), (public, 33))
    key = WrappedKey(blob=blob, public=public)
    return RegisterTicket(
        subject=subject, record=RecordId(record), key=key, generation=generation, expires_at=expires_at
    )


def encode_recover_ticket(ticket: RecoverTicket) -> bytes:
    """Return the bytes to seal."""
    return _pack(
        ticket.subject,
        ticket.record,
        ticket.attempt_id,
        ticket.sequence,
        ticket.generation,
        ticket.expected_client_mac,
        ticket.expires_at,
    )


def decode_recover_ticket(data: bytes) -> RecoverTicket:
    """Read unsealed bytes. ProtocolError unless they are the one encoding of a ticket."""
    subject, (record, attempt_id, sequence, generation, mac, expires_at) = _unpack(data, _RECOVER)
    _check_lengths((record, 32), (attempt_id, 16), (mac, 32))
    return RecoverTicket(
        subject=subject,
        record=RecordId(record),
        attempt_id=AttemptId(attempt_id),
        sequence=sequence,
        generation=generation,
        expected_client_mac=mac,
        expires_at=expires_at,
    )


def check_expiry(ticket: RegisterTicket | RecoverTicket, now: int) -> None:
    """Denied(STALE) when the ticket has expired. A convenience: what a ticket can do is bounded by the record."""
    if now >= ticket.expires_at:
        raise Denied(DenyReason.STALE, "too much time passed since this operation began", "Start it again")


def _pack(subject: Subject, *values: object) -> bytes:
    packed: bytes = msgpack.packb([FORMAT, subject.tenant, subject.account, subject.name, *values])
    return packed


def _unpack(data: bytes, types: tuple[type, ...]) -> tuple[Subject, list[Any]]:
    try:
        items = msgpack.unpackb(data, max_array_len=16, max_map_len=0, max_ext_len=0)
    except (ValueError, TypeError, msgpack.UnpackException):
        raise _refusal() from None  # the library's exceptions may quote the data
    if type(items) is not list or tuple(map(type, items)) != types or items[0] != FORMAT:
        raise _refusal()
    if msgpack.packb(items) != data:
        raise _refusal()
    _, tenant, account, name, *values = items
    return Subject(tenant=tenant, account=account, name=name), values


def _check_lengths(*expected: tuple[bytes, int]) -> None:
    if any(len(value) != length for value, length in expected):
        raise _refusal()


def _refusal() -> ProtocolError:
    return ProtocolError("a ticket does not read", "Start the operation again")
