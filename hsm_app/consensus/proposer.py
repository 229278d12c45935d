"""The proposer: one operation on one record, as a pure machine that is told what it hears (CASPaxos, Rystsov 2018).

    step = proposer.begin(held)
    Poll: ask every member `step.question`, tell `step.hear(member, reply or None)`; when `step.verdict` is not OPEN:
                                                                        step = proposer.conclude(step)
    Ask: apply the transition to `step.value`;                          step = proposer.answer(new value or None)
    Conflict: wait a little, so that duelling proposers part;           step = proposer.again()
    Unreachable: an error, and so is giving up; the change may have taken effect if `proposer.ambiguous`
    Chosen: only now may the transition's last result leave; keep `step.held` for the next operation

VAULT-NOTHING-LEAVES-UNCHOSEN: `Chosen` comes only when, during this operation, a majority accepted the value that the
result was computed from, or a majority reported one and the same accepted ballot. A value that was read from fewer, or
taken from `held`, is only ever the input of an accept: "no change" then writes it back.

After `Conflict` the transition is asked again, and the value may by then hold its own earlier change (another proposer
may have completed it), so a transition has to know its change by an id and change nothing the second time.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Set
from dataclasses import dataclass
from enum import Enum

from hsm_app.consensus.acceptor import Accept, AcceptReply, Prepare, PrepareReply
from hsm_app.consensus.ballot import ZERO, Ballot, BallotSource
from hsm_app.model import RecordId

Reply = PrepareReply | AcceptReply


class Verdict(Enum):
    """How a poll stands."""

    OPEN = "open"
    WON = "won"  # a majority granted it
    LOST = "lost"  # no majority can grant it any more, and one could still be reached
    UNREACHABLE = "unreachable"  # so many are silent that no majority can answer


class Poll:
    """One question to all members. Counts distinct members; the first word of each is what counts."""

    __slots__ = ("_granted", "_heard", "_majority", "_members", "_refused", "_silent", "question", "seen", "verdict")

    def __init__(self, question: Prepare | Accept, members: Set[int]) -> None:
        self.question = question
        self.verdict = Verdict.OPEN
        self.seen = ZERO  # the highest ballot that stands against this one
        self._members = members
        self._majority = len(members) // 2 + 1
        self._heard: set[int] = set()
        self._granted: list[Reply] = []
        self._refused = 0
        self._silent = 0

    def hear(self, member: int, reply: Reply | None) -> Verdict:
        """Count a member's reply, or None when it will not answer this poll. After the verdict nothing changes it."""
        if self.verdict is not Verdict.OPEN or member in self._heard or member not in self._members:
            return self.verdict
        self._heard.add(member)
        if reply is None:
            self._silent += 1
        elif reply.granted:
            self._granted.append(reply)
        else:
            self._refused += 1
            self.seen = max(self.seen, reply.seen)
        self.verdict = self._judge()
        return self.verdict

    def _judge(self) -> Verdict:
        if len(self._granted) >= self._majority:
            return Verdict.WON
        if len(self._members) - self._silent < self._majority:
            return Verdict.UNREACHABLE
        if len(self._members) - self._silent - self._refused < self._majority:
            return Verdict.LOST
        return Verdict.OPEN

    def latest(self) -> tuple[bytes, bool]:
        """Return the value of the highest accepted ballot of a won prepare, and whether all who granted it hold it."""
        promises = [reply for reply in self._granted if isinstance(reply, PrepareReply)]
        latest = max(promises, key=lambda promise: promise.accepted)
        return latest.value, all(promise.accepted == latest.accepted for promise in promises)


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What a success leaves: the value chosen, and a ballot that a majority has promised and that was never sent."""

    value: bytes
    ballot: Ballot


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """The question to the transition of section 6: what becomes of this value?"""

    value: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflict:
    """Another proposer came first. Wait, then go on with `again`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreachable:
    """No majority answers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """The value that the last result was computed from is chosen. `rounds`: polls that it took."""

    held: Held
    rounds: int


Step = Poll | Ask | Conflict | Unreachable | Chosen


class Proposer:
    """One operation. `members` are the ids of the whole group; `ballots` is the process's only source of ballots."""

    def __init__(self, *, members: Set[int], ballots: BallotSource) -> None:
        self._members = members
        self._ballots = ballots
        self._ballot = ZERO  # this attempt's; promised by a majority, or asked to be
        self._value = b""
        self._settled = False  # the value was read from a majority that all held it
        self._rounds = 0
        self.ambiguous = False  # a change was sent, and some member may have accepted it

    def begin(self, held: Held | None) -> Step:
        """Start. `held` skips the prepare; it must have been taken from its keeper, so that nobody uses it twice."""
        if held is None:
            return self.again()
        self._ballot, self._value, self._settled = held.ballot, held.value, False
        return Ask(value=held.value)

    def again(self) -> Step:
        """Prepare with a ballot that was never used."""
        self._ballot = self._ballots.issue()
        return self._poll(Prepare(ballot=self._ballot))

    def answer(self, change: bytes | None) -> Step:
        """Go on with the transition's answer: a new value, or None when the value stays and only a result leaves."""
        if change is None and self._settled:
            return self._chosen(self._ballot)  # promised, and not used by this read
        self.ambiguous = self.ambiguous or change is not None
        self._value = self._value if change is None else change
        return self._poll(Accept(ballot=self._ballot, value=self._value, next=self._ballots.issue()))

    def conclude(self, poll: Poll) -> Step:
        """Go on with a poll that has its verdict."""
        self._ballots.observe(poll.seen)
        if poll.verdict is Verdict.UNREACHABLE:
            return Unreachable()
        if poll.verdict is Verdict.LOST:
            return Conflict()
        if isinstance(poll.question, Accept):
            return self._chosen(poll.question.next)
        self._value, self._settled = poll.latest()
        return Ask(value=self._value)

    def _poll(self, question: Prepare | Accept) -> Poll:
        self._rounds += 1
        return Poll(question, self._members)

    def _chosen(self, unused: Ballot) -> Chosen:
        return Chosen(held=Held(value=self._value, ballot=unused), rounds=self._rounds)


class HeldValues:
    """What this process's last successes left, the most recently used records first. Never outlives the process."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held: OrderedDict[RecordId, Held] = OrderedDict()

    def take(self, record: RecordId) -> Held | None:
        """Remove and return: a ballot that was sent must never be found here again, whatever became of it."""
        return self._held.pop(record, None)

    def keep(self, record: RecordId, held: Held) -> None:
        """Keep what a success left, and forget the record used longest ago when there are too many."""
        self._held[record] = held
        if len(self._held) > self._limit:
            self._held.popitem(last=False)
