"""The procedure loses no charge, whoever answers when, and each shortcut does: on the real acceptor and proposer."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.fleet.membership_model import (
    Choices,
    Run,
    Size,
    direct_replacement,
    growing_without_the_sweep,
    listing_before_the_fence,
    sweeping_into_old_members,
    the_procedure,
)

SIZES = (3, 5)
SHORTCUTS = {
    "direct replacement": direct_replacement,
    "growing without the sweep": growing_without_the_sweep,
    "listing before the fence": listing_before_the_fence,
    "sweeping into old members": sweeping_into_old_members,
}


def losses(procedure: Callable[[Size, Choices], Run], n: int) -> list[Choices]:
    size = Size(n)
    return [choices for choices in size.choices() if procedure(size, choices).has_lost]


@pytest.mark.parametrize("n", SIZES)
def test_the_procedure_loses_nothing_whichever_majorities_answer(n: int) -> None:
    """VAULT-MEMBERSHIP-SWEPT: each acknowledged charge is found in the epoch that added the newcomer."""
    assert losses(the_procedure, n) == []
    runs = [the_procedure(Size(n), choices) for choices in Size(n).choices()]
    assert {run.acknowledged for run in runs} == {1}, "the fence let a late charge through, or stopped the first one"


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("shortcut", SHORTCUTS.values(), ids=SHORTCUTS.keys())
def test_a_shortcut_loses_a_charge(shortcut: Callable[[Size, Choices], Run], n: int) -> None:
    lost = losses(shortcut, n)
    assert lost
    run = shortcut(Size(n), lost[0])
    assert (run.acknowledged, run.found) == (1, 0)
