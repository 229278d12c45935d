"""A small model of membership changes on the real acceptor, proposer and sweep: one record that lists its charges.

`Group` holds the replicas' slots and the epoch that each has entered. An operation is one real `Proposer` whose polls
are answered by the members named, and only by those that are in its epoch; everybody else is silent. A procedure takes
the adversary's choices (who answers when) and does this:

1. epoch 1: a charge is acknowledged; another one prepares under a high ballot, and its accept reaches one member only;
2. the procedure's own way to the last epoch, late accepts of epoch 1 in between;
3. the last epoch: a charge is acknowledged by one majority, and the record is read by another.

It returns whether an acknowledged charge is missing from what was read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import combinations, product
from random import Random
from typing import NamedTuple

from hsm_app.consensus.acceptor import EMPTY, Accept, Prepare, Slot, accept, prepare
from hsm_app.consensus.ballot import Ballot, BallotSource
from hsm_app.consensus.proposer import Ask, Chosen, Conflict, Held, Poll, Proposer, Reply
from hsm_app.consensus.sweep import Page, merge_pages
from hsm_app.model import RecordId

RECORD = RecordId(bytes(32))
BUSY = Ballot(100, 0, 0, 0)  # the counter of a proposer that had many conflicts
Members = frozenset[int]


@dataclass(slots=True)
class Group:
    """Members by number; a newcomer has a number of its own here, so that the old one can still be asked."""

    slots: dict[int, dict[RecordId, Slot]] = field(default_factory=dict)
    epochs: dict[int, int] = field(default_factory=dict)
    acknowledged: list[bytes] = field(default_factory=list)
    boots: int = 0

    def enter(self, epoch: int, members: Iterable[int]) -> None:
        for member in members:
            self.epochs[member] = max(epoch, self.epochs.get(member, 0))
            self.slots.setdefault(member, {})

    def charge(
        self,
        name: bytes,
        epoch: int,
        members: Members,
        promising: Members,
        accepting: Members | None = None,
        *,
        held: Held | None = None,
        observed: Ballot | None = None,
    ) -> Held | None:
        """Make one charge; it is acknowledged when it was chosen. Return what the proposer may go on with."""
        accepting = promising if accepting is None else accepting
        chosen = self._operate(epoch, members, promising, accepting, lambda value: value + name, held, observed)
        if chosen is not None:
            self.acknowledged.append(name)
        return None if chosen is None else chosen.held

    def look(self, epoch: int, members: Members, answering: Members) -> bytes:
        """Change nothing: the sweep's operation, and the last read."""
        chosen = self._operate(epoch, members, answering, answering, lambda _: None, None, None)
        if chosen is None:
            raise AssertionError("the model met no majority")
        return chosen.held.value

    def list_records(self, members: Members, size: int) -> tuple[RecordId, ...]:
        pages = {member: Page(records=sorted(self.slots[member]), is_last=True) for member in members}
        return merge_pages(pages, size).records

    def agrees(self, members: Members) -> bool:
        """Whether all members hold one accepted ballot: then there is nothing to write back."""
        return len({self.slots[member].get(RECORD, EMPTY).accepted for member in members}) == 1

    def _operate(
        self,
        epoch: int,
        members: Members,
        promising: Members,
        accepting: Members,
        change: Callable[[bytes], bytes | None],
        held: Held | None,
        observed: Ballot | None,
    ) -> Chosen | None:
        self.boots += 1
        ballots = BallotSource(replica=1, incarnation=1, boot=self.boots)
        ballots.observe(observed or Ballot(0, 0, 0, 0))
        proposer = Proposer(members=members, ballots=ballots)
        step = proposer.begin(held)
        while isinstance(step, Poll | Ask | Conflict):
            if isinstance(step, Ask):
                step = proposer.answer(change(step.value))
            elif isinstance(step, Conflict):  # a ballot too low; the refusal told the counter to exceed
                step = proposer.again()
            else:
                answering = promising if isinstance(step.question, Prepare) else accepting
                self._ask(step, epoch, members, answering)
                step = proposer.conclude(step)
        return step if isinstance(step, Chosen) else None

    def _ask(self, poll: Poll, epoch: int, members: Members, answering: Members) -> None:
        for member in sorted(members, key=lambda member: (member not in answering, member)):
            hears = member in answering and self.epochs.get(member) == epoch
            poll.hear(member, self._vote(member, poll.question) if hears else None)

    def _vote(self, member: int, question: Prepare | Accept) -> Reply:
        slot = self.slots[member].get(RECORD, EMPTY)
        changed: Slot | None
        reply: Reply
        if isinstance(question, Prepare):
            changed, reply = prepare(slot, question.ballot)
        else:
            changed, reply = accept(slot, question.ballot, question.value, question.next)
        if changed is not None:
            self.slots[member][RECORD] = changed
        return reply


class Choices(NamedTuple):
    """The adversary's: who answers the first charge; who promises the second, and who alone accepts it; who is fenced
    and lists; who answers the sweep; who the last charge, who the last read."""

    charged: Members
    promised: Members
    accepted: Members
    fenced: Members
    swept: Members
    last: Members
    read: Members


class Again(NamedTuple):
    """The adversary's, when the successor dies too: who promises a charge in its epoch, and who of the others alone
    accepts it; then who is fenced and lists, who answers the sweep, the last charge and the last read."""

    promised: Members
    accepted: Members
    fenced: Members
    swept: Members
    last: Members
    read: Members


@dataclass(frozen=True, slots=True)
class Size:
    """Epoch 1 has replicas 1 to n; n is the one that dies. Its successor is numbered 100 + n, the next one 200 + n."""

    n: int

    @property
    def old(self) -> Members:
        return frozenset(range(1, self.n + 1))

    @property
    def rest(self) -> Members:
        return self.old - {self.n}

    @property
    def new(self) -> Members:
        return self.rest | {100 + self.n}

    @property
    def newest(self) -> Members:
        return self.rest | {200 + self.n}

    def choices(self) -> Iterator[Choices]:
        """All there are: 108 for three replicas, over a million for five."""
        for charged, promised, *others in product(*self._quorums()):
            for alone in sorted(promised & self.rest):
                yield Choices(charged, promised, frozenset({alone}), *others)

    def some(self, random: Random, count: int) -> Iterator[Choices]:
        """As many of them, at random."""
        for _ in range(count):
            charged, promised, *others = (random.choice(quorums) for quorums in self._quorums())
            yield Choices(charged, promised, frozenset({random.choice(sorted(promised & self.rest))}), *others)

    def again(self, random: Random, count: int) -> Iterator[Again]:
        """Choices for the second replacement, at random."""
        groups = (self.new, self.rest, self.rest, self.newest, self.newest)
        quorums = [list(majorities(group)) for group in groups]
        for _ in range(count):
            promised, *others = (random.choice(each) for each in quorums)
            yield Again(promised, frozenset({random.choice(sorted(promised & self.rest))}), *others)

    def _quorums(self) -> list[list[Members]]:
        groups = (self.old, self.old, self.rest, self.rest, self.new, self.new)
        return [list(majorities(group)) for group in groups]


def majorities(members: Members) -> Iterator[Members]:
    """The smallest majorities; a larger one only makes more sets meet."""
    yield from map(frozenset, combinations(sorted(members), len(members) // 2 + 1))


def begun(size: Size, choices: Choices, *, has_charge: bool = True) -> tuple[Group, Held | None]:
    """A group in epoch 1 after the first step, and a held ballot there, which needs no prepare any more."""
    group = Group()
    group.enter(1, size.old)
    held = group.charge(b"1", 1, size.old, choices.charged) if has_charge else None
    group.charge(b"2", 1, size.old, choices.promised, choices.accepted, observed=BUSY)
    return group, held


def ended(group: Group, epoch: int, size: Size, choices: Choices) -> bool:
    """Do the last step; return whether a charge was lost."""
    group.enter(epoch, choices.last)
    group.charge(b"3", epoch, size.new, choices.last)
    group.enter(epoch, choices.read)
    return is_missing(group, group.look(epoch, size.new, choices.read))


def the_procedure(size: Size, choices: Choices) -> bool:
    """Fence, list, sweep, and only then the epoch that adds; those not fenced stay behind as long as they can."""
    group, held = begun(size, choices)
    sweep(group, 2, size, choices.fenced, choices.swept, held)
    return ended(group, 3, size, choices)


def sweep(group: Group, epoch: int, size: Size, fenced: Members, swept: Members, held: Held | None) -> None:
    """Leave the epoch before, in which somebody goes on: to everyone who still answers it. List, and sweep."""
    before = {2: size.old, 4: size.new}[epoch]
    group.enter(epoch, fenced)
    group.charge(b"late in %d" % epoch, epoch - 1, before, before, held=held)
    listed = group.list_records(fenced, len(size.rest))
    group.enter(epoch, swept)
    for _ in listed:
        group.look(epoch, size.rest, swept)


def the_procedure_again(size: Size, choices: Choices, again: Again, *, is_swept: bool = True) -> bool:
    """The successor dies: its epoch, 3, is finished as it was issued, and the same steps bring in another one.

    Before it died it may have voted in epoch 3, or never; and it, and whoever was removed, answer as long as they can.
    """
    group, held = begun(size, choices)
    sweep(group, 2, size, choices.fenced, choices.swept, held)
    group.enter(3, choices.last | again.promised)
    held = group.charge(b"3", 3, size.new, choices.last)
    group.charge(b"4", 3, size.new, again.promised, again.accepted, observed=BUSY)
    if is_swept:
        sweep(group, 4, size, again.fenced, again.swept, held)
    else:
        group.enter(4, again.fenced)
    group.enter(5, again.last)
    group.charge(b"5", 5, size.newest, again.last)
    group.enter(5, again.read)
    return is_missing(group, group.look(5, size.newest, again.read))


def again_without_the_sweep(size: Size, choices: Choices, again: Again) -> bool:
    """The dead one was never seen to vote, so its epoch is taken for empty of votes that others lack."""
    return the_procedure_again(size, choices, again, is_swept=False)


def another_manifest_of_the_epoch(size: Size, choices: Choices, again: Again) -> bool:
    """Epoch 3 is issued anew, for another successor; the first one was not dead, and some had entered for it."""
    group, held = begun(size, choices)
    sweep(group, 2, size, choices.fenced, choices.swept, held)
    group.enter(3, choices.last)
    group.charge(b"3", 3, size.new, choices.last)
    if again.last & choices.last:
        return False  # no majority of the other epoch 3: it stands still
    anew = 30  # stands for 3 under another manifest: nobody enters both
    group.enter(anew, again.last)
    group.charge(b"5", anew, size.newest, again.last)
    return is_missing(group, group.look(anew, size.newest, again.last))


def is_missing(group: Group, value: bytes) -> bool:
    """Whether an acknowledged charge is not in what was read."""
    return any(name not in value for name in group.acknowledged)


def direct_replacement(size: Size, choices: Choices) -> bool:
    """One epoch that removes and adds at once."""
    group, _ = begun(size, choices)
    return ended(group, 2, size, choices)


def growing_without_the_sweep(size: Size, choices: Choices) -> bool:
    """Remove, fence, and add, with nothing in between."""
    group, held = begun(size, choices)
    group.enter(2, choices.fenced)
    group.charge(b"late", 1, size.old, size.old, held=held)
    return ended(group, 3, size, choices)


def listing_before_the_fence(size: Size, choices: Choices) -> bool:
    """The listing is taken while epoch 1 still works; the record's first charge comes after it."""
    group = Group()
    group.enter(1, size.old)
    listed = group.list_records(choices.fenced, len(size.rest))
    group.charge(b"1", 1, size.old, choices.charged)
    group.enter(2, choices.fenced | choices.swept)
    for _ in listed:
        group.look(2, size.rest, choices.swept)
    return ended(group, 3, size, choices)


def sweeping_into_old_members(size: Size, choices: Choices) -> bool:
    """The sweep writes to majorities of epoch 1, the dying replica among them, and not to those that stay."""
    group, _ = begun(size, choices)
    group.look(1, size.old, choices.charged)
    group.enter(2, choices.fenced)
    return ended(group, 3, size, choices)


def sweeping_only_what_differs(size: Size, choices: Choices) -> bool:
    """A record that the listing majority holds alike is skipped, so nobody promises anything for it."""
    group, _ = begun(size, choices)
    group.enter(2, choices.fenced)
    listed = group.list_records(choices.fenced, len(size.rest))
    group.enter(2, choices.swept)
    if listed and not group.agrees(choices.fenced):
        group.look(2, size.rest, choices.swept)
    return ended(group, 3, size, choices)
