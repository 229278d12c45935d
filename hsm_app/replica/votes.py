"""This replica's votes: one thread that owns the keeper, and the queue before it.

The keeper makes a batch durable and anchors it before it returns (`replica.keeper` argues why no crash loses or invents
a vote); this module gathers the batches and hands the answers out. Batches are strictly serial.

An anchor costs the token the same for one vote as for hundreds. So, after a batch, the worker rests before it begins
the next one, and what comes meanwhile shares that one's anchor: the longer, the more votes the last batch had, and
never longer than `REST_LIMIT`. A vote that comes alone finds the worker idle and is not kept waiting.

A store or token that fails can no longer say what was promised. So the thread answers nothing more and calls `fatal`,
which has to end the process.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple, Protocol, TypeVar

from hsm_app.consensus.proposer import Reply
from hsm_app.errors import StoreError, TokenError
from hsm_app.model import ReplicaId
from hsm_app.replica.keeper import Question, VoteKeeper

BATCH_LIMIT = 512  # votes of one batch: about 20 ms of work, so a burst does not hold up the first of it
SIZES = 14  # powers of two that batches are counted by: 8192 votes are more than the door lets under way
REST_PER_VOTE = 0.002  # seconds of rest that each vote of a batch buys: about what one anchor costs in CPU
REST_LIMIT = 0.05  # seconds; far below the time in which a proposer gives up, and reached only near full load

T = TypeVar("T")
Heard = Callable[[int, Reply | None], None]  # the member, and its reply or None when none will come


class Voter(Protocol):
    """A member of the group as a proposer sees it: this replica itself, or a link to another one."""

    @property
    def is_reachable(self) -> bool:
        """False when a question would only meet silence."""

    def ask(self, question: Question, heard: Heard) -> None:
        """Ask, and call `heard` at most once, now or later; a voter may also stay silent without a word."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VoteStats:
    """Counters since the start. `batches` counts by size: element n those of up to 2 ** n votes, and more than half."""

    votes: int
    anchors: int  # batches that changed something
    batches: tuple[int, ...]


class _Submission(NamedTuple):
    questions: Sequence[Question]
    answer: Callable[[list[Reply]], None]


class _Job(NamedTuple):
    job: Callable[[VoteKeeper], Any]
    done: asyncio.Future[Any]


_Answered = list[tuple[Callable[[list[Reply]], None], list[Reply]]]


class VoteWorker:
    """The acceptor of one replica for all records. All methods are called on the event loop's thread."""

    def __init__(self, opener: Callable[[], VoteKeeper], *, fatal: Callable[[Exception], None]) -> None:
        """`opener` opens the keeper on the worker's thread. `fatal` is called on the loop's thread, at most once.

        It gets a StoreError or TokenError, or any other exception when the worker itself has a bug.
        """
        self._opener = opener
        self._fatal = fatal
        self._queue: SimpleQueue[_Submission | _Job | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="votes", daemon=True)
        self._rested_at = 0.0  # monotonic seconds
        self._votes = self._anchors = 0
        self._batches = [0] * SIZES

    @property
    def stats(self) -> VoteStats:
        return VoteStats(votes=self._votes, anchors=self._anchors, batches=tuple(self._batches))

    async def start(self) -> int:
        """Open the keeper; return this process's boot number. StoreError or TokenError when it must not vote."""
        self._loop = asyncio.get_running_loop()
        self._started: asyncio.Future[int] = self._loop.create_future()
        self._ended = asyncio.Event()
        self._thread.start()
        return await self._started

    def submit(self, questions: Sequence[Question], answer: Callable[[list[Reply]], None]) -> None:
        """Queue questions; `answer` gets one reply for each, in order, once they are anchored. Never after an error."""
        self._queue.put(_Submission(questions, answer))

    async def run(self, job: Callable[[VoteKeeper], T]) -> T:
        """Run a job on the keeper between two batches, and return or raise what it does. It has to be short.

        Does not return once the worker has failed; the process ends then.
        """
        done: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._queue.put(_Job(job, done))
        return await done

    async def close(self) -> None:
        """Answer what is queued, close the store and end the thread."""
        self._queue.put(None)
        await self._ended.wait()

    def _run(self) -> None:
        """The thread. Its first word to the loop is the boot number or the error, its last one is that it ended."""
        try:
            keeper = self._opener()
        except Exception as error:
            self._post(self._started.set_exception, error)
            return
        self._post(self._started.set_result, keeper.boot)
        try:
            self._serve(keeper)
            keeper.close()
        except Exception as error:  # also a bug: a thread that died of one would leave a replica that is silently mute
            self._post(self._fatal, error)
        finally:
            self._post(self._ended.set)

    def _serve(self, keeper: VoteKeeper) -> None:
        is_open = True
        while is_open:
            batch, jobs, is_open = self._gather()
            if batch:
                self._vote(keeper, batch)
            for job in jobs:
                self._do(keeper, job)

    def _gather(self) -> tuple[list[_Submission], list[_Job], bool]:
        """Wait for work, rest, and take what has gathered. False when the worker has been closed."""
        batch: list[_Submission] = []
        jobs: list[_Job] = []
        votes = 0
        work = self._queue.get()
        time.sleep(max(0.0, self._rested_at - time.monotonic()))
        while work is not None:
            if isinstance(work, _Job):
                jobs.append(work)
            else:
                batch.append(work)
                votes += len(work.questions)
            if votes >= BATCH_LIMIT:
                return batch, jobs, True
            try:
                work = self._queue.get_nowait()
            except Empty:
                return batch, jobs, True
        return batch, jobs, False

    def _vote(self, keeper: VoteKeeper, batch: list[_Submission]) -> None:
        questions = [question for submission in batch for question in submission.questions]
        before = keeper.counter
        replies = iter(keeper.vote(questions))
        answered: _Answered = [(work.answer, list(islice(replies, len(work.questions)))) for work in batch]
        self._votes += len(questions)
        self._anchors += keeper.counter - before
        self._batches[min(SIZES - 1, (len(questions) - 1).bit_length())] += 1
        self._post(_deliver, answered)
        self._rested_at = time.monotonic() + min(REST_LIMIT, REST_PER_VOTE * (len(questions) - 1))

    def _do(self, keeper: VoteKeeper, work: _Job) -> None:
        try:
            result = work.job(keeper)
        except (StoreError, TokenError):
            raise  # the keeper has ended
        except Exception as error:
            self._post(_settle, work.done, None, error)
        else:
            self._post(_settle, work.done, result, None)

    def _post(self, call: Callable[..., object], *arguments: object) -> None:
        self._loop.call_soon_threadsafe(call, *arguments)


def _settle(done: asyncio.Future[Any], result: object, error: Exception | None) -> None:
    if done.done():
        return  # given up meanwhile
    if error is None:
        done.set_result(result)
    else:
        done.set_exception(error)


def _deliver(answered: _Answered) -> None:
    for answer, replies in answered:
        answer(replies)


class OwnVoter:
    """This replica as a member of its own group: its vote counts when it is durable, like any other's."""

    is_reachable = True

    def __init__(self, replica: ReplicaId, worker: VoteWorker) -> None:
        self._replica = replica
        self._worker = worker
        self._waiting: list[tuple[Question, Heard]] = []

    def ask(self, question: Question, heard: Heard) -> None:
        """Implements Voter. What is asked in one tick of the loop is submitted together."""
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self._submit)
        self._waiting.append((question, heard))

    def _submit(self) -> None:
        waiting, self._waiting = self._waiting, []

        def answer(replies: list[Reply]) -> None:
            for (_, heard), reply in zip(waiting, replies, strict=True):
                heard(self._replica, reply)

        self._worker.submit([question for question, _ in waiting], answer)
