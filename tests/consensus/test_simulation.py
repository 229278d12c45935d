"""Seeded runs of the real acceptors and proposers under loss, repetition, disorder, crashes and time-outs.

A failing run names its seed: `World(seed, size=n).run(STEPS)` replays it exactly. The mutants show that the checks see
what they are there for; each is one line of the protocol left out.
"""

from __future__ import annotations

import pytest

from hsm_app.consensus.acceptor import Accept, AcceptReply, PrepareReply, Slot, accept
from hsm_app.consensus.ballot import Ballot
from hsm_app.consensus.proposer import Held, HeldValues, Poll, Proposer, Reply, Step, Verdict
from hsm_app.model import RecordId
from tests.consensus.simulation import FoundError, Operation, Parts, World, linearizability_fault

STEPS = 1000
SEEDS_PER_TEST = 20
R = RecordId(bytes(32))


@pytest.mark.parametrize("block", range(0, 300, SEEDS_PER_TEST))
def test_no_run_breaks_a_promise(block: int) -> None:
    answers = 0
    for seed in range(block, block + SEEDS_PER_TEST):
        for size in (3, 5):
            world = World(seed, size=size)
            try:
                world.run(STEPS)
            except FoundError as found:
                raise AssertionError(f"seed {seed}, {size} replicas") from found
            answers += world.answers
    assert answers > 2 * SEEDS_PER_TEST * 4  # the runs do get somewhere


def test_a_run_replays_exactly() -> None:
    def trace() -> list[tuple[bytes, int, int | None, int | None]]:
        world = World(7)
        world.run(STEPS)
        return [(o.id, o.began, o.ended, o.answer) for o in world.operations]

    assert trace() == trace()


# -- known-bad histories


def counted(number: int, began: int, ended: int, answer: int) -> Operation:
    return Operation(number.to_bytes(4, "big"), R, began, ended, answer)


def read(began: int, ended: int, answer: int) -> Operation:
    return Operation(b"", R, began, ended, answer)


HISTORIES = {
    "one after the other": ([counted(1, 1, 2, 1), counted(2, 3, 4, 2), read(5, 6, 2)], True),
    "two at once, either first": ([counted(1, 1, 9, 2), counted(2, 2, 8, 1)], True),
    "a read at the same time sees either": ([counted(1, 1, 9, 1), read(2, 3, 1), read(2, 3, 0)], True),
    "one without an answer": ([Operation(b"", R, 1)], True),
    "two with one place": ([counted(1, 1, 9, 1), counted(2, 2, 8, 1)], False),
    "a later one with an earlier place": ([counted(1, 1, 2, 2), counted(2, 3, 4, 1)], False),
    "a stale read": ([counted(1, 1, 2, 1), read(3, 4, 0)], False),
    "a read that goes back": ([read(1, 2, 5), read(3, 4, 4)], False),
}


@pytest.mark.parametrize(("history", "is_linearizable"), HISTORIES.values(), ids=HISTORIES.keys())
def test_the_checker_knows(history: list[Operation], is_linearizable: bool) -> None:
    assert (linearizability_fault(history) is None) == is_linearizable


# -- mutants: one rule left out of each


def promise_at_equality(slot: Slot, ballot: Ballot) -> tuple[Slot | None, Reply]:
    if ballot < slot.promised:
        return None, PrepareReply(granted=False, seen=slot.promised, accepted=slot.accepted, value=b"")
    promised = Slot(promised=ballot, accepted=slot.accepted, value=slot.value)
    return promised, PrepareReply(granted=True, seen=ballot, accepted=slot.accepted, value=slot.value)


def accept_below_the_promise(slot: Slot, ballot: Ballot, value: bytes, following: Ballot) -> tuple[Slot | None, Reply]:
    if ballot <= slot.accepted:
        return None, AcceptReply(granted=False, seen=slot.promised)
    changed = Slot(promised=max(slot.promised, following), accepted=ballot, value=value)
    return changed, AcceptReply(granted=True, seen=following)


def promise_nothing_at_accept(slot: Slot, ballot: Ballot, value: bytes, _next: Ballot) -> tuple[Slot | None, Reply]:
    return accept(slot, ballot, value, ballot)


class KeptByAll(HeldValues):
    """Uses one `next` twice after a failure."""

    def take(self, record: RecordId) -> Held | None:
        return self._held.get(record)


class FromTheCache(Proposer):
    """Answers "no change" from the held value."""

    def begin(self, held: Held | None) -> Step:
        step = super().begin(held)
        self._settled = held is not None
        return step


class WithoutWriteBack(Proposer):
    """Answers "no change" from a value that only a minority holds."""

    def conclude(self, poll: Poll) -> Step:
        step = super().conclude(poll)
        self._settled = True
        return step


class OneBelowMajority(Proposer):
    """Is content with two of five."""

    def _poll(self, question: object) -> Poll:
        poll = super()._poll(question)  # type: ignore[arg-type]
        poll._majority -= 1
        return poll


class CountsTwice(Proposer):
    """Counts one replica as often as it answers."""

    def _poll(self, question: object) -> Poll:
        poll = super()._poll(question)  # type: ignore[arg-type]
        poll._heard = Forgetful()
        return poll


class Forgetful(set[int]):
    def __contains__(self, member: object) -> bool:
        return False


class KeepsItsOwnValue(Proposer):
    """Takes the first promise's value, not the one of the highest accepted ballot."""

    def conclude(self, poll: Poll) -> Step:
        if poll.verdict is Verdict.WON and not isinstance(poll.question, Accept):
            poll._granted[1:] = [poll._granted[0]] * (len(poll._granted) - 1)
        return super().conclude(poll)


MUTANTS = {
    "promises at equality, and two replicas issue one ballot": Parts(prepare=promise_at_equality, names_replica=False),
    "accepts below the promise": Parts(accept=accept_below_the_promise),
    "promises nothing at the accept": Parts(accept=promise_nothing_at_accept),
    "forgets to persist the promise": Parts(keeps_promises=False),
    "uses one next twice after a time-out": Parts(held=KeptByAll),
    "answers from the cache": Parts(proposer=FromTheCache),
    "answers without the write-back": Parts(proposer=WithoutWriteBack),
    "takes less than a majority": Parts(proposer=OneBelowMajority),
    "counts one replica twice": Parts(proposer=CountsTwice),
    "takes the first value instead of the highest": Parts(proposer=KeepsItsOwnValue),
}


@pytest.mark.parametrize("parts", MUTANTS.values(), ids=MUTANTS.keys())
def test_the_simulation_catches_a_proposer_or_acceptor_that(parts: Parts) -> None:
    for seed in range(400):
        try:
            World(seed, records=1 + seed % 2, parts=parts).run(STEPS)
        except FoundError:
            return
    pytest.fail("no seed found it")
