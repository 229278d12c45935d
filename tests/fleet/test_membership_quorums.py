"""All pairs of majorities of the steps of a membership change: which meet always, and which need the sweep between."""

from __future__ import annotations

from itertools import combinations

import pytest

Members = frozenset[int]
SIZES = (3, 5, 7, 9)


def quorums(members: Members) -> list[Members]:
    """The smallest ones: a larger one contains one of these."""
    return [frozenset(chosen) for chosen in combinations(sorted(members), len(members) // 2 + 1)]


def disjoint(before: Members, after: Members, apart_from: Members = frozenset()) -> list[tuple[Members, Members]]:
    """The pairs of quorums that have no member in common but perhaps those of `apart_from`."""
    return [(left, right) for left in quorums(before) for right in quorums(after) if not (left & right) - apart_from]


@pytest.mark.parametrize("n", SIZES)
def test_consecutive_steps_of_the_procedure_always_meet_in_a_replica_that_stays(n: int) -> None:
    """VAULT-MEMBERSHIP-ONE-AT-A-TIME: one removed, or one added; whichever replica it is."""
    old = frozenset(range(1, n + 1))
    for removed in old:
        rest = old - {removed}
        new = rest | {100 + removed}
        assert disjoint(old, rest) == []
        assert disjoint(rest, new) == []


@pytest.mark.parametrize("n", SIZES)
def test_even_groups_lose_and_win_one_member_with_quorums_that_meet_too(n: int) -> None:
    even = frozenset(range(1, n))
    assert disjoint(even, even | {100}) == []
    for removed in even:
        assert disjoint(even, even - {removed}) == [] or n == 3  # two members minus one is no group


@pytest.mark.parametrize("n", SIZES)
def test_two_steps_apart_the_old_and_the_new_need_not_meet(n: int) -> None:
    """Why direct replacement, and growing without the sweep, are refused: also with the newcomer not empty."""
    old = frozenset(range(1, n + 1))
    assert disjoint(old, old - {n} | {100 + n})


@pytest.mark.parametrize("n", SIZES)
def test_the_fence_leaves_no_majority_of_the_epoch_before(n: int) -> None:
    """A majority of e + 1 has left e: whoever stays behind, the removed replica too, is no majority of e."""
    old = frozenset(range(1, n + 1))
    for removed in old:
        for fenced in quorums(old - {removed}):
            assert len(old - fenced) < n // 2 + 1


@pytest.mark.parametrize("n", SIZES)
def test_the_next_replacement_needs_no_certificate_of_the_epoch_that_added(n: int) -> None:
    """From e + 1 over e + 2 (grown, odd) to e + 3 (another one removed), also by those still in e + 1."""
    rest = frozenset(range(1, n))
    grown = rest | {100}
    for removed in rest:
        after = grown - {removed}
        assert disjoint(rest, after, frozenset({100})) == []
        for fenced in quorums(after):
            assert len(rest - fenced) < len(rest) // 2 + 1


@pytest.mark.parametrize("n", SIZES)
def test_a_newcomer_that_never_votes_costs_a_group_of_odd_size_nothing(n: int) -> None:
    """Why its epoch can be finished without it: as many of the others serve in it as before and after."""
    rest = frozenset(range(1, n))
    assert n // 2 + 1 == (n - 1) // 2 + 1
    without_it = [quorum for quorum in quorums(rest | {100}) if 100 not in quorum]
    assert sorted(map(sorted, without_it)) == sorted(map(sorted, quorums(rest)))


def test_growing_to_an_even_size_and_removing_does_not_meet() -> None:
    """Why an epoch with an even group is left with a certificate only."""
    odd = frozenset({1, 2, 3})
    assert disjoint(odd, odd - {1} | {100})
