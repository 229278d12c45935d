"""The proposer's rules as sentences: whom it counts, when a poll is decided, and from what a result may leave."""

from __future__ import annotations

import pytest

from hsm_app.consensus.acceptor import Accept, AcceptReply, Prepare, PrepareReply
from hsm_app.consensus.ballot import ZERO, Ballot, BallotSource
from hsm_app.consensus.proposer import (
    Ask,
    Chosen,
    Conflict,
    Held,
    HeldValues,
    Poll,
    Proposer,
    Reply,
    Step,
    Unreachable,
    Verdict,
)
from hsm_app.model import RecordId

FIVE = frozenset({1, 2, 3, 4, 5})
OURS = Ballot(1, 1, 1, 1)  # the first ballot of the source below
R = RecordId(bytes(32))


def b(counter: int, replica: int = 2) -> Ballot:
    return Ballot(counter, replica, 1, 1)


def promise(accepted: Ballot = ZERO, value: bytes = b"") -> PrepareReply:
    return PrepareReply(granted=True, seen=OURS, accepted=accepted, value=value)


YES = AcceptReply(granted=True, seen=OURS)
NO = AcceptReply(granted=False, seen=b(9))


def proposer() -> Proposer:
    return Proposer(members=FIVE, ballots=BallotSource(replica=1, incarnation=1, boot=1))


def poll_of(step: Step) -> Poll:
    assert isinstance(step, Poll)
    return step


def tell(poll: Poll, *replies: Reply | None) -> Poll:
    """Give the poll one reply from each of the members 1, 2, 3..."""
    for member, reply in enumerate(replies, 1):
        poll.hear(member, reply)
    return poll


def read(machine: Proposer, *replies: Reply | None) -> Step:
    return machine.conclude(tell(poll_of(machine.begin(None)), *replies))


OPEN, WON, LOST, AWAY = Verdict.OPEN, Verdict.WON, Verdict.LOST, Verdict.UNREACHABLE
POLLS: dict[str, tuple[list[tuple[int, Reply | None]], Verdict]] = {
    "nobody has answered": ([], OPEN),
    "two of five is no majority": ([(1, YES), (2, YES)], OPEN),
    "three of five is a majority": ([(1, YES), (2, YES), (3, YES)], WON),
    "one replica counted three times is one replica": ([(1, YES), (1, YES), (1, YES)], OPEN),
    "a stranger is not counted": ([(1, YES), (2, YES), (6, YES)], OPEN),
    "the first word of a member counts": ([(1, NO), (1, YES), (2, YES), (3, YES)], OPEN),
    "two refusals leave a majority possible": ([(1, NO), (2, NO)], OPEN),
    "two refusals and three grants win": ([(1, NO), (2, NO), (3, YES), (4, YES), (5, YES)], WON),
    "three refusals lose": ([(1, NO), (2, NO), (3, NO)], LOST),
    "two silent and one refusal lose": ([(1, None), (2, None), (3, NO)], LOST),
    "two silent and three grants win": ([(1, None), (2, None), (3, YES), (4, YES), (5, YES)], WON),
    "three silent are too many": ([(1, None), (2, None), (3, None)], AWAY),
    "three silent are too many whatever the others say": ([(1, YES), (2, YES), (3, None), (4, None), (5, None)], AWAY),
    "a word after the verdict changes nothing": ([(1, NO), (2, NO), (3, NO), (4, None), (5, None), (4, None)], LOST),
}


@pytest.mark.parametrize(("words", "verdict"), POLLS.values(), ids=POLLS.keys())
def test_poll(words: list[tuple[int, Reply | None]], verdict: Verdict) -> None:
    poll = Poll(Accept(ballot=OURS, value=b"v", next=OURS.next()), FIVE)
    for member, reply in words:
        told = poll.hear(member, reply)
        assert told is poll.verdict
    assert poll.verdict is verdict


@pytest.mark.parametrize("size", [3, 5, 7, 9])
def test_a_majority_is_more_than_half(size: int) -> None:
    poll = Poll(Prepare(ballot=OURS), frozenset(range(size)))
    verdicts = [poll.hear(member, promise()) for member in range(size)]
    assert verdicts.count(OPEN) == size // 2


def test_an_operation_without_a_held_value_prepares_first() -> None:
    assert poll_of(proposer().begin(None)).question == Prepare(ballot=OURS)


def test_an_operation_with_a_held_value_asks_at_once_and_accepts_under_the_held_ballot() -> None:
    machine = proposer()
    assert machine.begin(Held(value=b"v", ballot=b(7, 1))) == Ask(value=b"v")
    assert poll_of(machine.answer(b"w")).question == Accept(ballot=b(7, 1), value=b"w", next=OURS)


def test_the_value_of_the_highest_accepted_ballot_is_taken() -> None:
    step = read(proposer(), promise(b(3), b"old"), promise(b(5), b"new"), promise())
    assert step == Ask(value=b"new")


def test_a_change_is_accepted_under_the_promised_ballot_and_leaves_the_next_one() -> None:
    machine = proposer()
    read(machine, promise(), promise(), promise())
    poll = tell(poll_of(machine.answer(b"w")), YES, YES, YES)
    assert poll.question == Accept(ballot=OURS, value=b"w", next=OURS.next())
    assert machine.conclude(poll) == Chosen(held=Held(value=b"w", ballot=OURS.next()), rounds=2)


SETTLED = {
    "a majority that holds one accepted ballot has chosen it": [promise(b(3), b"v")] * 3,
    "a majority that accepted nothing shows that nothing is chosen": [promise()] * 3,
    "a refusal besides does not matter": [PrepareReply(granted=False, seen=b(9), accepted=ZERO, value=b"")]
    + [promise(b(3), b"v")] * 3,
}
UNSETTLED = {
    "only two of the majority hold the highest ballot": [promise(b(3), b"v"), promise(b(3), b"v"), promise()],
    "equal values under two ballots": [promise(b(3), b"v"), promise(b(2), b"v"), promise(b(3), b"v")],
    "one minority replica holds it": [promise(), promise(), promise(b(3), b"v")],
}


@pytest.mark.parametrize("replies", SETTLED.values(), ids=SETTLED.keys())
def test_a_result_leaves_after_one_poll_when(replies: list[Reply]) -> None:
    machine = proposer()
    step = read(machine, *replies)
    assert isinstance(step, Ask)
    assert machine.answer(None) == Chosen(held=Held(value=step.value, ballot=OURS), rounds=1)


@pytest.mark.parametrize("replies", UNSETTLED.values(), ids=UNSETTLED.keys())
def test_a_result_waits_for_the_write_back_when(replies: list[Reply]) -> None:
    machine = proposer()
    assert read(machine, *replies) == Ask(value=b"v")
    poll = poll_of(machine.answer(None))
    assert poll.question == Accept(ballot=OURS, value=b"v", next=OURS.next())
    assert machine.conclude(tell(poll, YES, YES, YES)) == Chosen(held=Held(value=b"v", ballot=OURS.next()), rounds=2)


def test_a_result_from_a_held_value_waits_for_the_write_back() -> None:
    machine = proposer()
    machine.begin(Held(value=b"v", ballot=b(7, 1)))
    assert poll_of(machine.answer(None)).question == Accept(ballot=b(7, 1), value=b"v", next=OURS)


def test_after_a_conflict_the_next_ballot_exceeds_the_one_that_stood_against_it() -> None:
    machine = proposer()
    refused = PrepareReply(granted=False, seen=b(9), accepted=ZERO, value=b"")
    assert read(machine, refused, refused, refused) == Conflict()
    assert poll_of(machine.again()).question == Prepare(ballot=Ballot(10, 1, 1, 1))


def test_a_value_read_after_a_conflict_is_not_settled_by_the_read_before_it() -> None:
    machine = proposer()
    read(machine, *[promise(b(3), b"v")] * 3)
    assert machine.conclude(tell(poll_of(machine.answer(b"w")), NO, NO, NO)) == Conflict()
    machine.conclude(tell(poll_of(machine.again()), promise(b(9), b"x"), promise(), promise()))
    assert isinstance(poll_of(machine.answer(None)).question, Accept)


def test_a_held_value_never_counts_as_read_even_after_a_settled_read() -> None:
    machine = proposer()
    read(machine, *[promise(b(3), b"v")] * 3)
    machine.begin(Held(value=b"v", ballot=b(7, 1)))
    assert isinstance(machine.answer(None), Poll)


def test_too_many_silent_members_end_the_operation() -> None:
    machine = proposer()
    assert read(machine, None, None, None) == Unreachable()
    assert not machine.ambiguous


AMBIGUITY = {
    "a change that was sent": (b"w", True),
    "a write-back of what others wrote": (None, False),
}


@pytest.mark.parametrize(("change", "ambiguous"), AMBIGUITY.values(), ids=AMBIGUITY.keys())
def test_what_makes_an_outcome_ambiguous(change: bytes | None, ambiguous: bool) -> None:
    machine = proposer()
    read(machine, promise(b(3), b"v"), promise(), promise())
    poll = tell(poll_of(machine.answer(change)), YES, None, None, None)
    assert machine.conclude(poll) == Unreachable()
    assert machine.ambiguous is ambiguous


def test_a_change_that_was_sent_stays_ambiguous_through_the_next_attempt() -> None:
    machine = proposer()
    read(machine, promise(), promise(), promise())
    machine.conclude(tell(poll_of(machine.answer(b"w")), NO, NO, NO))
    machine.conclude(tell(poll_of(machine.again()), promise(), promise(), promise(b(9), b"x")))
    machine.answer(None)
    assert machine.ambiguous


def test_a_held_value_is_handed_out_once() -> None:
    values = HeldValues(2)
    values.keep(R, Held(value=b"v", ballot=OURS))
    assert values.take(R) == Held(value=b"v", ballot=OURS)
    assert values.take(R) is None


def test_the_value_held_longest_is_forgotten_first() -> None:
    values = HeldValues(2)
    records = [RecordId(bytes([n]) * 32) for n in range(3)]
    for record in records:
        values.keep(record, Held(value=record, ballot=OURS))
    assert [values.take(record) is None for record in records] == [True, False, False]
