"""Charges, successes and destruction, as sentences. Each plays on one record; `left` is what status reports."""

from __future__ import annotations

import pytest

from hsm_app.errors import Denied, DenyReason
from hsm_app.vault.record import State
from hsm_app.vault.record_codec import decode_record
from hsm_app.vault.recovery import Charged, Recovered
from tests.vault.example import Vault, active_vault, policy, reason, registration


def left(vault: Vault) -> int:
    return vault.status().attempts_left


def test_a_start_is_charged_before_it_is_answered(vault: Vault) -> None:
    """VAULT-ATTEMPT-CHARGED-FIRST."""
    answer = vault.start(1)
    assert isinstance(answer, Charged)
    assert (answer.sequence, answer.attempts_left, answer.fresh) == (1, 9, True)
    attempt = next(iter(decode_record(vault.value).attempts.latest(1)))
    assert attempt[0] == 1
    assert left(vault) == 9


def test_the_charge_names_the_registration_to_evaluate(vault: Vault) -> None:
    assert vault.charge(1).registration == registration(1)


def test_the_same_start_again_is_free(vault: Vault) -> None:
    first = vault.charge(1)
    value = vault.value
    for _ in range(10):
        again = vault.charge(1)
        assert (again.sequence, again.fresh, again.attempts_left) == (first.sequence, False, 9)
    assert vault.value == value


def test_a_replayed_start_is_free_with_nothing_left(vault: Vault) -> None:
    """VAULT-ATTEMPT-ID-FIRST."""
    for number in range(10):
        vault.charge(number)
    value = vault.value
    for number in range(10):
        assert not vault.charge(number).fresh
    assert vault.value == value


def test_a_start_is_free_after_its_success(vault: Vault) -> None:
    vault.recover(1, right=True)
    value = vault.value
    assert not vault.charge(1).fresh
    assert vault.value == value


def test_the_same_attempt_with_another_ke1_is_refused(vault: Vault) -> None:
    """VAULT-ONE-KE1-PER-CHARGE."""
    vault.charge(1)
    value = vault.value
    assert reason(vault.start(1, question=2)) is DenyReason.ATTEMPT_REUSED
    assert vault.value == value


def test_another_ke1_is_refused_also_after_a_success(vault: Vault) -> None:
    vault.recover(1, right=True)
    assert reason(vault.start(1, question=2)) is DenyReason.ATTEMPT_REUSED


def test_another_ke1_is_refused_also_where_the_record_is_destroyed(vault: Vault) -> None:
    vault.charge(1)
    for number in range(2, 12):
        vault.start(number)
    assert reason(vault.start(1, question=2)) is DenyReason.ATTEMPT_REUSED


def test_an_attempt_of_an_earlier_generation_is_stale(vault: Vault) -> None:
    """VAULT-FINISH-MATCHES-CHARGE."""
    ticket = vault.charge(1)
    for number in range(2, 12):
        vault.start(number)
    vault.register(2)
    vault.activate(2)
    value = vault.value
    assert reason(vault.start(1)) is DenyReason.STALE
    assert reason(vault.finish(1, ticket, right=True)) is DenyReason.STALE
    assert vault.value == value


def test_ten_wrong_codes_count_down_and_destroy(vault: Vault) -> None:
    answers = [vault.recover(number, right=False) for number in range(10)]
    assert [reason(answer) for answer in answers] == [DenyReason.WRONG_CODE] * 10
    assert [answer.attempts_left for answer in answers if isinstance(answer, Denied)] == [*range(9, -1, -1)]
    assert vault.status().state is State.DESTROYED


def test_the_right_code_is_useless_after_ten_wrong_ones(vault: Vault) -> None:
    for number in range(10):
        vault.recover(number, right=False)
    assert reason(vault.start(99)) is DenyReason.DESTROYED


def test_ten_starts_without_finish_do_not_destroy(vault: Vault) -> None:
    for number in range(10):
        vault.charge(number)
    assert vault.status().state is State.ACTIVE
    assert left(vault) == 0


def test_the_eleventh_start_destroys(vault: Vault) -> None:
    """VAULT-DESTROY-ON-NEW-ATTEMPT."""
    for number in range(10):
        vault.charge(number)
    answer = vault.start(10)
    assert reason(answer) is DenyReason.DESTROYED
    assert isinstance(answer, Denied)
    assert answer.attempts_left == 0
    assert vault.status().state is State.DESTROYED


def test_a_destroyed_record_keeps_no_secret(vault: Vault) -> None:
    """VAULT-DESTROYED-ERASES."""
    vault.register(2)
    for number in range(11):
        vault.start(number)
    record = decode_record(vault.value)
    assert (record.active, record.pending, record.scheduled, record.generation) == (None, None, None, 1)
    for number in (1, 2):
        kept = registration(number)
        for secret in (kept.key.blob, kept.opaque_record, kept.payload, kept.owner_public_key):
            assert secret not in vault.value


def test_the_tenth_attempt_may_still_succeed(vault: Vault) -> None:
    for number in range(9):
        vault.charge(number)
    assert isinstance(vault.recover(9, right=True), Recovered)
    assert left(vault) == 10


def test_a_wrong_ke3_for_an_earlier_charge_does_not_destroy(vault: Vault) -> None:
    tickets = [vault.charge(number) for number in range(10)]
    answer = vault.finish(0, tickets[0], right=False)
    assert isinstance(answer, Denied)
    assert (answer.reason, answer.attempts_left) == (DenyReason.WRONG_CODE, 0)
    assert isinstance(vault.finish(9, tickets[9], right=True), Recovered)


def test_a_wrong_ke3_for_the_last_charge_destroys_at_once(vault: Vault) -> None:
    """VAULT-DESTROY-ON-LAST-FAILURE."""
    tickets = [vault.charge(number) for number in range(10)]
    assert reason(vault.finish(9, tickets[9], right=False)) is DenyReason.WRONG_CODE
    assert vault.status().state is State.DESTROYED
    assert reason(vault.finish(9, tickets[9], right=False)) is DenyReason.DESTROYED
    assert reason(vault.finish(3, tickets[3], right=True)) is DenyReason.DESTROYED


def test_a_success_returns_the_payload(vault: Vault) -> None:
    answer = vault.recover(1, right=True)
    assert isinstance(answer, Recovered)
    assert answer.payload == registration(1).payload
    assert answer.generation == 1


def test_a_success_gives_back_what_came_before_it(vault: Vault) -> None:
    for number in range(9):
        vault.recover(number, right=False)
    vault.recover(9, right=True)
    assert left(vault) == 10


def test_a_success_gives_nothing_back_of_later_charges(vault: Vault) -> None:
    """VAULT-SUCCESS-GIVES-BACK-OWN."""
    early = vault.charge(0)
    for number in range(1, 6):
        vault.charge(number)
    vault.finish(0, early, right=True)
    assert left(vault) == 5


def test_a_late_success_of_an_early_attempt_takes_nothing_back(vault: Vault) -> None:
    early = vault.charge(0)
    vault.recover(1, right=True)
    vault.charge(2)
    vault.finish(0, early, right=True)
    assert left(vault) == 9


def test_a_repeated_finish_returns_the_payload_and_changes_nothing(vault: Vault) -> None:
    """VAULT-SUCCESS-ONCE."""
    ticket = vault.charge(0)
    first = vault.finish(0, ticket, right=True)
    value = vault.value
    assert vault.finish(0, ticket, right=True) == first
    assert vault.value == value


def test_nine_guesses_a_repeated_finish_and_two_more_guesses_destroy(vault: Vault) -> None:
    ticket = vault.charge(0)
    vault.finish(0, ticket, right=True)
    for number in range(1, 10):
        vault.recover(number, right=False)
    assert isinstance(vault.finish(0, ticket, right=True), Recovered)
    assert left(vault) == 1
    vault.recover(10, right=False)
    assert vault.status().state is State.DESTROYED


def test_a_repeated_wrong_finish_changes_nothing(vault: Vault) -> None:
    ticket = vault.charge(0)
    vault.finish(0, ticket, right=False)
    value = vault.value
    answer = vault.finish(0, ticket, right=False)
    assert isinstance(answer, Denied)
    assert (answer.reason, answer.attempts_left) == (DenyReason.WRONG_CODE, 9)
    assert vault.value == value


def test_a_wrong_finish_after_the_success_takes_nothing_away(vault: Vault) -> None:
    ticket = vault.charge(0)
    vault.finish(0, ticket, right=True)
    value = vault.value
    assert reason(vault.finish(0, ticket, right=False)) is DenyReason.WRONG_CODE
    assert vault.value == value


def test_a_valid_mac_after_a_wrong_one_still_proves_the_code(vault: Vault) -> None:
    ticket = vault.charge(0)
    vault.finish(0, ticket, right=False)
    assert isinstance(vault.finish(0, ticket, right=True), Recovered)
    assert left(vault) == 10


def test_a_ticket_with_another_sequence_is_stale(vault: Vault) -> None:
    """VAULT-FINISH-MATCHES-CHARGE."""
    ticket = vault.charge(0)
    vault.charge(1)
    assert reason(vault.finish(1, ticket, right=True)) is DenyReason.STALE


def test_a_ticket_of_an_attempt_that_is_no_longer_in_the_log_is_stale(vault: Vault) -> None:
    ticket = vault.charge(0)
    for number in range(1, 33):
        vault.recover(number, right=True)
    assert reason(vault.finish(0, ticket, right=True)) is DenyReason.STALE


def test_an_attempt_is_known_for_thirty_one_later_ones(vault: Vault) -> None:
    vault.charge(0)
    for number in range(1, 32):
        vault.recover(number, right=True)
    value = vault.value
    assert not vault.charge(0).fresh
    assert vault.value == value


def test_nothing_can_be_recovered_from_a_pending_registration(vault: Vault) -> None:
    fresh = Vault()
    fresh.register(1)
    assert reason(fresh.start(1)) is DenyReason.NO_RECORD


WAITS = {  # attempts without success so far, seconds since the latest of them -> seconds left to wait
    "the first attempt never waits": (0, 0, None),
    "the second wait is the second figure": (2, 0, 5),
    "a wait gets shorter as time passes": (2, 4, 1),
    "a wait that is over is over": (2, 5, None),
    "the last figure goes on": (6, 0, 60),
    "no wait where the figure is zero": (1, 0, None),
}


@pytest.mark.parametrize(("before", "later", "expected"), WAITS.values(), ids=WAITS.keys())
def test_waits_between_wrong_codes(before: int, later: int, expected: int | None) -> None:
    """VAULT-GROWING-WAITS: measured from the latest charge; nothing is charged by asking too early."""
    vault = active_vault(policy(waits=(0, 5, 30, 60)))
    for number in range(before):
        vault.charge(number)
        vault.now += 60
    vault.now += later - 60 if before else 0
    value = vault.value
    answer = vault.start(99)
    if expected is None:
        assert isinstance(answer, Charged)
        return
    assert isinstance(answer, Denied)
    assert (answer.reason, answer.retry_after) == (DenyReason.RETRY_LATER, expected)
    assert answer.attempts_left == 10 - before
    assert vault.value == value


def test_a_known_attempt_does_not_wait() -> None:
    """VAULT-ATTEMPT-ID-FIRST also before the clock."""
    vault = active_vault(policy(waits=(60,)))
    vault.charge(1)
    assert isinstance(vault.start(1), Charged)


def test_a_success_ends_the_waiting() -> None:
    vault = active_vault(policy(waits=(60,)))
    vault.recover(1, right=True)
    assert isinstance(vault.start(2), Charged)


def test_the_maximum_is_the_one_of_the_registration() -> None:
    """A policy that grows later gives no more guesses at what was registered before."""
    vault = active_vault(policy(maximum=3))
    vault.rules = policy(maximum=10)
    for number in range(3):
        vault.charge(number)
    assert reason(vault.start(3)) is DenyReason.DESTROYED
