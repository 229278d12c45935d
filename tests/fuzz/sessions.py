"""Sealed requests and answers: the outside, which anyone can send, and the inside, which any client can seal."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from hsm_app.errors import ProtocolError
from hsm_app.model import FleetId
from hsm_app.opaque.messages import KE1, KE2, RegistrationRecord
from hsm_app.vault import tickets
from hsm_app.wire import session
from hsm_app.wire.hpke import Receiver
from hsm_app.wire.message_codec import kind_of, pack_message
from hsm_app.wire.padding import REQUEST_SIZE, pad
from tests.fuzz.harness import Harness, one_of, round_trip, tagged
from tests.vault.test_tickets import RECOVER, REGISTER
from tests.wire.example import LARGEST_REQUESTS, SMALLEST_ANSWERS, SMALLEST_REQUESTS

SUITE = Suite(KEM.P256, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
PRIVATE = ec.derive_private_key(0xC0FFEE, ec.SECP256R1())
PUBLIC = PRIVATE.public_key().public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
INFO = session.session_info(FleetId("fleet-1"), b"\x11" * 32)
RECEIVER = Receiver(PUBLIC, INFO)
RESPONSE_KEY = b"\3" * session.RESPONSE_KEY
ASKED = session.seal_request(PUBLIC, INFO, SMALLEST_REQUESTS[3], RESPONSE_KEY)  # a recover start


def opened(sealed: bytes) -> session.OpenedRequest:
    enc = session.peek_enc(sealed)
    point = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), enc)
    return session.open_request(RECEIVER, sealed, PRIVATE.exchange(ec.ECDH(), point))


def check_outside(sealed: bytes) -> None:
    try:
        opened(sealed)
    except ProtocolError:
        return


def check_inside(plain: bytes) -> None:
    """What a client sealed, whatever it is, is a request in its one encoding and padding, or refused."""
    sealed = session.VERSION + session.SUITE + SUITE.encrypt(RESPONSE_KEY + plain, PRIVATE.public_key(), INFO)
    try:
        request = opened(sealed)
        message = request.message()
    except ProtocolError:
        return
    kind = kind_of(message)
    assert kind is request.kind
    assert pad(kind, pack_message(message), REQUEST_SIZE[kind]) == plain


def derived(label: bytes, length: int) -> bytes:
    """Key and nonce of the answer, as RFC 9458 section 4.4 says."""
    salt = ASKED.enc + bytes(session.RESPONSE_NONCE)
    return HKDF(algorithm=SHA256(), length=length, salt=salt, info=label).derive(ASKED.response_key)


def check_answer(plain: bytes) -> None:
    """What opens with the response key is an answer to that request, or refused."""
    size = session.ANSWER_SIZE[ASKED.kind]
    key, nonce = derived(b"key", 32), derived(b"nonce", 12)
    sealed = bytes(session.RESPONSE_NONCE) + AESGCM(key).encrypt(nonce, plain[:size].ljust(size, b"\0"), None)
    try:
        answer = session.open_answer(ASKED, sealed)
    except ProtocolError:
        return
    assert kind_of(answer) in session.ANSWERS[ASKED.kind]


def plain_requests() -> list[bytes]:
    every = [*SMALLEST_REQUESTS, *LARGEST_REQUESTS]
    return [pad(kind_of(one), pack_message(one), REQUEST_SIZE[kind_of(one)]) for one in every]


def plain_answers() -> list[bytes]:
    return [pad(kind_of(one), pack_message(one), session.ANSWER_SIZE[ASKED.kind]) for one in SMALLEST_ANSWERS[4:5]]


REQUESTS = Harness(
    one_of(
        check_inside,
        check_outside,
        check_answer,
        round_trip(KE1.from_bytes, lambda ke1: ke1.blinded + ke1.client_nonce + ke1.client_keyshare, ProtocolError),
        round_trip(KE2.from_bytes, KE2.to_bytes, ProtocolError),
        round_trip(RegistrationRecord.from_bytes, RegistrationRecord.to_bytes, ProtocolError),
        round_trip(tickets.decode_register_ticket, tickets.encode_register_ticket, ProtocolError),
        round_trip(tickets.decode_recover_ticket, tickets.encode_recover_ticket, ProtocolError),
    ),
    tagged(
        plain_requests(),
        [ASKED.sealed],
        plain_answers(),
        [],
        [],
        [],
        [tickets.encode_register_ticket(REGISTER)],
        [tickets.encode_recover_ticket(RECOVER)],
    ),
)
