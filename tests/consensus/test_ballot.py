"""Ballots: order, the packed form, and that none is ever issued twice."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hsm_app.consensus.ballot import BALLOT_LENGTH, COUNTER_LIMIT, ZERO, Ballot, BallotSource
from hsm_app.errors import ProtocolError

ballots = st.builds(
    Ballot,
    st.integers(0, COUNTER_LIMIT - 1),
    st.integers(0, 2**32 - 1),
    st.integers(0, 2**32 - 1),
    st.integers(0, 2**32 - 1),
)

ORDERED = [
    ZERO,
    Ballot(0, 1, 1, 1),
    Ballot(1, 1, 1, 1),
    Ballot(1, 1, 1, 2),  # the boot decides last
    Ballot(1, 1, 2, 1),
    Ballot(1, 2, 1, 1),
    Ballot(2, 1, 1, 1),  # the counter decides first
    Ballot(256, 1, 1, 1),
]


def test_ballots_are_ordered_by_counter_then_replica_then_incarnation_then_boot() -> None:
    assert sorted(reversed(ORDERED)) == ORDERED


def test_packed_ballots_are_twenty_bytes() -> None:
    assert Ballot(1, 2, 3, 4).pack() == bytes.fromhex("0000000000000001 00000002 00000003 00000004")


@given(ballots, ballots)
def test_packed_ballots_sort_as_ballots_do_and_come_back(one: Ballot, other: Ballot) -> None:
    assert Ballot.unpack(one.pack()) == one
    assert (one.pack() < other.pack()) == (one < other)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        bytes(BALLOT_LENGTH - 1),
        bytes(BALLOT_LENGTH + 1),
        COUNTER_LIMIT.to_bytes(8, "big") + bytes(12),
        b"\xff" * 20,
    ],
    ids=["nothing", "a byte too few", "a byte too many", "the counter limit", "all ones"],
)
def test_no_ballot_is_read_from(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        Ballot.unpack(data)


def test_the_next_ballot_is_greater_and_the_same_replicas() -> None:
    assert Ballot(7, 1, 2, 3).next() == Ballot(8, 1, 2, 3)


@given(st.lists(st.none() | ballots, max_size=30))
def test_a_source_issues_each_ballot_once_and_above_all_it_observed(steps: list[Ballot | None]) -> None:
    source = BallotSource(replica=3, incarnation=2, boot=9)
    floor = ZERO
    for observed in steps:
        if observed is not None:
            source.observe(observed)
            floor = max(floor, observed)
            continue
        issued = source.issue()
        assert issued > floor
        assert issued[1:] == (3, 2, 9)
        floor = issued
