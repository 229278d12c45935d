"""A seeded world of acceptors and proposers: the real pure code over a network that loses, repeats and mixes.

Each record is a fetch-and-increment counter that remembers who counted: its value is the list of the operations' ids,
and an operation's answer is its place in that list (a read answers the list's length). So every check is exact:

- no two values are ever accepted under one ballot;
- the values chosen, in ballot order, each extend the one before: what was chosen is never lost;
- an answer leaves only when a majority held, during the operation, the value that the answer was computed from;
- an operation that began after another had ended sees it (`linearizability_fault`): per-record linearizability.

Disks are dictionaries of slots and survive a crash; proposers, held values and replies under way do not. `World` takes
the parts that a mutant replaces.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from random import Random

from hsm_app.consensus.acceptor import EMPTY, Accept, Prepare, Slot, accept, prepare
from hsm_app.consensus.ballot import ZERO, Ballot, BallotSource
from hsm_app.consensus.proposer import Ask, Chosen, Conflict, HeldValues, Poll, Proposer, Reply, Step, Unreachable
from hsm_app.model import RecordId

ID_BYTES = 4
READ = b""  # the id of an operation that only reads


class FoundError(Exception):
    """The simulation has found a run that breaks the protocol's promises."""


@dataclass(slots=True, eq=False)
class Operation:
    """One client's operation; it may be invoked again, at any replica, until it has an answer."""

    id: bytes
    record: RecordId
    began: int
    ended: int | None = None
    answer: int | None = None


@dataclass(slots=True, eq=False)
class Invocation:
    """One try of an operation at one replica."""

    operation: Operation
    replica: int
    began: int
    proposer: Proposer
    poll: Poll | None = None
    value: bytes = b""  # what the answer was computed from
    is_waiting: bool = False  # after a conflict


@dataclass(slots=True, eq=False)
class Message:
    """A question under way to `member`, or its reply under way back."""

    invocation: Invocation
    poll: Poll
    member: int
    reply: Reply | None = None


@dataclass(slots=True, eq=False)
class Replica:
    boot: int
    ballots: BallotSource
    held: HeldValues
    busy: dict[RecordId, Invocation] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What a mutant replaces."""

    prepare: Callable[[Slot, Ballot], tuple[Slot | None, Reply]] = prepare
    accept: Callable[[Slot, Ballot, bytes, Ballot], tuple[Slot | None, Reply]] = accept
    proposer: type[Proposer] = Proposer
    held: type[HeldValues] = HeldValues
    names_replica: bool = True  # in its ballots
    keeps_promises: bool = True  # on disk


class World:
    def __init__(self, seed: int, *, size: int = 5, records: int = 2, parts: Parts | None = None) -> None:
        self._random = Random(seed)
        self._parts = parts or Parts()
        self._members = frozenset(range(1, size + 1))
        self._records = [RecordId(bytes([n]) * 32) for n in range(records)]
        self._disks: dict[int, dict[RecordId, Slot]] = {member: {} for member in self._members}
        self._replicas = {member: self._started(member, 1) for member in sorted(self._members)}
        self._messages: list[Message] = []
        self._now = 0
        # What every member accepted: record -> ballot -> value, and who; and per member the times it held what.
        self._accepted: dict[RecordId, dict[Ballot, tuple[bytes, set[int]]]] = {record: {} for record in self._records}
        self._spans: dict[tuple[int, RecordId], list[tuple[int, Ballot, bytes]]] = {}
        self.operations: list[Operation] = []
        self.answers = 0

    def run(self, steps: int) -> None:
        """Run with faults, then without, until a last read of every record has been answered; check all along."""
        happenings = [self._deliver, self._begin, self._wake, self._repeat, self._lose, self._give_up, self._crash]
        faults = [self._random.choice([0.1, 1, 4]) for _ in range(4)]  # every run has its own weather
        for _ in range(steps):
            self._now += 1
            self._random.choices(happenings, [40, 3, 6, *faults])[0]()
        self._heal()
        fault = next((f for r in self._records if (f := linearizability_fault(self._history(r)))), None)
        if fault:
            raise FoundError(fault)

    # -- what happens

    def _begin(self) -> None:
        """A client begins an operation, or repeats one that has failed, anywhere."""
        member = self._random.choice(sorted(self._members))
        failed = [o for o in self.operations if o.ended is None and not self._is_under_way(o)]
        if failed and self._random.random() < 0.3:
            self._invoke(self._random.choice(failed), member)
        else:
            self._invoke(self._new_operation(self._random.choice(self._records)), member)

    def _new_operation(self, record: RecordId) -> Operation:
        reads = self._random.random() < 0.3
        operation = Operation(READ if reads else len(self.operations).to_bytes(ID_BYTES, "big"), record, self._now)
        self.operations.append(operation)
        return operation

    def _invoke(self, operation: Operation, member: int) -> None:
        replica = self._replicas[member]
        if operation.record in replica.busy:  # one operation per record is in flight
            return
        proposer = self._parts.proposer(members=self._members, ballots=replica.ballots)
        invocation = Invocation(operation, member, self._now, proposer)
        replica.busy[operation.record] = invocation
        self._go(invocation, proposer.begin(replica.held.take(operation.record)))

    def _go(self, invocation: Invocation, step: Step) -> None:
        while isinstance(step, Ask):
            change = self._transition(invocation, step.value)
            step = invocation.proposer.answer(change)
        if isinstance(step, Poll):
            invocation.poll = step
            self._messages += [Message(invocation, step, member) for member in sorted(self._members)]
        elif isinstance(step, Conflict):
            invocation.poll, invocation.is_waiting = None, True
        else:
            del self._replicas[invocation.replica].busy[invocation.operation.record]
            if isinstance(step, Chosen):
                self._release(invocation, step)
            elif not isinstance(step, Unreachable):
                raise FoundError(f"a step that nobody knows: {step}")

    def _transition(self, invocation: Invocation, value: bytes) -> bytes | None:
        own = invocation.operation.id
        is_new = own != READ and own not in list(ids(value))
        invocation.value = value + own if is_new else value
        return invocation.value if is_new else None

    def _deliver(self) -> None:
        if not self._messages:
            return
        message = self._messages.pop(self._random.randrange(len(self._messages)))
        if message.reply is None:
            reply = self._vote(message.member, message.invocation.operation.record, message.poll.question)
            self._messages.append(Message(message.invocation, message.poll, message.member, reply))
        else:
            self._hear(message, message.reply)

    def _repeat(self) -> None:
        """A message arrives and stays under way, to arrive again."""
        if self._messages:
            message = self._random.choice(self._messages)
            self._messages.append(message)
            self._deliver()

    def _lose(self) -> None:
        """A message is lost. Sometimes the link's end is noticed at once, sometimes never."""
        if self._messages:
            message = self._messages.pop(self._random.randrange(len(self._messages)))
            if self._random.random() < 0.5:
                self._hear(message, None)

    def _hear(self, message: Message, reply: Reply | None) -> None:
        invocation = message.invocation
        is_alive = self._replicas[invocation.replica].busy.get(invocation.operation.record) is invocation
        before = message.poll.verdict
        if is_alive and message.poll.hear(message.member, reply) is not before and invocation.poll is message.poll:
            self._go(invocation, invocation.proposer.conclude(message.poll))

    def _give_up(self) -> None:
        """An operation's deadline passes. What it sent is under way for ever."""
        if under_way := list(self._under_way()):
            invocation = self._random.choice(under_way)
            del self._replicas[invocation.replica].busy[invocation.operation.record]

    def _crash(self) -> None:
        member = self._random.choice(sorted(self._members))
        boot = self._replicas[member].boot
        self._replicas[member] = self._started(member, boot + 1)
        if not self._parts.keeps_promises:
            for record, slot in self._disks[member].items():
                self._disks[member][record] = Slot(promised=slot.accepted, accepted=slot.accepted, value=slot.value)

    def _wake(self) -> None:
        """A proposer that lost a duel has waited long enough."""
        if waiting := [invocation for invocation in self._under_way() if invocation.is_waiting]:
            invocation = self._random.choice(waiting)
            invocation.is_waiting = False
            self._go(invocation, invocation.proposer.again())

    def _heal(self) -> None:
        """No more faults: every record is read to the end, and holds all that was answered."""
        self._messages.clear()
        for record in self._records:
            for member in sorted(self._members):
                self._replicas[member].busy.clear()
            self._now += 1
            last = Operation(READ, record, self._now)
            self.operations.append(last)
            for _ in range(1000):
                if last.ended is not None:
                    break
                self._now += 1
                if not self._is_under_way(last):
                    self._invoke(last, 1)
                self._wake()
                self._deliver()
            else:
                raise FoundError("a healed fleet does not answer")

    # -- what is checked

    def _vote(self, member: int, record: RecordId, question: Prepare | Accept) -> Reply:
        slot = self._disks[member].get(record, EMPTY)
        if isinstance(question, Prepare):
            changed, reply = self._parts.prepare(slot, question.ballot)
        else:
            changed, reply = self._parts.accept(slot, question.ballot, question.value, question.next)
        if changed is not None:
            self._disks[member][record] = changed
            if isinstance(question, Accept):
                self._note_accepted(member, record, question)
        return reply

    def _note_accepted(self, member: int, record: RecordId, question: Accept) -> None:
        value, members = self._accepted[record].setdefault(question.ballot, (question.value, set()))
        if value != question.value:
            raise FoundError(f"two values under {question.ballot}")
        members.add(member)
        self._spans.setdefault((member, record), []).append((self._now, question.ballot, question.value))
        if len(members) * 2 > len(self._members):
            self._check_chosen(record)

    def _check_chosen(self, record: RecordId) -> None:
        majority = len(self._members) // 2 + 1
        chosen = b""
        for ballot, (value, members) in sorted(self._accepted[record].items()):
            if len(members) >= majority:
                if not value.startswith(chosen):
                    raise FoundError(f"{ballot} lost what was chosen before it")
                chosen = value

    def _release(self, invocation: Invocation, chosen: Chosen) -> None:
        operation = invocation.operation
        if chosen.held.value != invocation.value or not self._was_held(invocation):
            raise FoundError("an answer left from a value that was not chosen during the operation")
        self._replicas[invocation.replica].held.keep(operation.record, chosen.held)
        counted = list(ids(invocation.value))
        self.answers += 1
        if operation.ended is None:
            operation.ended = self._now
            operation.answer = len(counted) if operation.id == READ else counted.index(operation.id) + 1

    def _was_held(self, invocation: Invocation) -> bool:
        """True when a majority held the value under one ballot at some time since the invocation began."""
        holders: dict[Ballot, int] = {}
        for member in self._members:
            for ballot in set(self._held_since(member, invocation)):
                holders[ballot] = holders.get(ballot, 0) + 1
        return any(count * 2 > len(self._members) for count in holders.values())

    def _held_since(self, member: int, invocation: Invocation) -> Iterator[Ballot]:
        spans = [(0, ZERO, b""), *self._spans.get((member, invocation.operation.record), [])]
        for (_, ballot, value), (until, _, _) in zip(spans, [*spans[1:], (self._now + 1, ZERO, b"")], strict=True):
            if value == invocation.value and until >= invocation.began:
                yield ballot

    def _history(self, record: RecordId) -> list[Operation]:
        return [operation for operation in self.operations if operation.record == record]

    def _under_way(self) -> Iterator[Invocation]:
        for member in sorted(self._members):
            yield from self._replicas[member].busy.values()

    def _is_under_way(self, operation: Operation) -> bool:
        return any(invocation.operation is operation for invocation in self._under_way())

    def _started(self, member: int, boot: int) -> Replica:
        ballots = BallotSource(replica=member if self._parts.names_replica else 0, incarnation=1, boot=boot)
        return Replica(boot, ballots, self._parts.held(8))


def ids(value: bytes) -> Iterator[bytes]:
    """The operations that a value counts, the first first."""
    return (value[at : at + ID_BYTES] for at in range(0, len(value), ID_BYTES))


def linearizability_fault(history: list[Operation]) -> str | None:
    """Say what no single counter could have answered, or None. Exact, since answers are places in one list.

    Two operations that count have two places. Of two operations where one ended before the other began, the later one
    has the greater place when it counts, and sees at least the earlier one's when it reads.
    """
    answered = [operation for operation in history if operation.answer is not None and operation.ended is not None]
    places = [operation.answer for operation in answered if operation.id != READ]
    if len(set(places)) != len(places):
        return "two operations have one place"
    for earlier in answered:
        for later in answered:
            if (earlier.ended or 0) < later.began:
                need = (earlier.answer or 0) + (later.id != READ)
                if (later.answer or 0) < need:
                    return f"an operation begun at {later.began} does not see one that ended at {earlier.ended}"
    return None
