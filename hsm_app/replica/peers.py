"""The links of this replica to the others: it dials each, and each dials it.

The connection that A dialled carries A's questions to B and B's replies, so every replica asks over its own
connections only. All questions of one tick of the loop leave in one frame, and no more than `WINDOW` frames wait for
their replies: while a peer syncs its batch the next one gathers here, so batches grow with load by themselves.

When a link ends, every question under way over it is answered with None at once. A link that stays silent for
`SILENCE_SECONDS` with a question open is ended too (a stopped process and a cut cable do not say goodbye). Lost
questions are never sent again: whether they were voted on is for the next ballot to find out.

Inquiries (`replica.inquiries`) go over the same links, in the same direction as votes.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from itertools import count

from hsm_app.consensus.acceptor import Accept
from hsm_app.consensus.ballot import BallotSource
from hsm_app.consensus.proposer import Reply
from hsm_app.errors import ProtocolError, VaultError
from hsm_app.model import ReplicaId
from hsm_app.net.address import Address, listen
from hsm_app.net.connection import FrameConnection
from hsm_app.replica.inquiries import Answering, Asking, Handler
from hsm_app.replica.keeper import Question
from hsm_app.replica.links import Link, LinkIdentity
from hsm_app.replica.vote_messages import to_question, to_reply, to_request, to_vote
from hsm_app.replica.votes import Heard, VoteWorker
from hsm_app.wire.inquiry import ANSWER, INQUIRY
from hsm_app.wire.votes import (
    VOTES_PER_FRAME,
    VoteRequest,
    check_reply,
    decode_replies,
    decode_requests,
    encode_replies,
    encode_requests,
)

WINDOW = 2  # frames under way to a peer: one being synced there, one in its queue
QUESTIONS_LIMIT = 4096  # questions waiting for one peer; more than that and it is not keeping up
SILENCE_SECONDS = 1.0  # a loaded peer answers its oldest frame within tens of milliseconds
FIRST_PAUSE, LONGEST_PAUSE = 0.05, 1.0  # seconds between attempts to reach a peer that is away
SETTLE_SECONDS = 2.0  # a fleet that starts together has its links within one
STRANGERS_LIMIT = 32  # connections that have not shown yet who they are
log = logging.getLogger(__name__)


class PeerVoter:
    """Another member of the group, asked over a link that this replica dials and keeps up. Implements Voter."""

    def __init__(self, replica: ReplicaId, address: Address, identity: LinkIdentity) -> None:
        self._replica = replica
        self._address = address
        self._identity = identity
        self._link: Link | None = None
        self._outbox: list[tuple[Question, Heard]] = []
        self._asked: deque[list[tuple[VoteRequest, Heard]]] = deque()  # frames under way, the oldest first
        self._answered = 0  # frames
        self._nonces = count(1)
        self.inquiries = Asking()

    @property
    def is_reachable(self) -> bool:
        return self._link is not None and self._link.is_open

    def ask(self, question: Question, heard: Heard) -> None:
        """Implements Voter. Silence comes at once when the peer is away or far behind."""
        if not self.is_reachable or len(self._outbox) >= QUESTIONS_LIMIT:
            heard(self._replica, None)
            return
        if not self._outbox:
            asyncio.get_running_loop().call_soon(self._flush)
        self._outbox.append((question, heard))

    async def keep_up(self) -> None:
        """Dial, and dial again when the link ends. Runs until it is cancelled."""
        pause, trouble = FIRST_PAUSE, ""
        while True:
            link = Link(self._identity, on_content=self._hear)
            try:
                await link.dial(self._address, self._replica)
                self._link = link
                self.inquiries.connected(link.send)
                log.info("link to replica %d is up", self._replica)
                pause, trouble = FIRST_PAUSE, await self._watch(link)
                log.warning("link to replica %d is down: %s", self._replica, trouble)
            except (OSError, VaultError) as error:
                if trouble != str(error):  # once, not once a second
                    trouble = str(error)
                    log.warning("no link to replica %d: %s", self._replica, trouble)
            finally:
                link.connection.abort("this replica hung up")
                self._drop()
            await asyncio.sleep(pause)
            pause = min(LONGEST_PAUSE, pause * 2)

    async def _watch(self, link: Link) -> str:
        """Wait for the end of the link, or end it when the peer owes an answer for too long. Return why it ended."""
        while not link.ended.done():
            answered, owes = self._answered, bool(self._asked)
            await asyncio.wait([link.ended], timeout=SILENCE_SECONDS)
            if owes and answered == self._answered:
                link.connection.abort(f"no answer within {SILENCE_SECONDS:g} s")
        return link.ended.result()

    def _flush(self) -> None:
        while self._link is not None and self._outbox and len(self._asked) < WINDOW:
            batch, self._outbox = self._outbox[:VOTES_PER_FRAME], self._outbox[VOTES_PER_FRAME:]
            asked = [(to_request(next(self._nonces), question), heard) for question, heard in batch]
            self._asked.append(asked)
            self._link.send(encode_requests([request for request, _ in asked]))

    def _hear(self, _link: Link, content: bytes) -> None:
        """Hear one frame of replies: the answer to the oldest frame of requests, in its order; or an inquiry's."""
        if content[:1] == ANSWER:
            self.inquiries.hear(content)
            return
        votes = decode_replies(content, self._replica)
        asked = self._asked[0] if self._asked else []
        if len(votes) != len(asked):
            raise ProtocolError("a frame of votes does not answer the frame that was asked")
        replies: list[Reply] = []
        for (request, _), vote in zip(asked, votes, strict=True):
            check_reply(request, vote)
            replies.append(to_reply(request, vote))
        self._asked.popleft()  # only now: had a check failed, all of them would be answered by the link's end
        self._answered += 1
        for (_, heard), reply in zip(asked, replies, strict=True):
            heard(self._replica, reply)
        self._flush()

    def _drop(self) -> None:
        self._link = None
        self.inquiries.disconnected()
        lost = [heard for batch in self._asked for _, heard in batch] + [heard for _, heard in self._outbox]
        self._asked.clear()
        self._outbox.clear()
        for heard in lost:
            heard(self._replica, None)


class Peers:
    """All links of this replica, in both directions."""

    def __init__(
        self,
        identity: LinkIdentity,
        addresses: Mapping[ReplicaId, Address],
        *,
        worker: VoteWorker,
        ballots: BallotSource,
        inquiries: Mapping[str, Handler],
        fail: Callable[[BaseException], None],
    ) -> None:
        """`addresses` are those of the other members. `ballots` learns from every vote that passes.

        `inquiries` answer what the others ask besides votes, by name; `fail` gets the exception of a bug in one.
        """
        self._identity = identity
        self._own = identity.hello.replica
        self._worker = worker
        self._ballots = ballots
        self._inquiries = Answering(inquiries, fail)
        self.voters = {replica: PeerVoter(replica, address, identity) for replica, address in addresses.items()}
        self._server: asyncio.Server | None = None
        self._dialling: list[asyncio.Task[None]] = []
        self._strangers: set[asyncio.Task[None]] = set()
        self._callers: dict[ReplicaId, Link] = {}

    async def start(self, address: Address) -> None:
        """Listen on `address` and begin to dial the others. ConfigError when the address cannot be had."""
        self._server = await listen(address, self._protocol)
        loop = asyncio.get_running_loop()
        self._dialling = [loop.create_task(voter.keep_up()) for voter in self.voters.values()]

    async def settle(self) -> None:
        """Wait until this replica can reach a majority, or `SETTLE_SECONDS`: it serves without one, too."""
        with suppress(TimeoutError):
            async with asyncio.timeout(SETTLE_SECONDS):
                while not self._has_majority():
                    await asyncio.sleep(SETTLE_SECONDS / 100)
        if not self._has_majority():
            log.warning("no majority of the group can be reached yet; requests are refused until it can")

    def _has_majority(self) -> bool:
        members = len(self.voters) + 1
        return sum(voter.is_reachable for voter in self.voters.values()) + 1 > members // 2

    async def inquire(self, replica: ReplicaId, name: str, body: bytes) -> bytes:
        """Ask another member something besides votes. QuorumError when it gives no answer."""
        return await self.voters[replica].inquiries.ask(name, body)

    async def close(self) -> None:
        """End all links."""
        self._inquiries.close()
        tasks = [*self._dialling, *self._strangers]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for link in self._callers.values():
            link.connection.abort("this replica stops")
        if self._server is not None:
            self._server.close()

    def _protocol(self) -> FrameConnection:
        return Link(self._identity, on_content=self._vote, on_connect=self._meet).connection

    def _meet(self, link: Link) -> None:
        if len(self._strangers) >= STRANGERS_LIMIT:
            link.connection.abort("too many callers at once")
            return
        task = asyncio.get_running_loop().create_task(self._admit(link))
        self._strangers.add(task)
        task.add_done_callback(self._strangers.discard)

    async def _admit(self, link: Link) -> None:
        try:
            peer = await link.answer()
        except VaultError as error:
            log.warning("a caller from %s was refused: %s", link.connection.source, error)
            link.connection.abort("refused")
            return
        former, self._callers[peer] = self._callers.get(peer), link
        if former is not None:  # the peer has started again, or gave its connection up without our hearing of it
            former.connection.abort("replaced by a new connection of the same replica")

    def _vote(self, link: Link, content: bytes) -> None:
        """Have one frame of requests voted on; its replies leave in one frame, after they are durable."""
        if content[:1] == INQUIRY:
            self._inquiries.receive(content, link.send)
            return
        requests = decode_requests(content)
        if len(requests) > VOTES_PER_FRAME:
            raise ProtocolError(f"a frame asks for {len(requests)} votes; the limit is {VOTES_PER_FRAME}")
        questions = [to_question(request) for request in requests]
        for question in questions:
            asked = question.asked
            self._ballots.observe(asked.next if isinstance(asked, Accept) else asked.ballot)
        self._worker.submit(questions, partial(self._reply, link, requests))

    def _reply(self, link: Link, requests: list[VoteRequest], replies: list[Reply]) -> None:
        votes = [to_vote(self._own, request, reply) for request, reply in zip(requests, replies, strict=True)]
        link.send(encode_replies(votes))
