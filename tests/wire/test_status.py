"""Signed status: it opens only for the question that was asked, and only from the replica that is named."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from hsm_app.errors import ProtocolError
from hsm_app.model import FleetId, Subject
from hsm_app.wire.messages import Event, StatusReport
from hsm_app.wire.status import STATUS_BODY, SUBJECT_LIMIT, Pending, StatusBody, encode_status, open_status

IDENTITY = ec.derive_private_key(77, ec.SECP256R1())
PUBLIC = IDENTITY.public_key().public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
SUBJECT = Subject(tenant="t", account="anna", name="phone").text()
NONCE = b"\x05" * 32
BODY = StatusBody(
    fleet="fleet-1",
    epoch=3,
    generation=2,
    nonce=NONCE,
    subject=SUBJECT,
    state="active",
    attempts_left=9,
    maximum=10,
    pending=Pending(kind=1, due_at=1_800_000_000),
    events=(Event(kind=2, at=1_793_000_000), Event(kind=3, at=1_793_000_001)),
)


def report(signed: bytes) -> StatusReport:
    r, s = decode_dss_signature(IDENTITY.sign(signed, ec.ECDSA(SHA256())))
    return StatusReport(replica=1, signed=signed, signature=r.to_bytes(32, "big") + s.to_bytes(32, "big"))


def asked(answer: StatusReport, **other: Any) -> StatusBody:
    question: dict[str, Any] = {"fleet": FleetId("fleet-1"), "epoch": 3, "subject": SUBJECT, "nonce": NONCE, **other}
    return open_status(answer, PUBLIC, **question)


@pytest.mark.parametrize("body", [BODY, replace(BODY, pending=None, events=())])
def test_what_was_signed_opens(body: StatusBody) -> None:
    assert asked(report(encode_status(body))) == body


ABOUT_SOMETHING_ELSE: dict[str, dict[str, Any]] = {
    "another fleet": {"fleet": FleetId("fleet-2")},
    "another epoch": {"epoch": 4},
    "another record": {"subject": Subject(tenant="t", account="anna", name="tablet").text()},
    "an older question": {"nonce": bytes(32)},
}


@pytest.mark.parametrize("other", ABOUT_SOMETHING_ELSE.values(), ids=ABOUT_SOMETHING_ELSE.keys())
def test_a_report_about_something_else_is_refused(other: dict[str, Any]) -> None:
    with pytest.raises(ProtocolError, match="about another fleet, epoch, record or question"):
        asked(report(encode_status(BODY)), **other)


@given(st.data())
def test_a_changed_byte_is_refused(data: st.DataObject) -> None:
    good = report(encode_status(BODY))
    name = data.draw(st.sampled_from(["signed", "signature"]))
    old: bytes = getattr(good, name)
    at = data.draw(st.integers(0, len(old) - 1))
    changed = old[:at] + bytes([old[at] ^ data.draw(st.integers(1, 255))]) + old[at + 1 :]
    with pytest.raises(ProtocolError, match="not signed by the replica"):
        asked(replace(good, **{name: changed}))


@pytest.mark.parametrize("signature", [bytes(64), b"\xff" * 64, b""])
def test_a_signature_that_is_none_is_refused(signature: bytes) -> None:
    with pytest.raises(ProtocolError, match="not signed by the replica"):
        asked(replace(report(encode_status(BODY)), signature=signature))


def test_another_replicas_signature_is_refused() -> None:
    other = ec.derive_private_key(78, ec.SECP256R1()).public_key()
    public = other.public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
    with pytest.raises(ProtocolError, match="not signed by the replica"):
        open_status(
            report(encode_status(BODY)), public, fleet=FleetId("fleet-1"), epoch=3, subject=SUBJECT, nonce=NONCE
        )


def test_signed_bytes_that_are_no_status_are_refused() -> None:
    other = encode_status(BODY).replace(b"status/v1", b"record/v1")
    with pytest.raises(ProtocolError, match="another version than hsm-vault/status/v1"):
        asked(report(other))


def test_the_longest_subject_fits() -> None:
    longest = Subject(tenant="t" * 64, account="a" * 128, name="n" * 64).text()
    assert len(longest) <= SUBJECT_LIMIT


@given(st.binary(max_size=300))
def test_any_bytes_are_no_status(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        STATUS_BODY.unpack(data)
