"""A group of acceptors in memory, for tests of what proposes to them. The acceptor's code is the real one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from enum import Enum

from hsm_app.consensus.acceptor import EMPTY, Prepare, Slot, accept, prepare
from hsm_app.consensus.ballot import Ballot, BallotSource
from hsm_app.consensus.proposer import Reply
from hsm_app.model import RecordId, ReplicaId
from hsm_app.replica.keeper import Question
from hsm_app.replica.register import Register
from hsm_app.replica.votes import Heard


class Mood(Enum):
    WELL = "answers"
    AWAY = "known to be away"
    LOST = "votes, but its link ends before the reply"
    CUT = "its link ends before it votes"
    MUTE = "neither votes nor says why"
    DEAF = "votes, and the reply is lost without a word"


class MemoryVoter:
    """Implements Voter. `mood` decides what it does; `asked` keeps every question."""

    def __init__(self, replica: int) -> None:
        self.replica = replica
        self.slots: dict[RecordId, Slot] = {}
        self.mood: Mood | Callable[[Question], Mood] = Mood.WELL
        self.asked: list[Question] = []

    @property
    def is_reachable(self) -> bool:
        return self.mood is not Mood.AWAY

    def ask(self, question: Question, heard: Heard) -> None:
        mood = self.mood if isinstance(self.mood, Mood) else self.mood(question)
        if mood is Mood.AWAY:
            heard(self.replica, None)
            return
        self.asked.append(question)
        reply = self._vote(question) if mood in (Mood.WELL, Mood.LOST, Mood.DEAF) else None
        if mood not in (Mood.MUTE, Mood.DEAF):
            told = reply if mood is Mood.WELL else None
            asyncio.get_running_loop().call_soon(heard, self.replica, told)

    def _vote(self, question: Question) -> Reply:
        slot = self.slots.get(question.record, EMPTY)
        asked = question.asked
        if isinstance(asked, Prepare):
            changed, reply = prepare(slot, asked.ballot)
        else:
            changed, reply = accept(slot, asked.ballot, asked.value, asked.next)
        self.slots[question.record] = changed or slot
        return reply

    def value(self, record: RecordId) -> bytes:
        return self.slots.get(record, EMPTY).value


def group(size: int = 5) -> list[MemoryVoter]:
    return [MemoryVoter(number) for number in range(1, size + 1)]


def ballots(proposer: int) -> BallotSource:
    """A source whose ballots exceed those of the proposers before it, as if it had heard of their first hundred."""
    source = BallotSource(replica=proposer, incarnation=1, boot=1)
    source.observe(Ballot(100 * (proposer - 1), proposer, 1, 1))
    return source


def register(
    voters: list[MemoryVoter], proposer: int = 1, *, deadline: float = 3.0, held_values: int = 100
) -> Register:
    return Register(
        voters={ReplicaId(voter.replica): voter for voter in voters},
        ballots=ballots(proposer),
        deadline=deadline,
        held_values=held_values,
    )
