"""Faults put into the rules on purpose: each must be seen by the enumerator and by the random machine.

A fault is a replacement of text in one function; when the text is no longer there, the test says so.
"""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Callable
from types import FunctionType
from typing import Any

import pytest
from hypothesis import Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from hsm_app.vault import recovery, registration, removal, schedule
from tests.vault.enumerate_worlds import begun, guesses, lives, worlds
from tests.vault.ledger import BrokenPromiseError
from tests.vault.test_any_order import AnyOrder

Fault = tuple[Callable[..., Any], str, str]
FAULTS: dict[str, Fault] = {
    "a success gives back later charges": (
        recovery._succeed,
        "max(record.last_success, attempt.sequence)",
        "record.sequence",
    ),
    "a late success takes back what an earlier one gave": (
        recovery._succeed,
        "max(record.last_success, attempt.sequence)",
        "attempt.sequence",
    ),
    "a repeated finish acts again": (
        recovery._succeed,
        "attempt.outcome is AttemptOutcome.SUCCEEDED",
        "False",
    ),
    "one attempt id takes a second guess": (recovery._known_attempt, "known.ke1_hash != ke1_hash", "False"),
    "an old attempt is evaluated under the new key": (
        recovery._known_attempt,
        "known.generation != record.generation",
        "False",
    ),
    "an evaluation leaves without its charge": (recovery._charge, "Outcome(record=after", "Outcome(record=None"),
    "one charge too many": (recovery.start_recovery, "attempts_left(record) < 1", "attempts_left(record) < 0"),
    "a replayed start with nothing left destroys": (
        recovery.start_recovery,
        "if known is not None:",
        "if known is not None and attempts_left(record) > 0:",
    ),
    "an old ticket opens the new registration": (
        recovery.finish_recovery,
        "generation != record.generation",
        "False",
    ),
    "an unsigned request does not wait": (schedule.waiting, "time >= scheduled.due_at", "True"),
    "an unsigned deletion is carried out at once": (removal.delete, "scheduled is not None", "False"),
    "a replacement stays in its generation": (
        registration._begin_generation,
        "record.generation + 1",
        "record.generation",
    ),
}


@pytest.fixture(params=FAULTS.values(), ids=FAULTS.keys())
def fault(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the fault into the function's own code, so that every caller meets it."""
    function, right, wrong = request.param
    assert isinstance(function, FunctionType)
    source = textwrap.dedent(inspect.getsource(function))
    assert source.count(right) == 1, f"{function.__name__} no longer has this text once: {right}"
    names: dict[str, Any] = {}
    exec(source.replace(right, wrong), function.__globals__, names)
    monkeypatch.setattr(function, "__code__", names[function.__name__].__code__)


@pytest.mark.usefixtures("fault")
def test_the_enumerator_sees_that() -> None:
    with pytest.raises(BrokenPromiseError):
        _ = worlds(begun(), guesses, depth=6), worlds(begun(), lives, depth=5, ticks=True)


@pytest.mark.usefixtures("fault")
def test_the_random_machine_sees_that() -> None:
    quick = settings(max_examples=400, stateful_step_count=60, derandomize=True, database=None)
    with pytest.raises(BrokenPromiseError):
        run_state_machine_as_test(AnyOrder, settings=settings(quick, phases=[Phase.generate]))
