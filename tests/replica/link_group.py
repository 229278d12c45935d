"""Replicas that vote over real sockets on loopback, with stores in memory.

The token is a double for the link keys only: it shows who talks to whom under which keys, and says nothing about the
strength of any of it. Real tokens are in the tests of the whole fleet.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TypeVar

from hsm_app.consensus.ballot import BallotSource
from hsm_app.fleet.manifest import Replica
from hsm_app.model import FleetId, LinkKeys, ReplicaId
from hsm_app.net.address import Address
from hsm_app.ports import Token
from hsm_app.replica.inquiries import Handler
from hsm_app.replica.links import LinkIdentity
from hsm_app.replica.peers import Peers
from hsm_app.replica.register import Register
from hsm_app.replica.votes import OwnVoter, VoteWorker
from hsm_app.wire.hello import Hello
from tests.ports import free_ports
from tests.replica.memory_store import MemoryStore, memory_keeper

PATIENCE = 60  # seconds that a test waits for what has to come
T = TypeVar("T")


class LinkToken:
    """Both ends compute the same keys from both public names, a shared secret and the transcript.

    `fleet` stands for the fleet's keys.
    """

    def __init__(self, public: bytes, secret: bytes = b"shared", fleet: bytes = b"fleet") -> None:
        self._public = public
        self._secret = secret
        self._fleet = fleet

    def message_key(self, purpose: bytes, nonce: bytes) -> bytes:
        return hashlib.sha256(self._fleet + purpose + nonce).digest()

    def random(self, length: int) -> bytes:
        return os.urandom(length)

    def link_keys(self, peer: bytes, transcript: bytes) -> LinkKeys:
        bound = self._secret + b"".join(sorted([peer, self._public])) + transcript
        return LinkKeys(dialler=hashlib.sha256(b"d" + bound).digest(), listener=hashlib.sha256(b"l" + bound).digest())


class LinkTokens:
    """A token queue that answers after `seconds`."""

    def __init__(self, token: LinkToken, seconds: float) -> None:
        self._token = token
        self._seconds = seconds

    async def run(self, job: Callable[[Token], T]) -> T:
        await asyncio.sleep(self._seconds)
        return job(self._token)  # type: ignore[arg-type]


def public_name(replica: int) -> bytes:
    return bytes([2]) + bytes([replica]) * 32


HELLO = Hello(
    fleet="fleet-1",
    group=0,
    epoch=4,
    manifest_digest=b"m" * 32,
    replica=1,
    incarnation=1,
    boot=7,
    nonce=bytes(32),
)


class Member:
    """One replica. What a test wants otherwise, it changes before `start`."""

    def __init__(self, replica: int, ports: list[int]) -> None:
        self.replica = ReplicaId(replica)
        self.ports = ports
        self.store = MemoryStore()
        self.failures: list[Exception] = []
        self.hello = replace(HELLO, fleet=FleetId("fleet-1"), replica=replica)
        self.token = LinkToken(public_name(replica))
        self.token_seconds = 0.0
        self.inquiries: dict[str, Handler] = {}
        self.bugs: list[BaseException] = []
        self.incarnations = dict.fromkeys(range(1, len(ports) + 1), 1)

    async def start(self) -> None:
        self.worker = VoteWorker(lambda: memory_keeper(self.store), fatal=self.failures.append)
        await self.worker.start()
        ballots = self.ballots = BallotSource(replica=self.replica, incarnation=1, boot=7)
        addresses = {
            ReplicaId(number): Address(host="127.0.0.1", port=port) for number, port in enumerate(self.ports, 1)
        }
        own = addresses.pop(self.replica)
        self.peers = Peers(
            self.identity(),
            addresses,
            worker=self.worker,
            ballots=ballots,
            inquiries=self.inquiries,
            fail=self.bugs.append,
        )
        await self.peers.start(own)
        voters = {self.replica: OwnVoter(self.replica, self.worker), **self.peers.voters}
        self.register = Register(voters=voters, ballots=ballots, deadline=PATIENCE)

    def identity(self) -> LinkIdentity:
        members = {
            ReplicaId(number): Replica(
                replica=ReplicaId(number), incarnation=incarnation, identity_public=b"", link_public=public_name(number)
            )
            for number, incarnation in self.incarnations.items()
        }
        return LinkIdentity(hello=self.hello, members=members, tokens=LinkTokens(self.token, self.token_seconds))

    def reaches(self, *others: int) -> bool:
        return all(self.peers.voters[ReplicaId(other)].is_reachable for other in others)

    async def stop(self) -> None:
        self.store.gate.set()
        await self.peers.close()
        await self.worker.close()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():
            await asyncio.sleep(0.005)


@asynccontextmanager
async def running(*members: Member) -> AsyncIterator[None]:
    for member in members:
        await member.start()
    try:
        yield
    finally:
        for member in members:
            await member.stop()


@asynccontextmanager
async def linked(count: int) -> AsyncIterator[list[Member]]:
    """`count` replicas, each with links to and from all others."""
    ports = free_ports(count)
    members = [Member(number, ports) for number in range(1, count + 1)]
    async with running(*members):
        for member in members:
            others = [other.replica for other in members if other is not member]
            await until(lambda member=member, others=others: member.reaches(*others))  # type: ignore[misc]
        yield members
