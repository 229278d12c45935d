"""The owner's signature and the encrypted secret: both from the OPAQUE export key."""

from __future__ import annotations

from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from hsm_app.errors import ConfigError, Denied, DenyReason, ProtocolError
from hsm_app.model import FleetId, Subject
from hsm_app.vault.owner import Action, OwnerClaim, OwnerStatement, owner_public_key, sign, verify
from hsm_app.vault.payload import SECRET_LIMIT, open_secret, seal_secret
from hsm_app.vault.record import PAYLOAD_LIMIT
from tests.vault.example import FLEET, SUBJECT, export_key, registration_id

KEY = export_key(1)
NONCE = bytes(range(12))
STATEMENT = OwnerStatement(
    fleet=FLEET, subject=SUBJECT, action=Action.ACTIVATE, generation=4, registration_id=registration_id(1)
)
OTHERS = {
    "another fleet": replace(STATEMENT, fleet=FleetId("fleet-2")),
    "another tenant": replace(STATEMENT, subject=replace(SUBJECT, tenant="tenant-2")),
    "another account": replace(STATEMENT, subject=replace(SUBJECT, account="mallory")),
    "another name": replace(STATEMENT, subject=replace(SUBJECT, name="photos")),
    "another action": replace(STATEMENT, action=Action.DELETE),
    "another generation": replace(STATEMENT, generation=5),
    "another registration": replace(STATEMENT, registration_id=registration_id(2)),
}


def test_the_owners_signature_is_plain_ed25519_over_the_statement() -> None:
    signature = sign(KEY, STATEMENT)
    verify(owner_public_key(KEY), STATEMENT, signature)
    Ed25519PublicKey.from_public_bytes(owner_public_key(KEY)).verify(signature, STATEMENT.to_bytes())


def test_the_statement_is_readable_text() -> None:
    assert STATEMENT.to_bytes().startswith(b"28:hsm-vault/owner-statement/v1,7:fleet-1,")


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS.keys())
def test_a_signature_is_worth_nothing_for(other: OwnerStatement) -> None:
    """VAULT-OWNER-SIGNS."""
    with pytest.raises(Denied) as caught:
        verify(owner_public_key(KEY), other, sign(KEY, STATEMENT))
    assert caught.value.reason is DenyReason.OWNER_REQUIRED


@pytest.mark.parametrize("key", [bytes(32), b"\xff" * 32, owner_public_key(export_key(2))])
def test_no_other_key_verifies(key: bytes) -> None:
    with pytest.raises(Denied):
        verify(key, STATEMENT, sign(KEY, STATEMENT))


@given(st.binary(min_size=1, max_size=80))
def test_no_made_up_signature_verifies(signature: bytes) -> None:
    with pytest.raises(Denied):
        verify(owner_public_key(KEY), STATEMENT, signature)


def test_no_signature_is_no_claim_and_a_wrong_one_is_refused() -> None:
    claim = OwnerClaim(fleet=FLEET, subject=SUBJECT, signature=b"")
    assert not claim.proves(owner_public_key(KEY), Action.DELETE, 4)
    with pytest.raises(Denied):
        replace(claim, signature=bytes(64)).proves(owner_public_key(KEY), Action.DELETE, 4)


def test_the_owners_key_is_not_the_payloads() -> None:
    assert owner_public_key(KEY) != owner_public_key(export_key(2))


def payload(secret: bytes = b"the key") -> bytes:
    return seal_secret(secret, export_key=KEY, nonce=NONCE, fleet=FLEET, subject=SUBJECT)


@pytest.mark.parametrize("secret", [b"\x00", bytes(32), bytes(SECRET_LIMIT)])
def test_a_secret_comes_back(secret: bytes) -> None:
    assert open_secret(payload(secret), export_key=KEY, fleet=FLEET, subject=SUBJECT) == secret


def test_the_largest_secret_fits_into_the_record() -> None:
    assert len(payload(bytes(SECRET_LIMIT))) <= PAYLOAD_LIMIT


@pytest.mark.parametrize("length", [0, SECRET_LIMIT + 1])
def test_the_vault_keeps_no_secret_of_other_sizes(length: int) -> None:
    with pytest.raises(ConfigError):
        payload(bytes(length))


WRONG = {
    "another export key": {"export_key": export_key(2)},
    "another fleet": {"fleet": FleetId("fleet-2")},
    "another subject": {"subject": Subject(tenant="tenant-1", account="alice", name="photos")},
}


@pytest.mark.parametrize("change", WRONG.values(), ids=WRONG.keys())
def test_a_payload_does_not_open_with(change: dict[str, object]) -> None:
    arguments: dict[str, object] = {"export_key": KEY, "fleet": FLEET, "subject": SUBJECT} | change
    with pytest.raises(ProtocolError):
        open_secret(payload(), **arguments)  # type: ignore[arg-type]


@given(st.binary(max_size=100))
def test_any_other_bytes_are_no_payload(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        open_secret(data, export_key=KEY, fleet=FLEET, subject=SUBJECT)


@given(st.integers(0, len(payload()) - 1), st.integers(1, 255))
def test_a_changed_payload_does_not_open(place: int, change: int) -> None:
    data = bytearray(payload())
    data[place] ^= change
    with pytest.raises(ProtocolError):
        open_secret(bytes(data), export_key=KEY, fleet=FLEET, subject=SUBJECT)
