"""The checker on histories that are known to be good, and on ones that are known to be bad."""

from __future__ import annotations

import pytest

from tests.simulation.linearizability import ROOT, Operation, linearizability_fault


def wrote(version: bytes, parent: bytes, began: float, ended: float | None) -> Operation:
    return Operation(began, ended, version, parent)


def read(version: bytes, began: float, ended: float) -> Operation:
    return Operation(began, ended, version)


A, B, C = b"a", b"b", b"c"

GOOD = {
    "nothing": [],
    "a read of what was never written": [read(ROOT, 1, 2)],
    "one after the other": [wrote(A, ROOT, 1, 2), wrote(B, A, 3, 4), read(B, 5, 6)],
    "two at once, the one that began later first": [wrote(B, A, 1, 9), wrote(A, ROOT, 2, 8)],
    "reads at the same time see either": [wrote(A, ROOT, 1, 9), read(A, 2, 3), read(ROOT, 2, 3)],
    "one without an answer took effect": [wrote(A, ROOT, 1, None), read(A, 2, 3)],
    "one without an answer took effect late": [wrote(A, ROOT, 1, None), read(ROOT, 2, 3), read(A, 4, 5)],
    "one without an answer took none": [wrote(A, ROOT, 1, None), wrote(B, ROOT, 2, 3), read(B, 4, 5)],
}
BAD = {
    "a lost update": [wrote(A, ROOT, 1, 2), wrote(B, ROOT, 3, 4)],
    "a lost update, both at once": [wrote(A, ROOT, 1, 9), wrote(B, ROOT, 1, 9)],
    "a stale read": [wrote(A, ROOT, 1, 2), read(ROOT, 3, 4)],
    "a read that goes back": [wrote(A, ROOT, 1, 2), wrote(B, A, 3, 9), read(B, 4, 5), read(A, 6, 7)],
    "an answer from a value that was lost": [wrote(A, ROOT, 1, None), read(A, 2, 3), wrote(B, ROOT, 4, 5)],
    "two answers from two values that were lost": [
        wrote(A, ROOT, 1, None),
        wrote(B, ROOT, 1, None),
        read(A, 2, 3),
        read(B, 2, 3),
    ],
    "a write that is answered before what it was written on": [wrote(B, A, 1, 2), wrote(A, ROOT, 3, 4)],
    "a read from the future": [read(A, 1, 2), wrote(A, ROOT, 3, 4)],
    "a value out of thin air": [wrote(A, ROOT, 1, 2), read(C, 3, 4)],
    "a value on top of thin air": [wrote(A, C, 1, 2)],
    "a version answered as new after it was read": [read(A, 2, 3), wrote(A, ROOT, 4, 5)],
}


@pytest.mark.parametrize("history", GOOD.values(), ids=GOOD.keys())
def test_a_single_register_could_have_answered(history: list[Operation]) -> None:
    assert linearizability_fault(history) is None


@pytest.mark.parametrize("history", BAD.values(), ids=BAD.keys())
def test_no_single_register_could_have_answered(history: list[Operation]) -> None:
    assert linearizability_fault(history) is not None
