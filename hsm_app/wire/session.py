"""One sealed request and its sealed answer: no connection state, and any replica of the group can answer.

    sealed request = version (1) || suite (1) || enc (65) || HPKE ciphertext of: response key (32) || padded message
    sealed answer  = response nonce (32) || AES-256-GCM ciphertext of: padded message

Version and suite stand in the clear, because a replica must know them before it picks a key, and in HPKE's `info`
together with fleet id and manifest digest, so a changed byte or another manifest does not open. The answer's key and
nonce come from the response key, enc and a response nonce that the replica draws for each answer (RFC 9458 section
4.4, with the response key in the place of HPKE's exported secret): a replayed request makes no two answers under one
key and nonce. Only a token of the fleet can learn the response key, so an answer that opens is the fleet's.

A replica asks its token for x(fleet-kem * peek_enc(sealed)) and gives it to `open_request`. Every change to a sealed
message, wherever, ends in the same ProtocolError.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from typing import NoReturn

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from hsm_app.errors import ProtocolError
from hsm_app.model import FleetId
from hsm_app.wire.hpke import ENC, Receiver, check_enc
from hsm_app.wire.message_codec import ANSWERS, kind_of, pack_message, unpack_answer, unpack_request
from hsm_app.wire.messages import Answer, ClientRequest, Kind
from hsm_app.wire.padding import ANSWER_SIZE, REQUEST_SIZE, pad, unpad

VERSION = b"\x01"
SUITE = b"\x01"  # DHKEM(P-256, HKDF-SHA256), HKDF-SHA256, AES-256-GCM
DOMAIN = b"hsm-vault/session/v1"
HEADER = len(VERSION + SUITE)
RESPONSE_KEY = 32
RESPONSE_NONCE = 32  # max(Nn, Nk) of AES-256-GCM
TAG = 16
SEALED_REQUEST_SIZE = {kind: HEADER + ENC + RESPONSE_KEY + size + TAG for kind, size in REQUEST_SIZE.items()}
SEALED_ANSWER_SIZE = {kind: RESPONSE_NONCE + size + TAG for kind, size in ANSWER_SIZE.items()}
_SMALLEST_REQUEST = min(SEALED_REQUEST_SIZE.values())
_SUITE = Suite(KEM.P256, KDF.HKDF_SHA256, AEAD.AES_256_GCM)


def session_info(fleet: FleetId, manifest_digest: bytes) -> bytes:
    """Return HPKE's `info`: version, suite, fleet id and manifest digest, each behind its length in two bytes."""
    parts = (DOMAIN, VERSION + SUITE, fleet.encode(), manifest_digest)
    return b"".join(len(part).to_bytes(2, "big") + part for part in parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedRequest:
    """What a client sends, and what it keeps to open the answer."""

    sealed: bytes = field(repr=False)
    kind: Kind
    response_key: bytes = field(repr=False)

    @property
    def enc(self) -> bytes:
        return self.sealed[HEADER : HEADER + ENC]


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedRequest:
    """What a replica opened, and what it needs to seal the answer. The body has not been read yet."""

    kind: Kind
    body: bytes = field(repr=False)
    enc: bytes = field(repr=False)
    response_key: bytes = field(repr=False)

    def message(self) -> ClientRequest:
        """Read the body. ProtocolError when it is malformed: the client can be told so in a sealed refusal."""
        return unpack_request(self.kind, self.body)


def seal_request(kem_public: bytes, info: bytes, request: ClientRequest, response_key: bytes) -> SealedRequest:
    """Seal a client's request to `fleet-kem` (33 bytes). `response_key`: 32 random bytes, used for this request only.

    HPKE draws its own ephemeral key: sealing the same request twice gives other bytes. ProtocolError when a field
    breaks its limit.
    """
    kind = kind_of(request)
    public = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), kem_public)
    plain = response_key + pad(kind, pack_message(request), REQUEST_SIZE[kind])
    sealed = VERSION + SUITE + _SUITE.encrypt(plain, public, info)
    return SealedRequest(sealed=sealed, kind=kind, response_key=response_key)


def peek_enc(sealed: bytes) -> bytes:
    """Return the encapsulated key (65 bytes, on the curve) for the token. ProtocolError for another version."""
    if sealed[:HEADER] != VERSION + SUITE:
        raise ProtocolError("a request has another session version or suite than 1", "Use a client of this version")
    if len(sealed) < _SMALLEST_REQUEST:
        _refuse_request()
    enc = sealed[HEADER : HEADER + ENC]
    try:
        check_enc(enc)
    except ProtocolError:
        _refuse_request()
    return enc


def open_request(receiver: Receiver, sealed: bytes, shared_x: bytes) -> OpenedRequest:
    """Open a request with the token's answer for `peek_enc(sealed)`, 32 bytes. ProtocolError when it was changed."""
    enc = sealed[HEADER : HEADER + ENC]
    try:
        plain = receiver.open(enc, sealed[HEADER + ENC :], shared_x)
        kind, body = unpad(plain[RESPONSE_KEY:])
    except ProtocolError:
        _refuse_request()
    if kind not in ANSWERS or len(plain) != RESPONSE_KEY + REQUEST_SIZE[Kind(kind)]:
        _refuse_request()
    return OpenedRequest(kind=Kind(kind), body=body, enc=enc, response_key=plain[:RESPONSE_KEY])


def _refuse_request() -> NoReturn:
    raise ProtocolError(
        "a request does not open: it was changed, or sealed for another fleet or manifest",
        "Get the fleet's current manifest",
    ) from None


def seal_answer(request: OpenedRequest, answer: Answer, response_nonce: bytes) -> bytes:
    """Seal the answer to `request`. `response_nonce`: 32 bytes from the token, fresh for every call."""
    kind = kind_of(answer)
    if kind not in ANSWERS[request.kind]:
        raise ProtocolError(f"a {kind.name} is no answer to a {request.kind.name}")
    plain = pad(kind, pack_message(answer), ANSWER_SIZE[request.kind])
    key, nonce = _answer_key(request.response_key, request.enc, response_nonce)
    return response_nonce + AESGCM(key).encrypt(nonce, plain, None)


def open_answer(request: SealedRequest, sealed: bytes) -> Answer:
    """Open the answer to a request of our own. ProtocolError for anything else: the fleet did not send it."""
    if len(sealed) != SEALED_ANSWER_SIZE[request.kind]:
        _refuse_answer()
    key, nonce = _answer_key(request.response_key, request.enc, sealed[:RESPONSE_NONCE])
    try:
        kind, body = unpad(AESGCM(key).decrypt(nonce, sealed[RESPONSE_NONCE:], None))
    except (InvalidTag, ProtocolError):
        _refuse_answer()
    return unpack_answer(request.kind, kind, body)


def _refuse_answer() -> NoReturn:
    raise ProtocolError(
        "an answer does not open: the fleet did not send it", "Try again; another relay may help"
    ) from None


def _answer_key(response_key: bytes, enc: bytes, response_nonce: bytes) -> tuple[bytes, bytes]:
    """RFC 9458 section 4.4: HKDF with salt = enc || response nonce; one block each for key and nonce."""
    prk = hmac.digest(enc + response_nonce, response_key, "sha256")
    return hmac.digest(prk, b"key\x01", "sha256"), hmac.digest(prk, b"nonce\x01", "sha256")[:12]
