"""The procedure loses no charge, whoever answers when, and each shortcut does: on the real acceptor and proposer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random

import pytest

from tests.fleet.membership_model import (
    Again,
    Choices,
    Size,
    again_without_the_sweep,
    another_manifest_of_the_epoch,
    direct_replacement,
    growing_without_the_sweep,
    listing_before_the_fence,
    sweeping_into_old_members,
    sweeping_only_what_differs,
    the_procedure,
    the_procedure_again,
)

SAMPLE = 1500  # of the choices for five replicas; for three, all are tried
Procedure = Callable[[Size, Choices], bool]
SHORTCUTS = {
    "direct replacement": direct_replacement,
    "growing without the sweep": growing_without_the_sweep,
    "listing before the fence": listing_before_the_fence,
    "sweeping into old members": sweeping_into_old_members,
    "sweeping only what differs": sweeping_only_what_differs,
}


SecondProcedure = Callable[[Size, Choices, Again], bool]
SHORTCUTS_AGAIN = {
    "again without the sweep": again_without_the_sweep,
    "another manifest of the epoch": another_manifest_of_the_epoch,
}


def tried(n: int) -> Iterator[Choices]:
    yield from Size(n).choices() if n == 3 else Size(n).some(Random(n), SAMPLE)


def losses(procedure: Procedure, n: int) -> int:
    return sum(procedure(Size(n), choices) for choices in tried(n))


@pytest.mark.parametrize("n", [3, 5])
def test_the_procedure_loses_nothing_whoever_answers(n: int) -> None:
    """VAULT-MEMBERSHIP-SWEPT: each acknowledged charge is found in the epoch that added the newcomer."""
    assert losses(the_procedure, n) == 0


def losses_again(procedure: SecondProcedure, n: int) -> int:
    size, random = Size(n), Random(n)
    pairs = zip(size.some(random, SAMPLE), size.again(random, SAMPLE), strict=True)
    return sum(procedure(size, choices, again) for choices, again in pairs)


@pytest.mark.parametrize("n", [3, 5])
def test_a_successor_that_dies_is_replaced_too_and_nothing_is_lost_whoever_answers(n: int) -> None:
    """VAULT-MEMBERSHIP-ISSUED-STAYS: whether it had voted or not, and whether it is dead or not."""
    assert losses_again(the_procedure_again, n) == 0


@pytest.mark.parametrize("shortcut", SHORTCUTS_AGAIN.values(), ids=SHORTCUTS_AGAIN.keys())
def test_a_shortcut_around_a_dead_successor_loses_a_charge(shortcut: SecondProcedure) -> None:
    """VAULT-MEMBERSHIP-ISSUED-STAYS"""
    assert all(losses_again(shortcut, n) > 0 for n in (3, 5))


@pytest.mark.parametrize("shortcut", SHORTCUTS.values(), ids=SHORTCUTS.keys())
def test_a_shortcut_loses_a_charge(shortcut: Procedure) -> None:
    assert losses(shortcut, 5) > 0
    # Of two members both list, so that nothing is skipped which only one of them knows.
    assert (losses(shortcut, 3) > 0) == (shortcut is not sweeping_only_what_differs)


def test_why_a_record_that_a_majority_holds_alike_is_swept_all_the_same() -> None:
    """The case that `consensus.sweep` tells: A, B and C are 1, 2 and 3, D is 4, X is 5 and its successor 105."""
    choices = Choices(
        charged=frozenset({1, 2, 3}),
        promised=frozenset({3, 4, 5}),
        accepted=frozenset({4}),
        fenced=frozenset({1, 2, 3}),
        swept=frozenset({1, 2, 3}),
        last=frozenset({1, 2, 105}),
        read=frozenset({3, 4, 105}),
    )
    assert sweeping_only_what_differs(Size(5), choices)
    assert not the_procedure(Size(5), choices)
