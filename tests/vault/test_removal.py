"""Deleting and cancelling, as sentences."""

from __future__ import annotations

import pytest

from hsm_app.errors import DenyReason
from hsm_app.vault.events import EventKind
from hsm_app.vault.owner import NO_REGISTRATION, Action
from hsm_app.vault.record import Scheduled, State
from hsm_app.vault.record_codec import decode_record
from hsm_app.vault.removal import Cancelled, Deleted
from tests.vault.example import (
    DELAY,
    UNSIGNED,
    Vault,
    destroy,
    held,
    reason,
    registration,
    replacement,
    signed,
)


def test_there_is_nothing_to_delete_in_an_empty_record() -> None:
    assert reason(Vault().delete()) is DenyReason.NO_RECORD


def test_the_owner_deletes_at_once(vault: Vault) -> None:
    """VAULT-DELETE-TOMBSTONE: a generation later nothing is left but the logs."""
    replacement(vault)
    assert vault.delete(signed(1, Action.DELETE, 1)) == Deleted(generation=2)
    record = decode_record(vault.value)
    assert (record.state, record.active, record.pending) == (State.DELETED, None, None)
    for number in (1, 2):
        for secret in (registration(number).key.blob, registration(number).payload, registration(number).opaque_record):
            assert secret not in vault.value
    assert reason(vault.start(1)) is DenyReason.NO_RECORD
    assert vault.status().events[-1].kind == EventKind.DELETED


def test_deleting_again_answers_again(vault: Vault) -> None:
    claim = signed(1, Action.DELETE, 1)
    vault.delete(claim)
    before = held(vault)
    assert vault.delete(claim) == Deleted(generation=2)
    assert vault.value == before


def test_a_captured_delete_does_not_delete_what_is_registered_later(vault: Vault) -> None:
    claim = signed(1, Action.DELETE, 1)
    vault.delete(claim)
    vault.register(1)  # its id is spent
    vault.register(2)
    vault.activate(2)
    assert reason(vault.delete(claim)) is DenyReason.OWNER_REQUIRED


def test_an_unsigned_delete_waits_for_the_whole_delay(vault: Vault) -> None:
    """VAULT-UNSIGNED-WAITS."""
    scheduled = vault.delete()
    assert scheduled == Scheduled(action=Action.DELETE, registration_id=NO_REGISTRATION, due_at=vault.now + DELAY)
    vault.now += DELAY - 1
    assert vault.delete() == scheduled
    vault.now += 1
    assert vault.delete() == Deleted(generation=2)


def test_a_wrong_signature_does_not_even_schedule(vault: Vault) -> None:
    assert reason(vault.delete(signed(2, Action.DELETE, 1))) is DenyReason.OWNER_REQUIRED
    assert vault.status().scheduled is None


def test_what_is_destroyed_or_only_pending_is_deleted_without_a_signature(vault: Vault) -> None:
    destroy(vault)
    assert vault.delete() == Deleted(generation=2)
    fresh = Vault()
    fresh.register(1)
    assert fresh.delete() == Deleted(generation=1)
    assert reason(fresh.activate(1)) is DenyReason.STALE


def test_the_owner_cancels_a_deletion(vault: Vault) -> None:
    vault.delete()
    assert vault.cancel(signed(1, Action.CANCEL, 1)) == Cancelled(generation=1)
    assert vault.status().scheduled is None
    vault.now += DELAY
    assert isinstance(vault.delete(), Scheduled)


def test_cancelling_a_replacement_drops_it_for_good(vault: Vault) -> None:
    """VAULT-CANCEL-STICKS: neither message of it can be replayed."""
    replacement(vault)
    vault.activate(2)
    vault.cancel(signed(1, Action.CANCEL, 1))
    assert reason(vault.activate(2)) is DenyReason.STALE
    assert reason(vault.register(2)) is DenyReason.STALE
    assert not vault.status().pending


def test_cancelling_with_nothing_scheduled_changes_nothing(vault: Vault) -> None:
    replacement(vault)
    before = held(vault)
    assert vault.cancel(signed(1, Action.CANCEL, 1)) == Cancelled(generation=1)
    assert vault.value == before


@pytest.mark.parametrize("claim", [UNSIGNED, signed(2, Action.CANCEL, 1), signed(1, Action.DELETE, 1)])
def test_nobody_else_cancels(vault: Vault, claim: object) -> None:
    """VAULT-CANCEL-OWNER-ONLY."""
    vault.delete()
    before = held(vault)
    assert reason(vault.cancel(claim)) is DenyReason.OWNER_REQUIRED  # type: ignore[arg-type]
    assert vault.value == before


def test_there_is_nothing_to_cancel_where_nothing_is_live(vault: Vault) -> None:
    destroy(vault)
    assert reason(vault.cancel(signed(1, Action.CANCEL, 1))) is DenyReason.DESTROYED
    assert reason(Vault().cancel(UNSIGNED)) is DenyReason.NO_RECORD


def test_a_success_cancels_what_is_scheduled_once(vault: Vault) -> None:
    """VAULT-SUCCESS-CANCELS: the first finish does; a repeated one leaves alone what came after it."""
    vault.delete()
    ticket = vault.charge(1)
    vault.finish(1, ticket, right=True)
    assert vault.status().scheduled is None
    scheduled = vault.delete()
    vault.finish(1, ticket, right=True)
    assert vault.status().scheduled == scheduled


def test_a_wrong_code_cancels_nothing(vault: Vault) -> None:
    scheduled = vault.delete()
    vault.recover(1, right=False)
    assert vault.status().scheduled == scheduled
