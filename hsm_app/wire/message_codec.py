"""The table of all messages: kind, fields with their limits, and which answers belong to which request.

Everything about sizes follows from here: `wire.padding` takes each kind's largest encoding.
"""

from __future__ import annotations

from typing import Any, cast

from hsm_app.errors import ProtocolError
from hsm_app.wire.codec import U32, Field, Layout, flag, number, octets, octets_up_to, optional, record, several, text
from hsm_app.wire.messages import (
    Activate,
    Activated,
    Answer,
    Cancel,
    Cancelled,
    ClientRequest,
    Delete,
    Deleted,
    Event,
    Kind,
    Recovered,
    RecoverFinish,
    RecoverStart,
    RecoverStarted,
    Refusal,
    RegisterFinish,
    RegisterFinished,
    RegisterStart,
    RegisterStarted,
    Scheduled,
    Status,
    StatusReport,
)

TOKEN_LIMIT = 2048  # a JWT with an ES256 signature and long claims has under 700
NAME_LIMIT = 64  # UTF-8 bytes of a record's name
TICKET_LIMIT = 1024
PAYLOAD_LIMIT = 1100  # a secret of 1 KiB, its nonce and tag, and the payload's own header
STATUS_LIMIT = 1024
TEXT_LIMIT = 300  # UTF-8 bytes of a refusal's text
EVENTS_KEPT = 16

_TOKEN = text("token", TOKEN_LIMIT)
_NAME = text("name", NAME_LIMIT)
_TICKET = octets_up_to("ticket", TICKET_LIMIT)
_PAYLOAD = octets_up_to("payload", PAYLOAD_LIMIT)
_GENERATION = number("generation")
EVENT = Layout(Event, number("kind", 255), number("at", U32))
EVENTS = several(record("events", EVENT), EVENTS_KEPT)


def _signature_or_none(name: str) -> Field:
    return octets(name, 0, 64)


LAYOUTS: dict[Kind, Layout[Any]] = {
    Kind.REGISTER_START: Layout(RegisterStart, _TOKEN, _NAME, octets("blinded", 33)),
    Kind.REGISTER_FINISH: Layout(
        RegisterFinish,
        _TICKET,
        octets("registration_id", 16),
        octets("opaque_record", 129),
        _PAYLOAD,
        octets("owner_public_key", 32),
    ),
    Kind.ACTIVATE: Layout(
        Activate, _TOKEN, _NAME, octets("registration_id", 16), _signature_or_none("owner_signature")
    ),
    Kind.RECOVER_START: Layout(RecoverStart, _TOKEN, _NAME, octets("attempt_id", 16), octets("ke1", 98)),
    Kind.RECOVER_FINISH: Layout(RecoverFinish, _TICKET, octets("ke3", 32)),
    Kind.DELETE: Layout(Delete, _TOKEN, _NAME, _signature_or_none("owner_signature")),
    Kind.CANCEL: Layout(Cancel, _TOKEN, _NAME, octets("owner_signature", 64)),
    Kind.STATUS: Layout(Status, _TOKEN, _NAME, octets("nonce", 32)),
    Kind.REGISTER_STARTED: Layout(
        RegisterStarted, octets("evaluated", 33), octets("server_public_key", 33), _TICKET, _GENERATION, flag("live")
    ),
    Kind.REGISTER_FINISHED: Layout(RegisterFinished, _GENERATION),
    Kind.ACTIVATED: Layout(Activated, _GENERATION),
    Kind.SCHEDULED: Layout(Scheduled, number("due_at", U32)),
    Kind.RECOVER_STARTED: Layout(RecoverStarted, octets("ke2", 259), _TICKET),
    Kind.RECOVERED: Layout(Recovered, _PAYLOAD, _GENERATION, EVENTS),
    Kind.DELETED: Layout(Deleted, _GENERATION),
    Kind.CANCELLED: Layout(Cancelled, _GENERATION),
    Kind.STATUS_REPORT: Layout(
        StatusReport, number("replica", 255, least=1), octets_up_to("signed", STATUS_LIMIT), octets("signature", 64)
    ),
    Kind.REFUSAL: Layout(
        Refusal,
        number("family", 255, least=1),
        number("reason", 255),
        text("text", TEXT_LIMIT),
        optional(number("attempts_left", 255)),
        optional(number("retry_after", U32)),
    ),
}

ANSWERS: dict[Kind, frozenset[Kind]] = {
    Kind.REGISTER_START: frozenset({Kind.REGISTER_STARTED, Kind.REFUSAL}),
    Kind.REGISTER_FINISH: frozenset({Kind.REGISTER_FINISHED, Kind.REFUSAL}),
    Kind.ACTIVATE: frozenset({Kind.ACTIVATED, Kind.SCHEDULED, Kind.REFUSAL}),
    Kind.RECOVER_START: frozenset({Kind.RECOVER_STARTED, Kind.REFUSAL}),
    Kind.RECOVER_FINISH: frozenset({Kind.RECOVERED, Kind.REFUSAL}),
    Kind.DELETE: frozenset({Kind.DELETED, Kind.SCHEDULED, Kind.REFUSAL}),
    Kind.CANCEL: frozenset({Kind.CANCELLED, Kind.REFUSAL}),
    Kind.STATUS: frozenset({Kind.STATUS_REPORT, Kind.REFUSAL}),
}

_KINDS = {layout.made: kind for kind, layout in LAYOUTS.items()}


def kind_of(message: ClientRequest | Answer) -> Kind:
    return _KINDS[type(message)]


def pack_message(message: ClientRequest | Answer) -> bytes:
    """Return the body. ProtocolError when a field breaks its limit."""
    return LAYOUTS[kind_of(message)].pack(message)


def unpack_request(kind: int, body: bytes) -> ClientRequest:
    """Read a request's body. ProtocolError for an unknown kind and for any body but the one encoding of a request."""
    if kind not in ANSWERS:
        raise ProtocolError(f"kind {kind} is no request", "The client speaks another version")
    return cast(ClientRequest, LAYOUTS[Kind(kind)].unpack(body))


def unpack_answer(request: Kind, kind: int, body: bytes) -> Answer:
    """Read the body of an answer to a request of kind `request`. ProtocolError also for another request's answer."""
    if kind not in ANSWERS[request]:
        raise ProtocolError(f"kind {kind} is no answer to a {request.name}", "The replica speaks another version")
    return cast(Answer, LAYOUTS[Kind(kind)].unpack(body))
