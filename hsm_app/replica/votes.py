"""This replica's votes: one thread owns the store, folds the acceptor over batches, commits once, then answers.

Order, and why no crash between two steps loses or invents a vote: the slots are computed in memory; one durable
transaction writes them; only when it has returned are the answers handed out, this replica's own among them. A kill
before the commit forgets votes that nobody was told of; a kill after it keeps votes that nobody heard, which is a lost
answer. Batches are strictly serial, so an anchor written between commit and answers covers exactly one batch.

While one batch is being synced the next one gathers in the queue: under load the batches grow by themselves.

A store that fails can no longer say what was promised. So the thread answers nothing more and calls `fatal`, which has
to end the process.
"""

from __future__ import annotations

import asyncio
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from queue import Empty, SimpleQueue
from typing import NamedTuple, Protocol

from hsm_app.consensus.acceptor import EMPTY, Accept, Prepare, Slot, accept, prepare
from hsm_app.consensus.proposer import Reply
from hsm_app.model import RecordId, ReplicaId
from hsm_app.replica.keeper import Question

BATCH_LIMIT = 512  # votes of one transaction: about 20 ms of work, so a burst does not hold up the first of it
HOT_SLOTS = 4096  # slots kept in memory: a record's second vote follows the first within seconds


class Rows(Protocol):
    """The store as this worker uses it."""

    def boot(self) -> int: ...
    def load(self, records: Iterable[RecordId]) -> dict[RecordId, Slot]: ...
    def commit(self, rows: Mapping[RecordId, Slot]) -> None: ...
    def close(self) -> None: ...


Heard = Callable[[int, Reply | None], None]  # the member, and its reply or None when none will come


class Voter(Protocol):
    """A member of the group as a proposer sees it: this replica itself, or a link to another one."""

    @property
    def is_reachable(self) -> bool:
        """False when a question would only meet silence."""

    def ask(self, question: Question, heard: Heard) -> None:
        """Ask, and call `heard` at most once, now or later; a voter may also stay silent without a word."""


class _Submission(NamedTuple):
    questions: Sequence[Question]
    answer: Callable[[list[Reply]], None]


_Answered = list[tuple[Callable[[list[Reply]], None], list[Reply]]]


class VoteWorker:
    """The acceptor of one replica for all records. All methods are called on the event loop's thread."""

    def __init__(self, opener: Callable[[], Rows], *, fatal: Callable[[Exception], None]) -> None:
        """`opener` opens the store on the worker's thread. `fatal` is called on the loop's thread, at most once.

        It gets a StoreError, or any other exception when the worker itself has a bug.
        """
        self._opener = opener
        self._fatal = fatal
        self._queue: SimpleQueue[_Submission | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="votes", daemon=True)
        self._hot: OrderedDict[RecordId, Slot] = OrderedDict()

    async def start(self) -> int:
        """Open the store and return this process's boot number. StoreError when it cannot be used."""
        self._loop = asyncio.get_running_loop()
        self._started: asyncio.Future[int] = self._loop.create_future()
        self._ended = asyncio.Event()
        self._thread.start()
        return await self._started

    def submit(self, questions: Sequence[Question], answer: Callable[[list[Reply]], None]) -> None:
        """Queue questions; `answer` gets one reply for each, in order, once they are durable. Never after an error."""
        self._queue.put(_Submission(questions, answer))

    async def close(self) -> None:
        """Answer what is queued, close the store and end the thread."""
        self._queue.put(None)
        await self._ended.wait()

    def _run(self) -> None:
        """The thread. Its first word to the loop is the boot number or the error, its last one is that it ended."""
        try:
            store = self._opener()
            boot = store.boot()
        except Exception as error:
            self._post(self._started.set_exception, error)
            return
        self._post(self._started.set_result, boot)
        try:
            self._serve(store)
            store.close()
        except Exception as error:  # also a bug: a thread that died of one would leave a replica that is silently mute
            self._post(self._fatal, error)
        finally:
            self._post(self._ended.set)

    def _serve(self, store: Rows) -> None:
        is_open = True
        while is_open:
            batch, is_open = self._gather()
            if batch:
                self._post(_deliver, self._vote(store, batch))

    def _gather(self) -> tuple[list[_Submission], bool]:
        """Wait for a submission and take what else is there. False when the worker has been closed."""
        batch: list[_Submission] = []
        votes = 0
        submission = self._queue.get()
        while submission is not None:
            batch.append(submission)
            votes += len(submission.questions)
            if votes >= BATCH_LIMIT:
                return batch, True
            try:
                submission = self._queue.get_nowait()
            except Empty:
                return batch, True
        return batch, False

    def _vote(self, store: Rows, batch: list[_Submission]) -> _Answered:
        """Fold the acceptor over a batch, commit what changed, and return the replies, which may leave now."""
        slots = self._slots(store, {question.record for submission in batch for question in submission.questions})
        changed: dict[RecordId, Slot] = {}
        answered: _Answered = []
        for submission in batch:
            replies: list[Reply] = []
            for record, asked in submission.questions:
                slot, reply = _ask(slots[record], asked)
                if slot is not None:
                    slots[record] = changed[record] = slot
                replies.append(reply)
            answered.append((submission.answer, replies))
        if changed:
            store.commit(changed)
        self._remember(slots)
        return answered

    def _slots(self, store: Rows, records: set[RecordId]) -> dict[RecordId, Slot]:
        slots = {record: self._hot[record] for record in records if record in self._hot}
        missing = records - slots.keys()
        if missing:
            slots.update(dict.fromkeys(missing, EMPTY))
            slots.update(store.load(missing))
        return slots

    def _remember(self, slots: dict[RecordId, Slot]) -> None:
        """Keep what is durable now. This thread is the store's only writer, so its memory is never stale."""
        for record, slot in slots.items():
            self._hot[record] = slot
            self._hot.move_to_end(record)
        while len(self._hot) > HOT_SLOTS:
            self._hot.popitem(last=False)

    def _post(self, call: Callable[..., object], *arguments: object) -> None:
        self._loop.call_soon_threadsafe(call, *arguments)


def _ask(slot: Slot, asked: Prepare | Accept) -> tuple[Slot | None, Reply]:
    if isinstance(asked, Prepare):
        return prepare(slot, asked.ballot)
    return accept(slot, asked.ballot, asked.value, asked.next)


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
