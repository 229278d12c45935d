"""PASS, FAIL or NOT-PROVEN: what a look at evidence says of each check, and how a program ends after it.

NOT-PROVEN is for what cannot be told from what is at hand. It is no failure, and it is never counted as a pass: a check
that nobody made is NOT-PROVEN, and the whole is as good as the worst of its parts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from hsm_app.errors import ConfigError, LogError


class Outcome(StrEnum):
    PASS = "PASS"
    FAIL = "FAIL"
    NOT_PROVEN = "NOT-PROVEN"

    @property
    def exit_code(self) -> int:
        """0 for PASS; for FAIL the code of LogError; NOT-PROVEN has 11, so that no script takes it for either."""
        return {Outcome.PASS: 0, Outcome.FAIL: LogError.exit_code, Outcome.NOT_PROVEN: 11}[self]


@dataclass(frozen=True, slots=True)
class Verdict:
    outcome: Outcome
    why: str


Verdicts = Mapping[str, Verdict]


@dataclass(frozen=True, slots=True)
class Check:
    """A check by its name, what a PASS says, and what even a PASS does not prove. Sentences for people."""

    name: str
    says: str
    is_silent_on: str


def attempt(check: Callable[[], object], passed: str) -> Verdict:
    """Return PASS with these words when a check raises nothing, otherwise FAIL with the error's."""
    try:
        check()
    except (LogError, ConfigError) as error:
        return Verdict(Outcome.FAIL, error.what)
    return Verdict(Outcome.PASS, passed)


def complete(checks: Iterable[Check], verdicts: Verdicts) -> Verdicts:
    """Return a verdict on each of `checks`, in their order. What has none is NOT-PROVEN."""
    missing = Verdict(Outcome.NOT_PROVEN, "not looked at")
    return {check.name: verdicts.get(check.name, missing) for check in checks}


def overall(verdicts: Verdicts) -> Outcome:
    """Return the worst outcome: FAIL before NOT-PROVEN before PASS. No verdict at all is NOT-PROVEN."""
    return worst(verdict.outcome for verdict in verdicts.values())


def worst(outcomes: Iterable[Outcome]) -> Outcome:
    """Return the worst of several. None at all is NOT-PROVEN."""
    seen = set(outcomes) or {Outcome.NOT_PROVEN}
    return next(one for one in (Outcome.FAIL, Outcome.NOT_PROVEN, Outcome.PASS) if one in seen)
