"""The counters that a replica tells: what is counted, and that a signal gets them into the log."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal

import pytest

from hsm_app.consensus.acceptor import Accept, Prepare
from hsm_app.consensus.ballot import Ballot, BallotSource
from hsm_app.consensus.proposer import Reply
from hsm_app.model import RecordId, ReplicaId
from hsm_app.replica.counters import tell_when_asked
from hsm_app.replica.keeper import Question
from hsm_app.replica.register import Register
from hsm_app.replica.votes import OwnVoter, VoteWorker
from tests.replica.memory_store import MemoryAnchor, MemoryStore, memory_keeper

OWN = ReplicaId(1)
LATE, EARLY = Ballot(9, 1, 1, 1), Ballot(1, 1, 1, 1)


async def voted(worker: VoteWorker, *asked: Prepare | Accept) -> None:
    answered: asyncio.Future[list[Reply]] = asyncio.get_running_loop().create_future()
    worker.submit([Question(RecordId(bytes([n]) * 32), one) for n, one in enumerate(asked)], answered.set_result)
    await answered


async def test_a_signal_gets_the_counters_into_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    worker = VoteWorker(lambda: memory_keeper(MemoryStore(), MemoryAnchor()), fatal=lambda error: None)
    boot = await worker.start()
    register = Register(
        voters={OWN: OwnVoter(OWN, worker)}, ballots=BallotSource(replica=OWN, incarnation=1, boot=boot)
    )
    end = tell_when_asked(worker, register)
    try:
        await voted(worker, *[Prepare(ballot=LATE)] * 5)
        await voted(worker, Prepare(ballot=EARLY))  # refused: a batch that changes nothing needs no anchor
        os.kill(os.getpid(), signal.SIGUSR1)
        while not caplog.messages:
            await asyncio.sleep(0.01)
    finally:
        end()
        await worker.close()
    told = json.loads(caplog.messages[0].removeprefix("counters "))
    assert (told["votes"], told["anchors"], told["batches"][:5]) == (6, 1, [1, 0, 0, 1, 0])
    assert (told["one_round"], told["two_rounds"]) == (0, 0)
