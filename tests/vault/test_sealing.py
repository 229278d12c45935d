"""Seals: what opens, and that nothing else does. Message keys come from a stand-in that does what the token does."""

from __future__ import annotations

import hmac
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hsm_app.errors import ProtocolError, StoreError, VaultError
from hsm_app.model import FleetId, RecordId
from hsm_app.vault.sealing import NONCE, TAG, Purpose, Seal, nonce_of, seal, unseal
from tests.vault.example import filled

RECORD = Seal(purpose=Purpose.RECORD, fleet=FleetId("fleet-1"), group=3, record=RecordId(filled(32, "record")))
TICKET = Seal(purpose=Purpose.RECOVER_TICKET, fleet=FleetId("fleet-1"), group=3)
NONCE_1 = filled(NONCE, "nonce")


def message_key(purpose: Purpose, nonce: bytes, secret: bytes = b"fleet-seal") -> bytes:
    return hmac.digest(secret, purpose.value + nonce, "sha256")


def sealed(about: Seal, plaintext: bytes = b"value", nonce: bytes = NONCE_1) -> bytes:
    return seal(about, key=message_key(about.purpose, nonce), nonce=nonce, plaintext=plaintext)


def opened(about: Seal, message: bytes) -> bytes:
    return unseal(about, key=message_key(about.purpose, nonce_of(about, message)), sealed=message)


@pytest.mark.parametrize("about", [RECORD, TICKET])
@pytest.mark.parametrize("plaintext", [b"", b"value", bytes(5000)])
def test_what_is_sealed_opens(about: Seal, plaintext: bytes) -> None:
    message = sealed(about, plaintext)
    assert len(message) == NONCE + len(plaintext) + TAG
    assert opened(about, message) == plaintext


OTHERS = {
    "as a ticket": replace(RECORD, purpose=Purpose.RECOVER_TICKET),
    "as the other ticket": replace(RECORD, purpose=Purpose.REGISTER_TICKET),
    "in another fleet": replace(RECORD, fleet=FleetId("fleet-2")),
    "in another group": replace(RECORD, group=4),
    "for another record": replace(RECORD, record=RecordId(filled(32, "other"))),
    "for no record": replace(RECORD, record=None),
}


@pytest.mark.parametrize("about", OTHERS.values(), ids=OTHERS.keys())
def test_a_record_does_not_open(about: Seal) -> None:
    """VAULT-SEAL-PURPOSE: by its key; and under the right key still by the AAD."""
    message = sealed(RECORD)
    with pytest.raises(VaultError):
        opened(about, message)
    with pytest.raises(VaultError):
        unseal(about, key=message_key(RECORD.purpose, NONCE_1), sealed=message)


def test_fields_do_not_run_into_each_other() -> None:
    one = replace(RECORD, fleet=FleetId("fleet-1"), group=12)
    other = replace(RECORD, fleet=FleetId("fleet-11"), group=2)
    assert one.aad(NONCE_1) != other.aad(NONCE_1)


@given(st.integers(0, NONCE + 5 + TAG - 1), st.integers(1, 255))
def test_a_changed_byte_anywhere_is_seen(place: int, change: int) -> None:
    message = bytearray(sealed(RECORD))
    message[place] ^= change
    with pytest.raises(StoreError):
        opened(RECORD, bytes(message))


@pytest.mark.parametrize("length", [0, 31, 32, 47])
def test_what_is_too_short_is_refused_before_a_key_is_asked_for(length: int) -> None:
    with pytest.raises(ProtocolError):
        nonce_of(TICKET, bytes(length))


def test_a_ticket_that_does_not_open_is_the_clients_fault_and_a_record_is_the_stores() -> None:
    with pytest.raises(ProtocolError):
        opened(TICKET, sealed(replace(TICKET, group=4)))
    with pytest.raises(StoreError):
        opened(RECORD, sealed(replace(RECORD, group=4)))


def test_two_seals_of_one_value_have_nothing_in_common() -> None:
    one, other = sealed(RECORD), sealed(RECORD, nonce=filled(NONCE, "another"))
    assert one[NONCE:] != other[NONCE:]


def test_a_nonce_of_another_length_is_a_bug() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        sealed(RECORD, nonce=bytes(12))
