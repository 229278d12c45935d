"""Every write of a sequence of batches and starts meets every fault, and no answered vote is ever forgotten.

A replica votes batch after batch. Its writes are numbered: each commit, undo, creation and destruction of an anchor, at
starts too. A plan says which writes go wrong, and how; after each fault the process ends and a new one is started on
what disk and token hold then. The rule: what a start finds is what the answered batches made, or that and the whole of
the one batch that was under way. With faults that crash or refuse, every later start succeeds.

A disk that lies (it acknowledges what it does not keep, or shows an older state) may cost this replica its store, but
never an answered vote in silence: the next use of it is refused. Not covered, since nothing could notice it: a token
that lies twice. If it shows again exactly the anchor before the last, the one batch after it is taken back; the token
is trusted to keep what it acknowledged.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from contextlib import suppress
from enum import Enum, auto

import pytest

from hsm_app.consensus.acceptor import EMPTY, Accept, Prepare, Slot
from hsm_app.consensus.ballot import Ballot
from hsm_app.errors import StoreError, TokenError, VaultError
from hsm_app.model import RecordId
from hsm_app.ports import Batch
from hsm_app.replica.keeper import Question, VoteKeeper
from tests.replica.memory_store import IDENTITY, MemoryAnchor, MemoryStore

BATCHES = 6
RECORDS = 3
STARTS = 8  # more than any plan has faults


class Killed(BaseException):
    """The process is gone: nothing after this line of it happens."""


class Fault(Enum):
    REFUSES = auto()
    DIES_BEFORE = auto()
    APPLIES_THEN_DIES = auto()
    APPLIES_THEN_REFUSES = auto()
    LIES = auto()  # says that it was written, and it was not


CRASHES = (Fault.REFUSES, Fault.DIES_BEFORE, Fault.APPLIES_THEN_DIES, Fault.APPLIES_THEN_REFUSES)


class Faults:
    """Counts writes, and lets those of the plan go wrong."""

    def __init__(self, plan: Mapping[int, Fault]) -> None:
        self._plan = dict(plan)
        self.writes = 0

    def write(self, apply: Callable[[], None], error: VaultError) -> None:
        self.writes += 1
        fault = self._plan.get(self.writes)
        if fault is Fault.REFUSES:
            raise error
        if fault is Fault.DIES_BEFORE:
            raise Killed
        if fault is not Fault.LIES:
            apply()
        if fault is Fault.APPLIES_THEN_DIES:
            raise Killed
        if fault is Fault.APPLIES_THEN_REFUSES:
            raise error


class FaultyStore(MemoryStore):
    def __init__(self, faults: Faults) -> None:
        super().__init__()
        self._faults = faults

    def commit(self, batch: Batch) -> None:
        self._faults.write(lambda: super(FaultyStore, self).commit(batch), StoreError("the disk failed"))

    def undo(self) -> None:
        self._faults.write(super().undo, StoreError("the disk failed"))


class FaultyAnchor(MemoryAnchor):
    def __init__(self, faults: Faults) -> None:
        super().__init__()
        self._faults = faults

    def replace(self, old: bytes, new: bytes) -> None:
        self._faults.write(lambda: self.objects.append(new), TokenError("the device failed"))
        self.destroy(old)

    def destroy(self, content: bytes) -> None:
        self._faults.write(lambda: super(FaultyAnchor, self).destroy(content), TokenError("the device failed"))


def record(number: int) -> RecordId:
    return RecordId(bytes([number]) * 32)


class Life:
    """One replica through crashes and starts. `answered` is what its answers have promised to remember."""

    def __init__(self, plan: Mapping[int, Fault]) -> None:
        self.faults = Faults(plan)
        self.store, self.anchor = FaultyStore(self.faults), FaultyAnchor(self.faults)
        self.answered: dict[RecordId, Slot] = {}
        self.under_way: dict[RecordId, Slot] = {}
        self.boots: list[int] = []
        self.batch = 0

    def live(self) -> None:
        """Vote until all batches are answered, and start once more. After each end comes a new start.

        Raises the refusal of a start that is refused again when nothing goes wrong any more.
        """
        for _ in range(STARTS):
            try:
                return self.run()
            except (Killed, StoreError, TokenError):
                continue
        self.run()

    def run(self) -> None:
        """One process after another, until something ends it."""
        keeper = self.start()
        while self.batch < BATCHES:
            self.vote(keeper)
        self.start()

    def start(self) -> VoteKeeper:
        keeper = VoteKeeper.open(self.store, self.anchor, IDENTITY)
        assert keeper.boot not in self.boots
        self.boots.append(keeper.boot)
        found = keeper.slots(record(number) for number in range(RECORDS))
        assert found in (self.answered, self.under_way)
        self.answered = self.under_way = found
        return keeper

    def vote(self, keeper: VoteKeeper) -> None:
        """One batch on two records: one is prepared, the other accepts a value that says which try it was."""
        ballot = Ballot(self.batch + 1, 1, 1, keeper.boot)
        one, other = record(self.batch % RECORDS), record((self.batch + 1) % RECORDS)
        value = b"batch %d of start %d" % (self.batch, keeper.boot)
        earlier = self.answered.get(one, EMPTY)
        self.under_way = {
            **self.answered,
            one: Slot(promised=ballot, accepted=earlier.accepted, value=earlier.value),
            other: Slot(promised=ballot, accepted=ballot, value=value),
        }
        questions = [Prepare(ballot=ballot), Accept(ballot=ballot, value=value, next=ballot)]
        replies = keeper.vote([Question(one, questions[0]), Question(other, questions[1])])
        assert all(reply.granted for reply in replies)
        self.answered, self.batch = self.under_way, self.batch + 1


def writes_without_faults() -> int:
    life = Life({})
    life.live()
    return life.faults.writes


WRITES = writes_without_faults()


def test_every_batch_and_every_start_is_three_writes() -> None:
    assert WRITES == 3 * (BATCHES + 2)  # commit, create, destroy


@pytest.mark.parametrize("fault", CRASHES)
@pytest.mark.parametrize("write", range(1, WRITES + 1))
def test_after_one_crash_the_replica_comes_back_and_has_forgotten_nothing(write: int, fault: Fault) -> None:
    """VAULT-ANCHOR-ANSWERED-IS-KEPT"""
    life = Life({write: fault})
    life.live()
    assert life.batch == BATCHES


@pytest.mark.parametrize("seed", range(400))
def test_after_many_crashes_also_during_recovery(seed: int) -> None:
    chance = random.Random(seed)
    first = chance.randrange(1, WRITES)
    close = [first + chance.randrange(1, 7) for _ in range(3)]  # the undo, the start's own batch, the next votes
    life = Life({write: chance.choice(CRASHES) for write in (first, *close)})
    life.live()
    assert life.batch == BATCHES


@pytest.mark.parametrize("write", range(1, WRITES + 1))
def test_a_write_that_was_acknowledged_and_not_kept_is_found_out(write: int) -> None:
    with suppress(StoreError):  # refused, or made good by what came after it; `Life` sees that nothing is forgotten
        Life({write: Fault.LIES}).live()


@pytest.mark.parametrize("batches", range(1, BATCHES))
def test_a_disk_that_shows_an_older_state_is_refused(batches: int) -> None:
    life = Life({})
    keeper = life.start()
    for _ in range(batches):
        life.vote(keeper)
    old = life.store.copied()
    while life.batch < BATCHES:
        life.vote(keeper)
    with pytest.raises(StoreError, match="rolled back"):
        VoteKeeper.open(old, life.anchor, IDENTITY)
    life.start()  # and with the disk of today, it goes on
