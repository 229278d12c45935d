"""Verdicts: the worst of them decides, and what nobody looked at is never a pass."""

from __future__ import annotations

import pytest

from hsm_app.errors import ConfigError, LogError, StoreError
from hsm_app.evidence.verdict import Check, Outcome, Verdict, attempt, complete, overall

PASS, FAIL, NOT_PROVEN = Outcome.PASS, Outcome.FAIL, Outcome.NOT_PROVEN
WORST = {
    "all pass": ((PASS, PASS), PASS, 0),
    "one is not proven": ((PASS, NOT_PROVEN, PASS), NOT_PROVEN, 11),
    "one fails": ((PASS, FAIL), FAIL, 10),
    "a failure is worse than a lack of proof, in any order": ((NOT_PROVEN, FAIL, NOT_PROVEN), FAIL, 10),
    "nothing was looked at": ((), NOT_PROVEN, 11),
}


@pytest.mark.parametrize(("outcomes", "worst", "exit_code"), WORST.values(), ids=WORST.keys())
def test_the_worst_decides(outcomes: tuple[Outcome, ...], worst: Outcome, exit_code: int) -> None:
    verdicts = {str(number): Verdict(outcome, "why") for number, outcome in enumerate(outcomes)}
    assert overall(verdicts) is worst
    assert worst.exit_code == exit_code


def test_a_check_that_nobody_made_is_not_proven() -> None:
    checks = [Check("first", "it holds", "the rest"), Check("second", "it holds", "the rest")]
    verdicts = complete(checks, {"second": Verdict(PASS, "seen")})
    assert list(verdicts) == ["first", "second"]
    assert (verdicts["first"].outcome, verdicts["second"].outcome) == (NOT_PROVEN, PASS)
    assert overall(verdicts) is NOT_PROVEN


@pytest.mark.parametrize("error", [LogError("proof", "it is wrong"), ConfigError("it is wrong")])
def test_a_check_that_raises_fails_with_its_words(error: Exception) -> None:
    def check() -> None:
        raise error

    assert attempt(check, "fine") == Verdict(FAIL, "it is wrong")
    assert attempt(lambda: None, "fine") == Verdict(PASS, "fine")


def test_a_store_that_cannot_be_read_is_no_verdict() -> None:
    def check() -> None:
        raise StoreError("the disk is full")

    with pytest.raises(StoreError):
        attempt(check, "fine")
