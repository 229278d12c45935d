"""The group's registers: one value per record, changed by majority vote, one operation per record at a time.

    answer = await register.update(record, transition)

`transition` gets the record's value (b"" when there is none) and returns a `Change`: the new value, or None to leave
it, and the result. The result leaves, also a refusal and also when nothing changes, only from a value that was chosen
during this call (VAULT-NOTHING-LEAVES-UNCHOSEN, `consensus.proposer`). The transition may be called again after a
conflict, on a value that may hold its own change already; it has to recognise that by an id. Its last result counts.

What a failed call means:

- QuorumError, not ambiguous: nothing was changed, and nothing will be;
- QuorumError(ambiguous=True): the change was sent and may be chosen, now or by a later operation. The same call with
  the same ids is safe;
- an exception of the transition other than Denied: it leaves at once, so it may not tell anything about the value.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar
from weakref import WeakValueDictionary

from hsm_app.consensus.ballot import BallotSource
from hsm_app.consensus.proposer import Ask, Chosen, Conflict, HeldValues, Poll, Proposer, Reply, Step, Verdict
from hsm_app.errors import Denied, QuorumError
from hsm_app.model import RecordId, ReplicaId
from hsm_app.replica.keeper import Question
from hsm_app.replica.votes import Voter
from hsm_app.wire.votes import VALUE_LIMIT

T = TypeVar("T")

DEADLINE = 3.0  # seconds of one operation; the client's own patience is longer, so it hears which error it was
HELD_VALUES = 4096  # a record's second operation follows the first within seconds
FIRST_PAUSE, LONGEST_PAUSE = 0.004, 0.2  # seconds, times a random share: duelling proposers part


@dataclass(frozen=True, slots=True)
class Change(Generic[T]):
    """A transition's answer. `value` None: the record stays as it is, and the result was read from it."""

    value: bytes | None
    result: T


Transition = Callable[[bytes], Awaitable[Change[T]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterStats:
    """Counters since the start. `one_round + two_rounds + more_rounds` operations succeeded."""

    one_round: int = 0  # accepted under a held ballot, or read from a majority that agreed
    two_rounds: int = 0
    more_rounds: int = 0  # after conflicts
    conflicts: int = 0  # polls that another proposer's ballot defeated
    quorum_errors: int = 0  # ambiguous ones included
    ambiguous: int = 0


class Register:
    """All records of the group, as this replica proposes for them. Used on one event loop."""

    def __init__(
        self,
        *,
        voters: Mapping[ReplicaId, Voter],
        ballots: BallotSource,
        deadline: float = DEADLINE,
        held_values: int = HELD_VALUES,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """`voters` are all members, this replica included; `ballots` is this process's only source."""
        self._voters = tuple(voters.values())
        self._members = frozenset(voters)
        self._majority = len(voters) // 2 + 1
        self._ballots = ballots
        self._deadline = deadline
        self._held_limit = held_values
        self._held = HeldValues(held_values)
        self._jitter = jitter
        self._turns: WeakValueDictionary[RecordId, asyncio.Lock] = WeakValueDictionary()
        self._rounds = [0, 0, 0]
        self._conflicts = self._quorum_errors = self._ambiguous = 0

    @property
    def stats(self) -> RegisterStats:
        one, two, more = self._rounds
        return RegisterStats(
            one_round=one,
            two_rounds=two,
            more_rounds=more,
            conflicts=self._conflicts,
            quorum_errors=self._quorum_errors,
            ambiguous=self._ambiguous,
        )

    def forget(self) -> None:
        """Drop every held value, also what operations under way would leave: the epoch has changed."""
        self._held = HeldValues(self._held_limit)

    async def update(self, record: RecordId, transition: Transition[T]) -> T:
        """Apply `transition` to the record's value and return its result. QuorumError within the deadline."""
        turn = self._turns.setdefault(record, asyncio.Lock())
        proposer = Proposer(members=self._members, ballots=self._ballots)
        try:
            async with asyncio.timeout(self._deadline) as limit, turn:
                return await self._operate(record, transition, proposer)
        except TimeoutError:
            if not limit.expired():
                raise  # the transition's own
            raise self._failed(f"no majority answered within {self._deadline:g} s", proposer) from None

    async def _operate(self, record: RecordId, transition: Transition[T], proposer: Proposer) -> T:
        self._check_reachable(proposer)
        held_values = self._held  # what `forget` has replaced meanwhile takes nothing up
        step = await self._advance(record, proposer, proposer.begin(held_values.take(record)))
        while isinstance(step, Ask):
            outcome = await _apply(transition, step.value)
            change = outcome.value if isinstance(outcome, Change) else None
            if change is not None and len(change) > VALUE_LIMIT:
                raise ValueError(f"a value of {len(change)} bytes; a vote carries {VALUE_LIMIT}")
            step = await self._advance(record, proposer, proposer.answer(change))
        held_values.keep(record, step.held)
        self._rounds[min(step.rounds, 3) - 1] += 1
        if isinstance(outcome, Denied):
            raise outcome
        return outcome.result

    async def _advance(self, record: RecordId, proposer: Proposer, step: Step) -> Ask | Chosen:
        """Go on by polls and pauses to the next step that concerns the transition."""
        pause = FIRST_PAUSE
        while not isinstance(step, Ask | Chosen):
            if isinstance(step, Poll):
                await self._ask_all(record, step)
                step = proposer.conclude(step)
            elif isinstance(step, Conflict):
                self._conflicts += 1
                await asyncio.sleep(self._jitter() * pause)
                pause = min(LONGEST_PAUSE, pause * 2)
                step = proposer.again()
            else:
                raise self._failed("fewer than a majority of the replicas can be reached", proposer)
        return step

    def _check_reachable(self, proposer: Proposer) -> None:
        """Refuse before anything is sent: a change that cannot be chosen now would only make the outcome ambiguous."""
        if sum(voter.is_reachable for voter in self._voters) < self._majority:
            raise self._failed("fewer than a majority of the replicas are connected", proposer)

    async def _ask_all(self, record: RecordId, poll: Poll) -> None:
        """Ask every member and return when the poll has its verdict."""
        decided: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def heard(member: int, reply: Reply | None) -> None:
            if poll.hear(member, reply) is not Verdict.OPEN and not decided.done():
                decided.set_result(None)

        question = Question(record, poll.question)
        for voter in self._voters:
            voter.ask(question, heard)
        await decided

    def _failed(self, what: str, proposer: Proposer) -> QuorumError:
        self._quorum_errors += 1
        if not proposer.ambiguous:
            return QuorumError(what, "Nothing was changed; try again, or check the replicas and the network")
        self._ambiguous += 1
        todo = "The change may have taken effect: repeat the same request"
        return QuorumError(f"{what}, and the outcome is unknown", todo, ambiguous=True)


async def _apply(transition: Transition[T], value: bytes) -> Change[T] | Denied:
    """Ask the transition. A refusal tells about the value, so it is a result like any other and waits for the vote."""
    try:
        return await transition(value)
    except Denied as refusal:
        return refusal
