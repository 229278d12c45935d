"""Sealed sessions against a foreign HPKE, and every way to change a sealed message.

Covered: each byte of a sealed request and answer, another fleet, manifest, version, suite, kind, size, padding, token
answer; a replayed request; an answer to another request. Not covered: a token that answers for points off the curve
(tests of the token room) and replays over time (the records' ids see to them, tests of the vault room).
"""

from __future__ import annotations

import os

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from hsm_app.errors import ProtocolError
from hsm_app.model import FleetId
from hsm_app.wire import messages as m
from hsm_app.wire.envelopes import SEALED_LIMIT
from hsm_app.wire.hpke import ENC, Receiver
from hsm_app.wire.message_codec import ANSWERS, kind_of, pack_message
from hsm_app.wire.messages import Kind
from hsm_app.wire.padding import REQUEST_SIZE, pad
from hsm_app.wire.session import (
    HEADER,
    RESPONSE_KEY,
    SEALED_ANSWER_SIZE,
    SEALED_REQUEST_SIZE,
    OpenedRequest,
    SealedRequest,
    open_answer,
    open_request,
    peek_enc,
    seal_answer,
    seal_request,
    session_info,
)
from tests.wire.example import LARGEST_ANSWERS, LARGEST_REQUESTS, SMALLEST_ANSWERS, SMALLEST_REFUSAL, SMALLEST_REQUESTS

FOREIGN = Suite(KEM.P256, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
PRIVATE = ec.derive_private_key(0xC0FFEE, ec.SECP256R1())
PUBLIC = PRIVATE.public_key().public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
INFO = session_info(FleetId("fleet-1"), b"\x11" * 32)
RECEIVER = Receiver(PUBLIC, INFO)


def token_answer(enc: bytes) -> bytes:
    """What the token says: the x coordinate of the private key times `enc`."""
    return PRIVATE.exchange(ec.ECDH(), ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), enc))


def opened(sealed: bytes, receiver: Receiver = RECEIVER) -> OpenedRequest:
    return open_request(receiver, sealed, token_answer(peek_enc(sealed)))


def sealed(request: m.ClientRequest = SMALLEST_REQUESTS[7], info: bytes = INFO) -> SealedRequest:
    return seal_request(PUBLIC, info, request, os.urandom(32))


@given(plaintext=st.binary(max_size=600), info=st.binary(max_size=200))
def test_what_a_foreign_hpke_seals_opens_here(plaintext: bytes, info: bytes) -> None:
    message = FOREIGN.encrypt(plaintext, PRIVATE.public_key(), info)
    assert len(message) == ENC + len(plaintext) + 16
    enc, ciphertext = message[:ENC], message[ENC:]
    assert Receiver(PUBLIC, info).open(enc, ciphertext, token_answer(enc)) == plaintext


@pytest.mark.parametrize("request_", LARGEST_REQUESTS, ids=lambda request: type(request).__name__)
def test_what_is_sealed_here_opens_in_a_foreign_hpke(request_: m.ClientRequest) -> None:
    message = sealed(request_)
    plain = FOREIGN.decrypt(message.sealed[HEADER:], PRIVATE, INFO)
    kind = kind_of(request_)
    assert plain == message.response_key + pad(kind, pack_message(request_), REQUEST_SIZE[kind])


@pytest.mark.parametrize("request_", [*SMALLEST_REQUESTS, *LARGEST_REQUESTS], ids=lambda r: type(r).__name__)
def test_a_request_opens_and_has_the_one_size_of_its_kind(request_: m.ClientRequest) -> None:
    message = sealed(request_)
    assert len(message.sealed) == SEALED_REQUEST_SIZE[message.kind] <= SEALED_LIMIT
    assert opened(message.sealed).message() == request_


@pytest.mark.parametrize("kind", ANSWERS, ids=lambda kind: kind.name)
def test_refusal_and_success_of_one_kind_have_one_length(kind: Kind) -> None:
    request = next(request for request in LARGEST_REQUESTS if kind_of(request) is kind)
    client = sealed(request)
    replica = opened(client.sealed)
    lengths = set()
    for answer in [*SMALLEST_ANSWERS, *LARGEST_ANSWERS]:
        if kind_of(answer) in ANSWERS[kind]:
            box = seal_answer(replica, answer, os.urandom(32))
            lengths.add(len(box))
            assert open_answer(client, box) == answer
    assert lengths == {SEALED_ANSWER_SIZE[kind]}
    assert max(lengths) <= SEALED_LIMIT


def test_an_answer_is_derived_as_rfc_9458_section_4_4_says() -> None:
    """The derivation once more, with `cryptography`'s HKDF."""
    client, nonce = sealed(), b"\x22" * 32
    box = seal_answer(opened(client.sealed), SMALLEST_REFUSAL, nonce)
    assert box[:32] == nonce

    def derived(label: bytes, length: int) -> bytes:
        hkdf = HKDF(algorithm=SHA256(), length=length, salt=client.sealed[HEADER : HEADER + ENC] + nonce, info=label)
        return hkdf.derive(client.response_key)

    plain = AESGCM(derived(b"key", 32)).decrypt(derived(b"nonce", 12), box[32:], b"")
    assert plain.startswith(bytes([Kind.REFUSAL]))


def test_a_replayed_request_is_answered_under_another_key() -> None:
    client = sealed()
    first, second = opened(client.sealed), opened(client.sealed)
    boxes = [seal_answer(replica, SMALLEST_REFUSAL, os.urandom(32)) for replica in (first, second)]
    assert boxes[0][32:] != boxes[1][32:]
    assert not _shared_blocks(boxes[0], boxes[1])
    assert [open_answer(client, box) for box in boxes] == [SMALLEST_REFUSAL] * 2


def test_the_same_request_is_never_the_same_bytes() -> None:
    request = SMALLEST_REQUESTS[0]
    one, other = (seal_request(PUBLIC, INFO, request, bytes(32)) for _ in range(2))
    assert not _shared_blocks(one.sealed[HEADER + 1 :], other.sealed[HEADER + 1 :])


def _shared_blocks(one: bytes, other: bytes, length: int = 8) -> set[bytes]:
    """Runs of `length` bytes that occur in both, anywhere."""
    blocks = [{data[at : at + length] for at in range(len(data) - length + 1)} for data in (one, other)]
    return blocks[0] & blocks[1]


@given(st.data())
def test_a_request_changed_anywhere_is_refused(data: st.DataObject) -> None:
    box = sealed().sealed
    at = data.draw(st.integers(0, len(box) - 1))
    flip = data.draw(st.integers(1, 255))
    with pytest.raises(ProtocolError):
        opened(box[:at] + bytes([box[at] ^ flip]) + box[at + 1 :])


@given(st.binary(max_size=200) | st.binary(max_size=3000).map(lambda tail: b"\x01\x01\x04" + tail))
def test_any_bytes_are_no_request(box: bytes) -> None:
    with pytest.raises(ProtocolError):
        opened(box)


@given(st.data())
def test_an_answer_changed_anywhere_is_refused(data: st.DataObject) -> None:
    client = sealed()
    box = seal_answer(opened(client.sealed), SMALLEST_REFUSAL, os.urandom(32))
    at = data.draw(st.integers(0, len(box) - 1))
    flip = data.draw(st.integers(1, 255))
    with pytest.raises(ProtocolError, match="the fleet did not send it"):
        open_answer(client, box[:at] + bytes([box[at] ^ flip]) + box[at + 1 :])


@given(st.binary(max_size=100) | st.binary(min_size=366, max_size=366))
def test_any_bytes_are_no_answer(box: bytes) -> None:
    with pytest.raises(ProtocolError, match="the fleet did not send it"):
        open_answer(sealed(SMALLEST_REQUESTS[5]), box)


def _foreign(plain: bytes, info: bytes = INFO) -> bytes:
    return b"\x01\x01" + FOREIGN.encrypt(plain, PRIVATE.public_key(), info)


STATUS_PLAIN = bytes(RESPONSE_KEY) + pad(Kind.STATUS, pack_message(SMALLEST_REQUESTS[7]), REQUEST_SIZE[Kind.STATUS])
BASE = _foreign(STATUS_PLAIN)
ONE_ERROR = {
    "sealed for another fleet": _foreign(STATUS_PLAIN, session_info(FleetId("fleet-2"), b"\x11" * 32)),
    "sealed for another manifest": _foreign(STATUS_PLAIN, session_info(FleetId("fleet-1"), b"\x12" * 32)),
    "sealed without info": _foreign(STATUS_PLAIN, b""),
    "enc replaced by another point": BASE[:HEADER]
    + _foreign(STATUS_PLAIN)[HEADER : HEADER + ENC]
    + BASE[HEADER + ENC :],
    "enc off the curve": BASE[:HEADER] + b"\x04" + bytes(64) + BASE[HEADER + ENC :],
    "enc in hybrid form": BASE[:HEADER] + b"\x06" + BASE[HEADER + 1 :],
    "cut short by a byte": BASE[:-1],
    "longer by a byte": BASE + b"\0",
    "cut to the header": BASE[:HEADER],
    "padded to another kind's size": _foreign(STATUS_PLAIN + b"\0"),
    "not padded at all": _foreign(STATUS_PLAIN.rstrip(b"\0")),
    "padding that is not zero": _foreign(STATUS_PLAIN[:-1] + b"\x01"),
    "a length beyond the end": _foreign(bytes(32) + b"\x08\xff\xff" + STATUS_PLAIN[35:]),
    "an unknown kind": _foreign(bytes(32) + b"\x09" + STATUS_PLAIN[33:]),
    "an answer's kind": _foreign(bytes(32) + b"\x7f" + STATUS_PLAIN[33:]),
    "kind zero": _foreign(bytes(32) + b"\x00" + STATUS_PLAIN[33:]),
    "an empty plaintext of the right length": _foreign(b""),
}


@pytest.mark.parametrize("box", ONE_ERROR.values(), ids=ONE_ERROR.keys())
def test_one_error_for_every_change(box: bytes) -> None:
    assert opened(BASE).message() == SMALLEST_REQUESTS[7]
    with pytest.raises(ProtocolError, match="a request does not open: it was changed, or sealed for another"):
        opened(box)


@pytest.mark.parametrize("header", [b"\x02\x01", b"\x01\x02", b"\x00\x00"])
def test_another_version_or_suite_is_named(header: bytes) -> None:
    with pytest.raises(ProtocolError, match="version or suite"):
        peek_enc(header + BASE[HEADER:])


def test_another_answer_of_the_token_does_not_open() -> None:
    with pytest.raises(ProtocolError, match="does not open"):
        open_request(RECEIVER, BASE, bytes(32))


def test_a_malformed_body_is_opened_so_that_its_sender_can_be_told() -> None:
    request = opened(_foreign(bytes(32) + pad(Kind.STATUS, b"\xc0", REQUEST_SIZE[Kind.STATUS])))
    assert request.kind is Kind.STATUS
    with pytest.raises(ProtocolError, match="fields"):
        request.message()


def test_an_answer_opens_for_its_own_request_only() -> None:
    mine, other = sealed(), sealed()
    box = seal_answer(opened(other.sealed), SMALLEST_REFUSAL, os.urandom(32))
    with pytest.raises(ProtocolError, match="the fleet did not send it"):
        open_answer(mine, box)


def test_a_relay_cannot_answer_with_a_request_key_of_its_own() -> None:
    mine = sealed()
    forged = OpenedRequest(kind=mine.kind, body=b"", enc=mine.enc, response_key=bytes(32))
    with pytest.raises(ProtocolError, match="the fleet did not send it"):
        open_answer(mine, seal_answer(forged, SMALLEST_REFUSAL, bytes(32)))


def test_a_replica_cannot_seal_an_answer_of_another_kind() -> None:
    with pytest.raises(ProtocolError, match="no answer to a STATUS"):
        seal_answer(opened(BASE), m.Activated(generation=1), bytes(32))


def test_info_is_unambiguous() -> None:
    assert session_info(FleetId("a"), b"b" * 32) != session_info(FleetId("ab"), b"b" * 31)
    assert INFO == b"\x00\x14hsm-vault/session/v1\x00\x02\x01\x01\x00\x07fleet-1\x00\x20" + b"\x11" * 32


def test_what_is_secret_is_not_shown() -> None:
    client = sealed()
    shown = repr(client) + repr(opened(client.sealed))
    assert repr(client.response_key) not in shown
    assert "response_key" not in shown
