"""A small model of membership changes on the real acceptor, proposer and sweep: one record that counts its charges.

`Group` holds the replicas' slots and the epoch that each has entered. An operation is one real `Proposer` whose polls
are answered by the members named, and only by those that are in its epoch; everybody else is silent. Each procedure
below takes the adversary's choices (which majority answers when) and returns a `Run`: the charges that were
acknowledged, and those that are found at the end by a majority of the last epoch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import combinations, product
from typing import NamedTuple

from hsm_app.consensus.acceptor import EMPTY, Accept, Prepare, Slot, accept, prepare
from hsm_app.consensus.ballot import BallotSource
from hsm_app.consensus.proposer import Ask, Chosen, Conflict, Held, Poll, Proposer, Reply
from hsm_app.consensus.sweep import Page, judge_pages
from hsm_app.model import RecordId

RECORD = RecordId(bytes(32))
CHARGE = b"c"
Members = frozenset[int]


class Run(NamedTuple):
    acknowledged: int
    found: int

    @property
    def has_lost(self) -> bool:
        return self.found < self.acknowledged


@dataclass(slots=True)
class Group:
    """Members by number; a newcomer has a number of its own here, so that the old one can still be asked."""

    slots: dict[int, dict[RecordId, Slot]] = field(default_factory=dict)
    epochs: dict[int, int] = field(default_factory=dict)
    acknowledged: int = 0
    boots: int = 0

    def enter(self, epoch: int, members: Iterable[int]) -> None:
        for member in members:
            self.epochs[member] = max(epoch, self.epochs.get(member, 0))
            self.slots.setdefault(member, {})

    def proposer(self, members: Members) -> Proposer:
        self.boots += 1
        return Proposer(members=members, ballots=BallotSource(replica=1, incarnation=1, boot=self.boots))

    def charge(self, epoch: int, members: Members, answering: Members, held: Held | None = None) -> Held | None:
        """Count one charge; it is acknowledged when it was chosen. Return what the proposer may go on with."""
        chosen = self._operate(epoch, members, answering, held, lambda value: value + CHARGE)
        self.acknowledged += chosen is not None
        return None if chosen is None else chosen.held

    def rewrite(self, epoch: int, members: Members, answering: Members) -> None:
        if self._operate(epoch, members, answering, None, lambda _: None) is None:
            raise AssertionError("the model's sweep met no majority")

    def read(self, epoch: int, members: Members, answering: Members) -> int:
        chosen = self._operate(epoch, members, answering, None, lambda _: None)
        if chosen is None:
            raise AssertionError("the model's last read met no majority")
        return chosen.held.value.count(CHARGE)

    def list_records(self, members: Members, size: int) -> tuple[RecordId, ...]:
        """Return the records that a sweep over the listings of `members` finds differing, in a group of `size`."""
        pages = {
            member: Page(rows=[(record, slot.accepted) for record, slot in self.slots[member].items()], is_last=True)
            for member in members
        }
        return judge_pages(pages, size).differing

    def _operate(
        self,
        epoch: int,
        members: Members,
        answering: Members,
        held: Held | None,
        change: Callable[[bytes], bytes | None],
    ) -> Chosen | None:
        proposer = self.proposer(members)
        step = proposer.begin(held)
        while isinstance(step, Poll | Ask | Conflict):
            if isinstance(step, Ask):
                step = proposer.answer(change(step.value))
                continue
            if isinstance(step, Conflict):  # a ballot too low; the refusal told the counter to exceed
                step = proposer.again()
                continue
            for member in sorted(members, key=lambda member: (member not in answering, member)):
                heard = member in answering and self.epochs.get(member) == epoch
                step.hear(member, self._vote(member, step.question) if heard else None)
            step = proposer.conclude(step)
        return step if isinstance(step, Chosen) else None

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
    """The adversary's: who answers the charge, who is fenced and lists, who answers the sweep, who the last read."""

    charged: Members
    fenced: Members
    swept: Members
    read: Members


@dataclass(frozen=True, slots=True)
class Size:
    """Epoch 1 has replicas 1 to n; n is the one that dies, and its successor is numbered 100 + n."""

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

    def choices(self) -> Iterator[Choices]:
        groups = (self.old, self.rest, self.rest, self.new)
        yield from (Choices(*chosen) for chosen in product(*(list(majorities(group)) for group in groups)))


def majorities(members: Members) -> Iterator[Members]:
    """The smallest majorities; a larger one only makes more sets meet."""
    yield from map(frozenset, combinations(sorted(members), len(members) // 2 + 1))


def begun(size: Size, charged: Members) -> tuple[Group, Held | None]:
    """A group in epoch 1 with one charge acknowledged, and the proposer's held ballot, which needs no prepare."""
    group = Group()
    group.enter(1, size.old)
    return group, group.charge(1, size.old, charged)


def the_procedure(size: Size, choices: Choices) -> Run:
    """Fence, list, sweep, and only then the epoch that adds; those not fenced stay behind as long as they can."""
    group, held = begun(size, choices.charged)
    group.enter(2, choices.fenced)
    group.charge(1, size.old, size.old, held)  # a late accept to everyone who still answers epoch 1
    differing = group.list_records(choices.fenced, len(size.rest))
    group.enter(2, choices.swept)
    if differing:
        group.rewrite(2, size.rest, choices.swept)
    return ended(group, 3, size, choices)


def direct_replacement(size: Size, choices: Choices) -> Run:
    """One epoch that removes and adds at once."""
    group, _ = begun(size, choices.charged)
    return ended(group, 2, size, choices)


def growing_without_the_sweep(size: Size, choices: Choices) -> Run:
    """Remove, fence, and add, with nothing in between."""
    group, held = begun(size, choices.charged)
    group.enter(2, choices.fenced)
    group.charge(1, size.old, size.old, held)
    return ended(group, 3, size, choices)


def listing_before_the_fence(size: Size, choices: Choices) -> Run:
    """The listing is taken while epoch 1 still works; a record's first charge comes after it."""
    group = Group()
    group.enter(1, size.old)
    differing = group.list_records(choices.fenced, len(size.rest))
    group.charge(1, size.old, choices.charged)
    group.enter(2, choices.fenced | choices.swept)
    if differing:
        group.rewrite(2, size.rest, choices.swept)
    return ended(group, 3, size, choices)


def sweeping_into_old_members(size: Size, choices: Choices) -> Run:
    """The sweep writes to majorities of epoch 1, the dying replica among them, and not to those that stay."""
    group, _ = begun(size, choices.charged)
    group.rewrite(1, size.old, choices.charged)
    group.enter(2, choices.fenced)
    return ended(group, 3, size, choices)


def ended(group: Group, epoch: int, size: Size, choices: Choices) -> Run:
    group.enter(epoch, choices.read)
    return Run(group.acknowledged, group.read(epoch, size.new, choices.read))
