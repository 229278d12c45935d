"""The signed part of a status report: what one replica's token vouches for about one record.

The body is one strict msgpack array whose first item is the domain, so a signature over it can never stand for anything
else that an identity key signs. It names fleet, epoch, generation, subject and the client's nonce: a report cannot be
an old one, another record's, or an answer to someone else. The signature is ECDSA P-256 over SHA-256, raw r || s.
"""

from __future__ import annotations

from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from hsm_app.errors import ProtocolError
from hsm_app.model import FleetId
from hsm_app.wire.codec import U32, Layout, number, octets, optional, record, text
from hsm_app.wire.message_codec import EVENTS
from hsm_app.wire.messages import Event, StatusReport

DOMAIN = "hsm-vault/status/v1"
SUBJECT_LIMIT = 300  # bytes of `Subject.text`: tenant 64, account 128, name 64, and the netstring around them


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """A delete or replacement that waits: `kind` is the vault's number for it, `due_at` POSIX seconds."""

    kind: int
    due_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusBody:
    """`subject` is `Subject.text()`, `state` the vault's name of the record's state, `nonce` the client's 32 bytes."""

    fleet: str
    epoch: int
    generation: int
    nonce: bytes
    subject: str
    state: str
    attempts_left: int
    maximum: int
    pending: Pending | None
    events: tuple[Event, ...]


_PENDING = Layout(Pending, number("kind", 255), number("due_at", U32))
STATUS_BODY = Layout(
    StatusBody,
    text("fleet", 64),
    number("epoch"),
    number("generation"),
    octets("nonce", 32),
    text("subject", SUBJECT_LIMIT),
    text("state", 32),
    number("attempts_left", 255),
    number("maximum", 255),
    optional(record("pending", _PENDING)),
    EVENTS,
    tag=DOMAIN,
)


def encode_status(body: StatusBody) -> bytes:
    """Return the bytes to sign. ProtocolError when a field breaks its limit."""
    return STATUS_BODY.pack(body)


def open_status(
    report: StatusReport, identity_public: bytes, *, fleet: FleetId, epoch: int, subject: str, nonce: bytes
) -> StatusBody:
    """Return what the replica with that identity key (33 bytes) vouches for. ProtocolError unless it answers just this.

    The caller looks the key up in its manifest by `report.replica`, and gives what it asked about.
    """
    _check_signature(identity_public, report.signed, report.signature)
    body = STATUS_BODY.unpack(report.signed)
    if (body.fleet, body.epoch, body.subject, body.nonce) != (fleet, epoch, subject, nonce):
        raise ProtocolError("a status report is about another fleet, epoch, record or question", "Ask again")
    return body


def _check_signature(identity_public: bytes, signed: bytes, signature: bytes) -> None:
    public = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), identity_public)
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    try:
        public.verify(encode_dss_signature(r, s), signed, ec.ECDSA(SHA256()))
    except InvalidSignature:
        raise ProtocolError("a status report is not signed by the replica it names", "Ask another replica") from None
