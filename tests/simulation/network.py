"""The network between the replicas: the real hellos, link sessions and vote codecs over wires that do their worst.

A run has one of two kinds of wires. *Sealed* ones carry link sessions in a stream: frames arrive in order or the link
ends, and a frame that the network repeats, changes places of or leaves out must end it. *Bare* ones carry each frame by
itself, without a session, so that votes themselves get lost, repeated and mixed, and come arbitrarily late; that is
worse than any network can do to a real link, and the consensus has to stand it.

A cut is one-way: what is sent that way is gone, and nobody is told.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import count
from random import Random
from typing import TYPE_CHECKING

from hsm_app.consensus.proposer import Reply
from hsm_app.errors import ProtocolError
from hsm_app.model import LinkKeys
from hsm_app.replica.keeper import Question
from hsm_app.replica.vote_messages import to_question, to_reply, to_request, to_vote
from hsm_app.replica.votes import Heard
from hsm_app.wire.hello import Hello, check_hello, decode_hello, encode_hello, transcript
from hsm_app.wire.link import LinkSession, Role
from hsm_app.wire.votes import (
    VoteRequest,
    check_reply,
    decode_replies,
    decode_requests,
    encode_replies,
    encode_requests,
)
from tests.simulation.token import digest

if TYPE_CHECKING:
    from tests.simulation.process import Process

RETRY = 0.3  # seconds between attempts to connect
SILENCE = 0.8  # seconds with a question open after which a sealed link is given up


@dataclass(frozen=True, slots=True, kw_only=True)
class Weather:
    """How bad the wires are: shares of all frames, and seconds."""

    is_sealed: bool
    lost: float
    repeated: float
    told: float  # of what is lost on a bare wire: the asker hears that no answer comes
    delay: float  # the mean


class Network:
    """All wires. `cut` holds (from, to) pairs of replicas."""

    def __init__(self, random: Random, weather: Weather) -> None:
        self._random = random
        self.weather = weather
        self.cut: set[tuple[int, int]] = set()

    def fate(self, source: int, target: int) -> list[float]:
        """Return after how many seconds a frame arrives: once, never, or more often."""
        weather = self.weather
        if (source, target) in self.cut or self._random.random() < weather.lost:
            return []
        copies = 2 if self._random.random() < weather.repeated else 1
        return [self._random.expovariate(1 / weather.delay) for _ in range(copies)]

    def is_told(self) -> bool:
        return self._random.random() < self.weather.told

    def nonce(self) -> bytes:
        return self._random.randbytes(32)


class Wire:
    """One direction of a link: what `send` seals comes out at `arrived`, or ends the link."""

    def __init__(
        self,
        network: Network,
        ends: tuple[Process, Process],
        sessions: tuple[LinkSession, LinkSession],
        arrived: Callable[[bytes], None],
        broken: Callable[[], None],
    ) -> None:
        self._network = network
        self._source, self._target = ends
        self._near, self._far = sessions
        self._arrived = arrived
        self._broken = broken
        self._last = 0.0
        self.is_over = False

    def send(self, content: bytes) -> bool:
        """Send a frame; return whether it is on its way."""
        loop, sealed = asyncio.get_running_loop(), self._network.weather.is_sealed
        if self.is_over:
            return False
        frame = self._near.seal(content) if sealed else content
        delays = self._network.fate(self._source.replica, self._target.replica)
        for delay in delays:
            at = loop.time() + delay
            if sealed:
                at = self._last = max(self._last, at)
            loop.call_at(at, self._arrive, frame)
        return bool(delays)

    def _arrive(self, frame: bytes) -> None:
        if not self._target.is_alive:
            self._broken()
            return
        try:
            self._arrived(self._far.open(frame) if self._network.weather.is_sealed else frame)
        except ProtocolError:
            self._broken()


class SimulatedPeer:
    """Another replica, asked over a link that this one dials. Implements replica.votes.Voter."""

    def __init__(self, own: Process, replica: int, find: Callable[[], Process | None], network: Network) -> None:
        self._own = own
        self.replica = replica
        self._find = find
        self._network = network
        self._wires: tuple[Wire, Wire] | None = None
        self.linked: Process | None = None  # who answers at the other end
        self._outbox: list[tuple[Question, Heard]] = []
        self._asked: dict[int, tuple[VoteRequest, Heard]] = {}
        self._open: set[int] = set()
        self._nonces = count(1)

    @property
    def is_reachable(self) -> bool:
        return self._wires is not None

    def ask(self, question: Question, heard: Heard) -> None:
        if not self.is_reachable:
            heard(self.replica, None)
            return
        if not self._outbox:
            asyncio.get_running_loop().call_soon(self._flush)
        self._outbox.append((question, heard))

    def keep_up(self) -> None:
        """Connect, and go on trying; `drop` comes back here."""
        if not self._own.is_alive or self._wires is not None:
            return
        peer = self._find()
        if peer is not None and peer is not self._own:
            self._connect(peer)
        if self._wires is None:
            asyncio.get_running_loop().call_later(RETRY, self.keep_up)

    def _connect(self, peer: Process) -> None:
        ways = ((self._own.replica, self.replica), (self.replica, self._own.replica))
        if any(way in self._network.cut for way in ways):
            return
        try:
            sessions = open_sessions(self._own, peer, self.replica, self._network)
        except ProtocolError:
            return  # of another epoch

        def vote(content: bytes) -> None:
            requests = decode_requests(content)
            questions = [to_question(request) for request in requests]
            peer.hear_questions(questions)
            peer.worker.submit(
                questions,
                lambda replies: answer(requests, replies),
            )

        def answer(requests: list[VoteRequest], replies: list[Reply]) -> None:
            pairs = zip(requests, replies, strict=True)
            back.send(encode_replies(to_vote(peer.replica, request, reply) for request, reply in pairs))

        there = Wire(self._network, (self._own, peer), sessions, vote, self.drop)
        back = Wire(self._network, (peer, self._own), sessions[::-1], self._hear, self.drop)
        self._wires, self.linked = (there, back), peer

    def _flush(self) -> None:
        batch, self._outbox = self._outbox, []
        if self._wires is None or not batch:
            return
        requests = []
        for question, heard in batch:
            request = to_request(next(self._nonces), question)
            self._asked[request.nonce] = (request, heard)
            self._open.add(request.nonce)
            requests.append(request)
        is_sent = self._wires[0].send(encode_requests(requests))
        if self._network.weather.is_sealed:
            asyncio.get_running_loop().call_later(SILENCE, self._check_silence, self._wires, requests[0].nonce)
        elif not is_sent and self._network.is_told():
            for _, heard in batch:
                heard(self.replica, None)

    def _check_silence(self, wires: object, nonce: int) -> None:
        if wires is self._wires and nonce in self._open:
            self.drop()

    def _hear(self, content: bytes) -> None:
        """Every copy of an answer is passed on: whose vote counts once is the proposer's to see."""
        for vote in decode_replies(content, self.replica):
            if vote.nonce not in self._asked:
                continue  # the link on which it was asked has ended
            request, heard = self._asked[vote.nonce]
            check_reply(request, vote)
            self._open.discard(vote.nonce)
            heard(self.replica, to_reply(request, vote))

    def drop(self) -> None:
        """End the link: what is open will not be answered."""
        for wire in self._wires or ():
            wire.is_over = True
        self._wires = self.linked = None
        lost = [self._asked[nonce][1] for nonce in sorted(self._open)] + [heard for _, heard in self._outbox]
        self._asked.clear()
        self._open.clear()
        self._outbox.clear()
        if self._own.is_alive:
            asyncio.get_running_loop().call_later(RETRY, self.keep_up)
            for heard in lost:
                heard(self.replica, None)


def open_sessions(
    dialler: Process, listener: Process, dialled: int, network: Network
) -> tuple[LinkSession, LinkSession]:
    """Greet and confirm, as both ends do. ProtocolError when they do not fit together."""
    first, second = (decode_hello(encode_hello(_greeting(one, network))) for one in (dialler, listener))
    check_hello(first, second, dict(dialler.members), dialled=dialled)
    check_hello(second, first, dict(listener.members))
    bound = transcript(first, second)
    keys = LinkKeys(dialler=digest(b"dialler", bound), listener=digest(b"listener", bound))
    near, far = LinkSession(keys, Role.DIALLER), LinkSession(keys, Role.LISTENER)
    far.confirm(near.confirmation())
    near.confirm(far.confirmation())
    return near, far


def _greeting(process: Process, network: Network) -> Hello:
    return replace(process.hello, nonce=network.nonce())
