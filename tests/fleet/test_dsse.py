"""Envelopes: the specification's vector, another implementation in both directions, and what is no envelope."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from securesystemslib.dsse import Envelope as ForeignEnvelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import CryptoSigner, SSlibKey

from hsm_app.errors import ConfigError, LogError
from hsm_app.fleet.dsse import combine_envelopes, pae, parse_envelope, sign_envelope
from hsm_app.fleet.role_keys import KeyAlgorithm, RoleKey
from tests.fleet.trust import EcSigner, EdSigner, auditor, operator

TYPE = "application/vnd.example+json"
PAYLOAD = b'{"any": "bytes"}\n\xff'
SIGNED = sign_envelope(TYPE, PAYLOAD, [auditor(), operator()])


def foreign_key(signer: EdSigner | EcSigner) -> SSlibKey:
    return SSlibKey.from_crypto(signer.private.public_key(), keyid=signer.key.id)


def foreign(raw: bytes) -> ForeignEnvelope:
    document: dict[str, Any] = json.loads(raw)
    return ForeignEnvelope.from_dict(document)


def test_the_vector_of_the_specification() -> None:
    encoded = b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    assert pae("http://example.com/HelloWorld", b"hello world") == encoded


def test_another_implementation_accepts_what_is_signed_here() -> None:
    keys = [foreign_key(auditor()), foreign_key(operator())]
    assert len(foreign(SIGNED).verify(keys, 2)) == 2
    with pytest.raises(VerificationError):
        foreign(SIGNED.replace(b"vnd.example", b"vnd.another")).verify(keys, 2)


def test_what_another_implementation_signs_is_accepted_here() -> None:
    envelope = ForeignEnvelope(PAYLOAD, TYPE, {})
    for signer in (auditor(), operator()):
        envelope.sign(CryptoSigner(signer.private, foreign_key(signer)))
    read = parse_envelope(json.dumps(envelope.to_dict()).encode(), TYPE)
    assert read.payload == PAYLOAD
    assert read.signers([auditor().key, operator().key, auditor(1).key]) == {auditor().key.id, operator().key.id}


def test_who_signed_is_told_by_the_signatures_alone() -> None:
    read = parse_envelope(SIGNED, TYPE)
    assert read.raw == SIGNED
    assert read.signers([auditor().key]) == {auditor().key.id}
    assert read.signers([auditor(1).key, operator(1).key]) == frozenset()


def test_a_signer_that_signs_something_else_is_noticed() -> None:
    class Broken(EdSigner):
        def sign(self, message: bytes) -> bytes:
            return super().sign(message + b"x")

    with pytest.raises(LogError, match="does not hold"):
        sign_envelope(TYPE, PAYLOAD, [Broken(auditor().private)])


MALFORMED = {
    "no JSON": b"{",
    "two lines": SIGNED.replace(b",", b",\n"),
    "another type": SIGNED.replace(b"vnd.example", b"vnd.another"),
    "no signatures": b'{"payloadType":"' + TYPE.encode() + b'","payload":"","signatures":[]}',
    "payload in base64 of another alphabet": SIGNED.replace(b'"payload":"e', b'"payload":"_'),
    "a signature without padding": SIGNED.replace(b"==", b""),
    "a member more": SIGNED.replace(b"{", b'{"x":1,', 1),
    "too long": b" " * 65_537,
}


@pytest.mark.parametrize("raw", MALFORMED.values(), ids=MALFORMED.keys())
def test_is_no_envelope(raw: bytes) -> None:
    assert raw != SIGNED
    with pytest.raises(LogError):
        parse_envelope(raw, TYPE)


@given(st.binary(max_size=200))
def test_any_bytes_are_an_envelope_or_refused(raw: bytes) -> None:
    with pytest.raises(LogError):
        parse_envelope(raw, TYPE)


@pytest.mark.parametrize(
    ("algorithm", "public"),
    [(KeyAlgorithm.ED25519, bytes(31)), (KeyAlgorithm.ES256, b"\x02" + b"\xff" * 32), (KeyAlgorithm.ES256, bytes(65))],
)
def test_is_no_key(algorithm: KeyAlgorithm, public: bytes) -> None:
    with pytest.raises(ConfigError):
        RoleKey(algorithm, public)


def test_signatures_made_apart_are_combined_to_what_another_implementation_counts() -> None:
    apart = [parse_envelope(sign_envelope(TYPE, PAYLOAD, [one]), TYPE) for one in (auditor(), operator(), auditor())]
    combined = combine_envelopes(apart)
    assert len(parse_envelope(combined, TYPE).signatures) == 2  # the auditor's own is there once
    assert len(foreign(combined).verify([foreign_key(auditor()), foreign_key(operator())], 2)) == 2
    other = parse_envelope(sign_envelope(TYPE, PAYLOAD + b" ", [operator()]), TYPE)
    with pytest.raises(LogError, match="different payloads"):
        combine_envelopes([apart[0], other])
