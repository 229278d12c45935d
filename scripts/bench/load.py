"""The load: one process, asyncio, some clients in flight through the relay, each doing one operation after another.

What a client can know before it is asked (the account token, KE1, the sealed recover-start) is made before the clock
starts, so that the load's own CPU leaves the two cores to the fleet; what depends on an answer (KE3 and its sealing)
cannot be, and is reported apart as the load's CPU. An operation that meets a dead or silent replica is sent again, the
same bytes, and counted; an operation that fails after its retries ends the benchmark.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from hsm_app.client.transport import RelayConnection
from hsm_app.errors import QuorumError, VaultError
from hsm_app.net.address import Address
from hsm_app.wire.envelopes import Outcome
from hsm_app.wire.messages import Answer, Refusal
from hsm_app.wire.refusal import raise_refusal
from hsm_app.wire.session import SealedRequest, open_answer

CONNECTIONS = 8  # the clients share these: a relay's work does not depend on how many there are
ANSWER_SECONDS = 20.0
RETRIES = 12
PAUSE = 0.2  # seconds before a retry
T = TypeVar("T")
Job = Callable[[], Awaitable[None]]


class LoadError(Exception):
    """An operation that failed also after its retries."""


@dataclass(slots=True)
class Tally:
    """What a run has seen: seconds of each operation, when answers came, and how many messages were sent again."""

    seconds: list[float] = field(default_factory=list)
    answers: list[float] = field(default_factory=list)  # perf_counter seconds
    retries: int = 0


class Line:
    """The way to the fleet: a few connections to the relay, used in turn."""

    def __init__(self, relay: Address, tally: Tally) -> None:
        self._connections = [RelayConnection(relay, "") for _ in range(CONNECTIONS)]
        self._turn = itertools.cycle(self._connections)
        self.tally = tally

    async def ask(self, route: int, request: SealedRequest, expected: type[T]) -> T:
        """Send a sealed request until it is answered. LoadError when the fleet refuses it, or after `RETRIES`."""
        for again in range(RETRIES + 1):
            try:
                answer = await self._once(route, request)
            except QuorumError as error:
                reason: VaultError = error
            else:
                if isinstance(answer, expected):
                    self.tally.answers.append(time.perf_counter())
                    return answer
                raise LoadError(f"answered with {type(answer).__name__}")
            self.tally.retries += 1
            await asyncio.sleep(PAUSE * (again + 1))
        raise LoadError(f"{RETRIES} retries were not enough: {reason}")

    async def close(self) -> None:
        for connection in self._connections:
            await connection.close()

    async def _once(self, route: int, request: SealedRequest) -> Answer:
        response = await next(self._turn).ask(route, request.sealed, ANSWER_SECONDS)
        if response.outcome is not Outcome.ANSWERED:
            raise QuorumError(response.detail or response.outcome.name)
        answer = open_answer(request, response.sealed)
        if isinstance(answer, Refusal):
            raise_refusal(answer)
        return answer


async def in_flight(clients: int, jobs: Sequence[Sequence[Job]], tally: Tally) -> float:
    """Let `clients` work off `jobs`; each inner sequence is one person's and is done in order. Return wall seconds."""
    queue = iter(jobs)

    async def client() -> None:
        for person in queue:
            for job in person:
                began = time.perf_counter()
                await job()
                tally.seconds.append(time.perf_counter() - began)

    began = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(clients):
            group.create_task(client())
    return time.perf_counter() - began
