"""Registering and activating, as sentences."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hsm_app.errors import DenyReason, ProtocolError
from hsm_app.model import WrappedKey
from hsm_app.vault.events import EventKind
from hsm_app.vault.owner import Action
from hsm_app.vault.record import Scheduled, State
from hsm_app.vault.recovery import Charged
from hsm_app.vault.registration import Activated, Registered, finish_registration
from tests.vault.example import (
    DELAY,
    UNSIGNED,
    Vault,
    destroy,
    held,
    reason,
    registration,
    registration_id,
    replacement,
    signed,
)


def test_a_registration_waits_beside_an_empty_record() -> None:
    fresh = Vault()
    assert fresh.register(1) == Registered(generation=0)
    assert (fresh.status().state, fresh.status().pending) == (State.EMPTY, True)


def test_a_registration_waits_beside_a_live_one(vault: Vault) -> None:
    replacement(vault)
    assert vault.charge(1).registration == registration(1)


def test_a_registration_from_before_an_activation_is_stale(vault: Vault) -> None:
    """VAULT-REGISTER-GENERATION."""
    before = held(vault)
    assert reason(vault.register(2, generation=0)) is DenyReason.STALE
    assert vault.value == before


def test_the_same_registration_again_changes_nothing(vault: Vault) -> None:
    replacement(vault)
    before = held(vault)
    assert vault.register(2) == Registered(generation=1)
    assert vault.value == before


def test_other_content_under_the_same_registration_id_is_refused(vault: Vault) -> None:
    """VAULT-REGISTRATION-ID-ONCE."""
    replacement(vault)
    before = held(vault)
    for other in (
        replace(registration(2), payload=b"other"),
        replace(registration(2), key=WrappedKey(blob=b"other", public=registration(2).key.public)),
        replace(registration(2), owner_public_key=registration(3).owner_public_key),
    ):
        answer = vault.run(lambda record, new=other: finish_registration(record, new, generation=1, now=vault.now))
        assert reason(answer) is DenyReason.STALE
    assert vault.value == before


def test_a_replayed_registration_does_not_come_back_after_another_one(vault: Vault) -> None:
    """VAULT-REGISTRATION-ID-ONCE."""
    replacement(vault)
    vault.register(3)
    before = held(vault)
    assert reason(vault.register(2)) is DenyReason.STALE
    assert vault.value == before


def test_a_replayed_registration_does_not_come_back_after_destruction(vault: Vault) -> None:
    replacement(vault)
    destroy(vault)
    assert reason(vault.register(2, generation=1)) is DenyReason.STALE
    assert reason(vault.activate(2)) is DenyReason.STALE


def test_a_new_registration_is_taken_after_destruction_and_deletion(vault: Vault) -> None:
    destroy(vault)
    vault.register(2)
    assert vault.activate(2) == Activated(generation=2)
    vault.delete(signed(2, Action.DELETE, 2))
    vault.register(3)
    assert vault.activate(3) == Activated(generation=4)


SIZES = {
    "a short registration id": {"registration_id": b"x" * 15},
    "a key blob that is empty": {"key": WrappedKey(blob=b"", public=b"\x02" * 33)},
    "a key blob too long": {"key": WrappedKey(blob=b"x" * 513, public=b"\x02" * 33)},
    "a public key uncompressed": {"key": WrappedKey(blob=b"x", public=b"\x04" * 65)},
    "an OPAQUE record too short": {"opaque_record": b"x" * 128},
    "no payload": {"payload": b""},
    "a payload too long": {"payload": b"x" * 1101},
    "an owner's key too long": {"owner_public_key": b"x" * 33},
    "a maximum of nothing": {"maximum": 0},
}


@pytest.mark.parametrize("change", SIZES.values(), ids=SIZES.keys())
def test_no_registration_has(change: dict[str, object]) -> None:
    """What could not be read back is refused before it could be written."""
    with pytest.raises(ProtocolError):
        replace(registration(1), **change)


def test_the_first_activation_needs_no_signature() -> None:
    fresh = Vault()
    fresh.register(1)
    assert fresh.activate(1) == Activated(generation=1)
    assert fresh.status().attempts_left == 10


def test_a_signature_that_nobody_could_check_does_no_harm() -> None:
    fresh = Vault()
    fresh.register(1)
    assert fresh.activate(1, signed(9, Action.ACTIVATE, 0, registration_id(1))) == Activated(generation=1)


def test_activating_again_answers_again(vault: Vault) -> None:
    """VAULT-ACTIVATE-ONCE."""
    vault.charge(1)
    before = held(vault)
    assert vault.activate(1) == Activated(generation=1)
    assert vault.value == before


def test_a_signed_activation_again_answers_again(vault: Vault) -> None:
    replacement(vault)
    claim = signed(1, Action.ACTIVATE, 1, registration_id(2))
    assert vault.activate(2, claim) == Activated(generation=2)
    assert vault.activate(2, claim) == Activated(generation=2)


def test_only_the_pending_registration_is_activated(vault: Vault) -> None:
    """VAULT-ACTIVATE-ONCE."""
    replacement(vault)
    before = held(vault)
    assert reason(vault.activate(3)) is DenyReason.STALE
    assert vault.value == before


def test_nothing_pending_is_nothing_to_activate() -> None:
    assert reason(Vault().activate(1)) is DenyReason.STALE


def test_the_owner_replaces_at_once(vault: Vault) -> None:
    """VAULT-OWNER-SIGNS and VAULT-ONE-LIVE-GENERATION: old key, payload and owner are gone, the count is full."""
    for number in range(9):
        vault.charge(number)
    replacement(vault)
    assert vault.activate(2, signed(1, Action.ACTIVATE, 1, registration_id(2))) == Activated(generation=2)
    assert vault.status().attempts_left == 10
    assert vault.charge(50).registration == registration(2)
    assert registration(1).key.blob not in vault.value
    assert registration(1).payload not in vault.value


def test_an_open_attempt_does_not_outlive_its_registration(vault: Vault) -> None:
    ticket = vault.charge(1)
    replacement(vault)
    vault.activate(2, signed(1, Action.ACTIVATE, 1, registration_id(2)))
    assert reason(vault.finish(1, ticket, right=True)) is DenyReason.STALE


BAD_SIGNATURES = {
    "another owner's": signed(2, Action.ACTIVATE, 1, registration_id(2)),
    "for another action": signed(1, Action.DELETE, 1, registration_id(2)),
    "for an earlier generation": signed(1, Action.ACTIVATE, 0, registration_id(2)),
    "for a later generation": signed(1, Action.ACTIVATE, 2, registration_id(2)),
    "for another registration": signed(1, Action.ACTIVATE, 1, registration_id(3)),
    "not a signature": replace(UNSIGNED, signature=b"x" * 64),
    "cut short": replace(UNSIGNED, signature=signed(1, Action.ACTIVATE, 1, registration_id(2)).signature[:63]),
}


@pytest.mark.parametrize("claim", BAD_SIGNATURES.values(), ids=BAD_SIGNATURES.keys())
def test_a_signature_is_refused_that_is(vault: Vault, claim: object) -> None:
    """VAULT-OWNER-SIGNS: a wrong signature is no signature left out, so it does not even start the delay."""
    replacement(vault)
    before = held(vault)
    assert reason(vault.activate(2, claim)) is DenyReason.OWNER_REQUIRED  # type: ignore[arg-type]
    assert vault.value == before


def test_an_unsigned_replacement_waits_for_the_whole_delay(vault: Vault) -> None:
    """VAULT-UNSIGNED-WAITS."""
    replacement(vault)
    scheduled = vault.activate(2)
    assert scheduled == Scheduled(action=Action.ACTIVATE, registration_id=registration_id(2), due_at=vault.now + DELAY)
    vault.now += DELAY - 1
    before = held(vault)
    assert vault.activate(2) == scheduled
    assert vault.value == before
    vault.now += 1
    assert vault.activate(2) == Activated(generation=2)


def test_while_a_replacement_waits_the_old_record_works_and_tells(vault: Vault) -> None:
    """VAULT-STATUS-TELLS."""
    replacement(vault)
    scheduled = vault.activate(2)
    assert vault.status().scheduled == scheduled
    assert vault.status().events[-1].kind == EventKind.ACTIVATION_SCHEDULED
    assert isinstance(vault.start(1), Charged)


def test_the_owners_signature_ends_the_waiting(vault: Vault) -> None:
    replacement(vault)
    vault.activate(2)
    assert vault.activate(2, signed(1, Action.ACTIVATE, 1, registration_id(2))) == Activated(generation=2)


def test_a_new_registration_drops_the_older_ones_scheduled_activation(vault: Vault) -> None:
    replacement(vault)
    vault.activate(2)
    vault.register(3)
    assert vault.status().scheduled is None
    vault.now += DELAY
    assert reason(vault.activate(2)) is DenyReason.STALE
    assert isinstance(vault.activate(3), Scheduled)


def test_a_new_registration_leaves_a_scheduled_deletion_alone(vault: Vault) -> None:
    scheduled = vault.delete()
    replacement(vault)
    assert vault.status().scheduled == scheduled


def test_another_unsigned_request_takes_the_place_and_waits_from_the_start(vault: Vault) -> None:
    """VAULT-UNSIGNED-WAITS."""
    vault.delete()
    replacement(vault)
    vault.now += DELAY - 1
    vault.activate(2)
    scheduled = vault.delete()
    assert isinstance(scheduled, Scheduled)
    assert scheduled.due_at == vault.now + DELAY


def test_destruction_drops_what_is_scheduled(vault: Vault) -> None:
    vault.delete()
    destroy(vault)
    assert vault.status().scheduled is None
