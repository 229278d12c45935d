"""Clocks that differ, and what status tells, as sentences."""

from __future__ import annotations

from hsm_app.errors import Denied, DenyReason
from hsm_app.vault.events import EventKind
from hsm_app.vault.owner import Action
from hsm_app.vault.record import State
from hsm_app.vault.record_codec import decode_record
from hsm_app.vault.recovery import Charged
from hsm_app.vault.registration import Activated
from tests.vault.example import (
    Vault,
    active_vault,
    held,
    policy,
    reason,
    registration_id,
    replacement,
    signed,
)


def test_a_clock_behind_the_record_decides_no_wait() -> None:
    """VAULT-CLOCK-NOT-BACK."""
    vault = active_vault(policy(waits=(30,)))
    vault.charge(1)
    vault.now -= 61
    before = held(vault)
    answer = vault.start(2)
    assert isinstance(answer, Denied)
    assert (answer.reason, answer.retry_after) == (DenyReason.RETRY_LATER, 61)
    assert "clock" in answer.what
    assert vault.value == before


def test_a_clock_behind_the_record_schedules_nothing_and_carries_nothing_out(vault: Vault) -> None:
    """VAULT-CLOCK-NOT-BACK."""
    vault.delete()
    vault.now -= 61
    assert reason(vault.delete()) is DenyReason.RETRY_LATER
    replacement(vault)
    assert reason(vault.activate(2)) is DenyReason.RETRY_LATER


def test_a_clock_a_minute_behind_is_taken_for_the_records_time() -> None:
    """VAULT-TIME-NEVER-BACK."""
    vault = active_vault(policy(waits=(30,)))
    vault.charge(1)
    time = decode_record(vault.value).last_time
    vault.now -= 60
    answer = vault.start(2)
    assert isinstance(answer, Denied)
    assert answer.retry_after == 30
    vault.now += 90
    vault.charge(2)
    assert decode_record(vault.value).last_time == time + 30


def test_what_no_time_decides_goes_on_under_any_clock(vault: Vault) -> None:
    """VAULT-NO-BOUND-ON-CLOCK: the count, repeats, a finish and the owner's word."""
    vault.now = 0
    ticket = vault.charge(1)
    assert isinstance(vault.start(1), Charged)
    vault.finish(1, ticket, right=True)
    replacement(vault)
    assert isinstance(vault.activate(2, signed(1, Action.ACTIVATE, 1, registration_id(2))), Activated)
    for number in range(2, 12):
        vault.charge(number)
    assert reason(vault.start(12)) is DenyReason.DESTROYED
    assert decode_record(vault.value).last_time > vault.now


def test_the_count_is_the_same_under_any_clock() -> None:
    """VAULT-NO-BOUND-ON-CLOCK: a clock that runs ahead frees no guess."""
    vault = active_vault(policy(waits=(60,)))
    for number in range(10):
        vault.charge(number)
        vault.now += 10**6
    assert reason(vault.start(10)) is DenyReason.DESTROYED


def test_an_empty_record_has_an_empty_status() -> None:
    status = Vault().status()
    assert (status.state, status.generation, status.attempts_left, status.maximum) == (State.EMPTY, 0, 0, 0)
    assert (status.pending, status.scheduled, status.events) == (False, None, ())


def test_status_tells_of_attempts_in_their_order(vault: Vault) -> None:
    """VAULT-STATUS-TELLS."""
    vault.charge(1)
    vault.recover(2, right=False)
    vault.delete()
    vault.recover(3, right=True)
    kinds = [event.kind for event in vault.status().events]
    assert kinds == [
        EventKind.REGISTERED,
        EventKind.ACTIVATED,
        EventKind.ATTEMPT_UNFINISHED,
        EventKind.WRONG_CODE,
        EventKind.DELETION_SCHEDULED,
        EventKind.RECOVERED,
        EventKind.CANCELLED,
    ]


def test_the_destruction_stands_after_the_attempts_of_the_same_second(vault: Vault) -> None:
    for number in range(10):
        vault.recover(number, right=False)
    kinds = [event.kind for event in vault.status().events]
    assert kinds[2:] == [EventKind.WRONG_CODE] * 10 + [EventKind.DESTROYED]


def test_status_and_success_tell_the_last_sixteen(vault: Vault) -> None:
    for number in range(20):
        vault.now += 1
        answer = vault.recover(number, right=True)
    assert len(vault.status().events) == 16
    assert vault.status().events[-1].at == vault.now
    assert answer.events == vault.status().events  # type: ignore[union-attr]


def test_whoever_guessed_cannot_hide_it_behind_other_events(vault: Vault) -> None:
    """VAULT-STATUS-TELLS: the owner hears of every guess since the last success, and of the latest other events."""
    for number in range(9):
        vault.recover(number, right=False)
    for number in range(2, 20):  # registrations that nobody activates need no code and no owner's key
        vault.register(number)
    answer = vault.recover(9, right=True)
    kinds = [event.kind for event in answer.events]  # type: ignore[union-attr]
    assert kinds.count(EventKind.WRONG_CODE) == 9
    assert (kinds.count(EventKind.REGISTERED), kinds[-1], len(kinds)) == (6, EventKind.RECOVERED, 16)


def test_attempts_do_not_push_out_what_is_not_an_attempt(vault: Vault) -> None:
    vault.delete()
    for number in range(40):
        vault.recover(number, right=False) if number % 2 else vault.recover(number, right=True)
    kinds = [kind for kind, _, _ in decode_record(vault.value).events.entries()]
    assert EventKind.DELETION_SCHEDULED in kinds
    assert EventKind.DELETION_SCHEDULED in {event.kind for event in vault.status().events}
