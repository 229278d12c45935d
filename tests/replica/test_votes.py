"""The vote worker: batches, the order of commit and answer, and how it ends when the store fails."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from hsm_app.consensus.acceptor import Accept, Prepare, PrepareReply, Slot
from hsm_app.consensus.ballot import ZERO, Ballot
from hsm_app.consensus.proposer import Reply
from hsm_app.errors import StoreError
from hsm_app.model import RecordId, ReplicaId
from hsm_app.replica import votes
from hsm_app.replica.keeper import Question, VoteKeeper
from hsm_app.replica.votes import OwnVoter, VoteWorker
from tests.replica.memory_store import FULL, PATIENCE, MemoryAnchor, MemoryStore, memory_keeper


def record(number: int) -> RecordId:
    return RecordId(number.to_bytes(32, "big"))


def b(counter: int) -> Ballot:
    return Ballot(counter, 1, 1, 1)


def prepare(counter: int, number: int = 1) -> Question:
    return Question(record(number), Prepare(ballot=b(counter)))


def accept(counter: int, value: bytes, number: int = 1) -> Question:
    return Question(record(number), Accept(ballot=b(counter), value=value, next=b(counter + 1)))


class Desk:
    """A worker over a store in memory."""

    def __init__(self) -> None:
        self.store, self.anchor = MemoryStore(), MemoryAnchor()
        self.failed: asyncio.Future[Exception] = asyncio.get_running_loop().create_future()
        self.worker = VoteWorker(lambda: memory_keeper(self.store, self.anchor), fatal=self.failed.set_result)

    async def until_held(self) -> None:
        """Wait until the worker has begun a commit that the gate holds back."""
        async with asyncio.timeout(PATIENCE):
            while not self.store.is_held:
                await asyncio.sleep(0.001)

    def ask(self, *questions: Question) -> asyncio.Future[list[Reply]]:
        answered: asyncio.Future[list[Reply]] = asyncio.get_running_loop().create_future()
        self.worker.submit(questions, answered.set_result)
        return answered


@pytest_asyncio.fixture
async def desk() -> AsyncIterator[Desk]:
    desk = Desk()
    assert await desk.worker.start() == 1
    yield desk
    desk.store.gate.set()
    await desk.worker.close()


async def test_the_answer_comes_after_the_commit(desk: Desk) -> None:
    """VAULT-ANCHOR-BEFORE-ANSWER"""
    desk.store.gate.clear()
    answered = desk.ask(prepare(1))
    await desk.until_held()
    assert not answered.done()
    desk.store.gate.set()
    assert await answered == [PrepareReply(granted=True, seen=b(1), accepted=ZERO, value=b"")]
    assert desk.store.rows == {record(1): Slot(promised=b(1), accepted=ZERO, value=b"")}


async def test_votes_of_one_batch_see_each_other_and_share_one_commit(desk: Desk) -> None:
    replies = await desk.ask(prepare(1), accept(1, b"v"), prepare(5), accept(1, b"v"), prepare(3), prepare(1, 2))
    assert [reply.granted for reply in replies] == [True, True, True, True, False, True]
    assert replies[2] == PrepareReply(granted=True, seen=b(5), accepted=b(1), value=b"v")
    assert len(desk.store.commits) == 1
    assert desk.store.rows[record(1)] == Slot(promised=b(5), accepted=b(1), value=b"v")


async def test_what_comes_during_a_commit_is_the_next_batch(desk: Desk) -> None:
    desk.store.gate.clear()
    first = desk.ask(prepare(1, 1))
    await desk.until_held()
    others = [desk.ask(prepare(1, number)) for number in range(2, 40)]
    desk.store.gate.set()
    await asyncio.gather(first, *others)
    assert [len(commit.rows) for commit in desk.store.commits] == [1, 38]


async def test_a_batch_is_bounded(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(votes, "BATCH_LIMIT", 10)
    desk.store.gate.clear()
    first = desk.ask(prepare(1, 1))
    await desk.until_held()
    others = [desk.ask(prepare(1, 100 * n), prepare(1, 100 * n + 1)) for n in range(1, 11)]
    desk.store.gate.set()
    await asyncio.gather(first, *others)
    assert [len(commit.rows) for commit in desk.store.commits] == [1, 10, 10]


async def test_refusals_alone_need_no_commit(desk: Desk) -> None:
    await desk.ask(prepare(5))
    replies = await desk.ask(prepare(4), accept(4, b"v"))
    assert [reply.granted for reply in replies] == [False, False]
    assert len(desk.store.commits) == 1


@pytest.mark.parametrize("error", [FULL, ZeroDivisionError("a bug")], ids=["full disk", "bug"])
async def test_a_failure_ends_the_worker_and_nothing_is_answered(desk: Desk, error: Exception) -> None:
    desk.store.error = error
    first = desk.ask(prepare(1))
    assert await desk.failed is error
    later = desk.ask(prepare(2))
    await asyncio.sleep(0.05)
    assert not first.done()
    assert not later.done()
    assert not desk.store.rows


async def test_a_store_that_cannot_be_opened_fails_the_start() -> None:
    def broken() -> VoteKeeper:
        raise FULL

    with pytest.raises(StoreError):
        await VoteWorker(broken, fatal=lambda error: None).start()


async def test_closing_answers_what_is_queued_and_gives_the_store_up(desk: Desk) -> None:
    answered = desk.ask(prepare(1))
    await desk.worker.close()
    assert (await answered)[0].granted
    assert desk.store.is_closed


async def test_the_own_vote_is_durable_like_any_other_and_one_tick_is_one_submission(desk: Desk) -> None:
    voter = OwnVoter(ReplicaId(3), desk.worker)
    heard: list[tuple[int, Reply | None]] = []
    desk.store.gate.clear()
    for number in range(1, 20):
        voter.ask(prepare(1, number), lambda member, reply: heard.append((member, reply)))
    await desk.until_held()
    assert not heard
    desk.store.gate.set()
    async with asyncio.timeout(PATIENCE):
        while len(heard) < 19:
            await asyncio.sleep(0.001)
    assert {member for member, _ in heard} == {3}
    assert [len(commit.rows) for commit in desk.store.commits] == [19]
