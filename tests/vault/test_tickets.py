"""Tickets: one encoding, read strictly, and each only as what it is."""

from __future__ import annotations

from dataclasses import replace

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hsm_app.errors import Denied, DenyReason, ProtocolError
from hsm_app.model import RecordId, Subject, WrappedKey
from hsm_app.vault.tickets import (
    RecoverTicket,
    RegisterTicket,
    check_expiry,
    decode_recover_ticket,
    decode_register_ticket,
    encode_recover_ticket,
    encode_register_ticket,
)
from tests.vault.example import NOW, SUBJECT, attempt, filled

REGISTER = RegisterTicket(
    subject=SUBJECT,
    record=RecordId(filled(32, "record")),
    key=WrappedKey(blob=filled(81, "blob"), public=b"\x02" + filled(32, "public")),
    generation=3,
    expires_at=NOW + 600,
)
RECOVER = RecoverTicket(
    subject=SUBJECT,
    record=RecordId(filled(32, "record")),
    attempt_id=attempt(1),
    sequence=5,
    generation=3,
    expected_client_mac=filled(32, "mac"),
    expires_at=NOW + 600,
)


def test_what_is_written_is_read() -> None:
    assert decode_register_ticket(encode_register_ticket(REGISTER)) == REGISTER
    assert decode_recover_ticket(encode_recover_ticket(RECOVER)) == RECOVER


def test_a_ticket_of_the_longest_names_fits_its_field() -> None:
    """wire.message_codec allows 1024 bytes; the seal adds 48."""
    longest = Subject(tenant="t" * 64, account="a" * 128, name="n" * 64)
    key = WrappedKey(blob=bytes(512), public=REGISTER.key.public)
    assert len(encode_register_ticket(replace(REGISTER, subject=longest, key=key))) <= 1024 - 48
    assert len(encode_recover_ticket(replace(RECOVER, subject=longest))) <= 1024 - 48


def test_one_ticket_is_not_the_other() -> None:
    with pytest.raises(ProtocolError):
        decode_register_ticket(encode_recover_ticket(RECOVER))
    with pytest.raises(ProtocolError):
        decode_recover_ticket(encode_register_ticket(REGISTER))


def changed(place: int, value: object) -> bytes:
    items = msgpack.unpackb(encode_recover_ticket(RECOVER))
    items[place] = value
    return bytes(msgpack.packb(items))


GOOD = encode_recover_ticket(RECOVER)
BAD = {
    "no bytes": b"",
    "cut short": GOOD[:-1],
    "followed by more": GOOD + b"\x00",
    "another format": changed(0, 2),
    "a boolean for the format": changed(0, True),
    "a tenant that is bytes": changed(1, b"t"),
    "a short record id": changed(4, b"x" * 31),
    "a short attempt id": changed(5, b"x" * 15),
    "a sequence that is text": changed(6, "5"),
    "a short MAC": changed(8, b"x" * 31),
    "a time that is a float": changed(9, 1.0),
    "a longer form": GOOD.replace(b"\x05\x03", b"\xcc\x05\x03", 1),
    "a map": msgpack.packb({}),
    "text that is not UTF-8": GOOD.replace(b"tenant", b"\xff\xff\xff\xff\xff\xff"),
}


@pytest.mark.parametrize("data", BAD.values(), ids=BAD.keys())
def test_no_ticket_is(data: bytes) -> None:
    assert data != GOOD
    with pytest.raises(ProtocolError):
        decode_recover_ticket(data)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_ticket_or_one_error(data: bytes) -> None:
    try:
        ticket = decode_recover_ticket(data)
    except ProtocolError:
        return
    assert encode_recover_ticket(ticket) == data


def test_a_ticket_is_good_until_it_expires() -> None:
    check_expiry(RECOVER, NOW + 599)
    with pytest.raises(Denied) as caught:
        check_expiry(RECOVER, NOW + 600)
    assert caught.value.reason is DenyReason.STALE


def test_the_expected_mac_has_no_repr() -> None:
    assert repr(RECOVER.expected_client_mac) not in repr(RECOVER)
