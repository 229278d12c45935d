"""Links between replicas over real sockets: who is let in, what travels, and what a lost or silent link means."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from hsm_app.consensus.acceptor import Accept, Prepare, PrepareReply
from hsm_app.consensus.ballot import ZERO, Ballot
from hsm_app.consensus.proposer import Reply
from hsm_app.errors import QuorumError
from hsm_app.model import RecordId, ReplicaId
from hsm_app.net.address import Address, dial, listen
from hsm_app.net.connection import FrameConnection
from hsm_app.replica import links, peers
from hsm_app.replica.keeper import Question
from hsm_app.replica.links import Link
from hsm_app.replica.register import Change
from hsm_app.wire.hello import encode_hello
from hsm_app.wire.link import LINK_FRAME_LIMIT
from hsm_app.wire.votes import (
    NO_HASH,
    VOTES_PER_FRAME,
    Op,
    Vote,
    VoteReply,
    VoteRequest,
    decode_requests,
    encode_replies,
    encode_requests,
    value_hash,
)
from tests.ports import free_ports
from tests.replica.link_group import HELLO, PATIENCE, LinkToken, Member, linked, public_name, running, until

R = RecordId(b"r" * 32)
B1, B2 = Ballot(1, 1, 1, 7), Ballot(2, 1, 1, 7)
TWO = ReplicaId(2)


async def write(value: bytes) -> Change[bytes]:
    return Change(value + b"x", value)


def ask(member: Member, question: Question, of: int = 2) -> asyncio.Future[Reply | None]:
    answered: asyncio.Future[Reply | None] = asyncio.get_running_loop().create_future()

    def heard(replica: int, reply: Reply | None) -> None:
        assert replica == of
        answered.set_result(reply)

    member.peers.voters[ReplicaId(of)].ask(question, heard)
    return answered


# -- votes


async def test_every_replica_proposes_and_all_hold_what_was_chosen() -> None:
    async with linked(3) as members:
        for turn in range(6):
            assert await members[turn % 3].register.update(R, write) == b"x" * turn
        await until(lambda: all(member.store.rows[R].value == b"x" * 6 for member in members))


async def test_two_of_five_dead_change_nothing_and_three_dead_are_an_error_in_bounded_time() -> None:
    async with linked(5) as members:
        await members[0].register.update(R, write)
        for member in members[3:]:
            await member.stop()
        assert await members[0].register.update(R, write) == b"x"
        await members[2].stop()
        async with asyncio.timeout(PATIENCE):
            with pytest.raises(QuorumError):
                await members[0].register.update(R, write)


async def test_promises_and_acceptances_travel_whole() -> None:
    async with linked(3) as members:
        value = bytes(range(256)) * 64  # the largest there is
        promised = await ask(members[0], Question(R, Prepare(ballot=B1)))
        assert promised == PrepareReply(granted=True, seen=B1, accepted=ZERO, value=b"")
        accepted = await ask(members[0], Question(R, Accept(ballot=B1, value=value, next=B2)))
        assert accepted is not None
        assert (accepted.granted, accepted.seen) == (True, B2)
        again = await ask(members[0], Question(R, Prepare(ballot=Ballot(9, 1, 1, 7))))
        assert again == PrepareReply(granted=True, seen=Ballot(9, 1, 1, 7), accepted=B1, value=value)
        refused = await ask(members[0], Question(R, Prepare(ballot=B2)))
        assert refused == PrepareReply(granted=False, seen=Ballot(9, 1, 1, 7), accepted=ZERO, value=b"")
        late = await ask(members[0], Question(R, Accept(ballot=B2, value=b"w", next=Ballot(3, 1, 1, 7))))
        assert late is not None
        assert (late.granted, late.seen) == (False, Ballot(9, 1, 1, 7))


async def test_a_replica_learns_the_ballots_it_votes_on_so_that_its_own_exceed_them() -> None:
    async with linked(3) as members:
        for _ in range(20):
            await members[0].register.update(R, write)
        async with asyncio.timeout(PATIENCE):  # a majority answers without it, and its own vote may be on the way still
            while members[1].worker.stats.votes < members[0].worker.stats.votes:
                await asyncio.sleep(0.005)
        await members[1].register.update(R, write)
        assert members[1].register.stats.conflicts == 0


async def test_the_questions_of_one_tick_leave_in_one_frame_and_wait_for_a_slow_peer_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    batches: list[int] = []

    def counted(requests: list[VoteRequest]) -> bytes:
        batches.append(len(requests))
        return encode_requests(requests)

    monkeypatch.setattr(peers, "encode_requests", counted)
    async with linked(3) as members:
        members[1].store.gate.clear()
        answers = [ask(members[0], Question(RecordId(bytes([n]) * 32), Prepare(ballot=B1))) for n in range(10)]
        await asyncio.sleep(0.02)
        for start in (10, 20, 30):
            answers += [
                ask(members[0], Question(RecordId(bytes([n]) * 32), Prepare(ballot=B1)))
                for n in range(start, start + 10)
            ]
            await asyncio.sleep(0.02)
        assert batches == [10, 10]  # the window
        members[1].store.gate.set()
        assert all(reply is not None and reply.granted for reply in await asyncio.gather(*answers))
        assert batches == [10, 10, 20]


async def test_a_large_burst_is_cut_into_frames() -> None:
    async with linked(3) as members:
        count = 3 * VOTES_PER_FRAME + 5
        asked = [Question(RecordId(n.to_bytes(32, "big")), Prepare(ballot=B1)) for n in range(count)]
        replies = await asyncio.gather(*(ask(members[0], question) for question in asked))
        assert sum(reply is not None and reply.granted for reply in replies) == count


async def test_questions_beyond_the_limit_meet_silence_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "QUESTIONS_LIMIT", 5)
    async with linked(3) as members:
        answers = [ask(members[0], Question(R, Prepare(ballot=B1))) for _ in range(7)]
        assert [answer.done() for answer in answers] == [False] * 5 + [True] * 2
        assert answers[-1].result() is None
        await asyncio.gather(*answers)


# -- lost and silent links


async def test_when_a_link_ends_its_questions_are_answered_with_silence_at_once() -> None:
    async with linked(3) as members:
        members[1].store.gate.clear()
        under_way = ask(members[0], Question(R, Prepare(ballot=B1)))
        await asyncio.sleep(0.02)
        await members[1].peers.close()
        async with asyncio.timeout(PATIENCE):
            assert await under_way is None
        assert await ask(members[0], Question(R, Prepare(ballot=B1))) is None


async def test_a_link_comes_back_by_itself() -> None:
    async with linked(3) as members:
        await members[1].stop()
        await until(lambda: not members[0].reaches(2))
        await members[1].start()
        await until(lambda: members[0].reaches(2) and members[1].reaches(1, 3))
        assert (await ask(members[0], Question(R, Prepare(ballot=B1)))) is not None


async def test_a_peer_that_stays_silent_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "SILENCE_SECONDS", 0.2)
    async with linked(3) as members:
        members[1].store.gate.clear()
        async with asyncio.timeout(PATIENCE):
            assert await ask(members[0], Question(R, Prepare(ballot=B1))) is None


async def test_an_idle_link_is_not_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "SILENCE_SECONDS", 0.05)
    async with linked(3) as members:
        link = members[0].peers.voters[TWO]._link
        await asyncio.sleep(0.3)
        assert members[0].peers.voters[TWO]._link is link
        assert members[0].reaches(2)


async def test_a_new_connection_of_a_replica_replaces_its_old_one() -> None:
    async with linked(3) as members:
        former = members[1].peers._callers[ReplicaId(1)]
        newer = Link(members[0].identity(), on_content=lambda link, content: None)
        await newer.dial(Address(host="127.0.0.1", port=members[1].ports[1]), TWO)
        assert "closed by the peer" in await members[0].peers.voters[TWO]._link.ended  # type: ignore[union-attr]
        await until(lambda: not former.is_open)
        newer.connection.abort("done")


# -- who is let in


def other_epoch(member: Member) -> None:
    member.hello = replace(member.hello, epoch=5)


def other_manifest(member: Member) -> None:
    member.hello = replace(member.hello, manifest_digest=b"n" * 32)


def other_fleet(member: Member) -> None:
    member.hello = replace(member.hello, fleet="fleet-2")


def other_incarnation(member: Member) -> None:
    member.hello = replace(member.hello, incarnation=2)


def other_token(member: Member) -> None:
    member.token = LinkToken(public_name(2), b"another secret")


def other_root(member: Member) -> None:
    member.token = LinkToken(public_name(2), fleet=b"no root")


def somebody_else(member: Member) -> None:
    member.hello = replace(member.hello, replica=3)


IMPOSTORS: dict[str, tuple[Callable[[Member], None], str]] = {
    "of another epoch": (other_epoch, "another epoch than"),
    "with another manifest": (other_manifest, "has another manifest digest"),
    "of another fleet": (other_fleet, "has another fleet"),
    "of another incarnation": (other_incarnation, "is incarnation 2, the manifest says 1"),
    "with another token": (other_token, "not the next one of this connection's peer"),
    "whose token does not hold the fleet's root": (other_root, "not the next one of this connection's peer"),
    "at another's address": (somebody_else, "answers at replica 2's address"),
}


@pytest.mark.parametrize(("change", "says"), IMPOSTORS.values(), ids=IMPOSTORS.keys())
async def test_no_link_comes_up_with_a_replica(
    change: Callable[[Member], None], says: str, caplog: pytest.LogCaptureFixture
) -> None:
    """VAULT-LINK-HOLDS-ROOT among them: whatever the manifest says of its keys."""
    caplog.set_level(logging.INFO)
    ports = free_ports(3)
    honest, impostor = Member(1, ports), Member(2, ports)
    change(impostor)
    async with running(honest, impostor):
        await until(lambda: says in caplog.text)
        await asyncio.sleep(0.2)
        assert not honest.reaches(2)
        assert not impostor.reaches(1)
        assert not honest.store.commits


async def test_the_same_trouble_is_logged_once(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempts = 0

    async def counted(*arguments: Any) -> None:
        nonlocal attempts
        attempts += 1
        await dial(*arguments)

    monkeypatch.setattr(links, "dial", counted)
    member = Member(1, free_ports(2))
    async with running(member):
        await until(lambda: attempts > 3)
    assert caplog.text.count("no link to replica 2") == 1


async def test_a_replica_that_is_wired_to_itself_is_refused(caplog: pytest.LogCaptureFixture) -> None:
    (port,) = free_ports(1)
    member = Member(1, [port, port])
    async with running(member):
        await until(lambda: "which is this one" in caplog.text)
        assert not member.reaches(2)


class Caller:
    """A connection of the test's own, which says what no replica says."""

    def __init__(self) -> None:
        self.frames: list[bytes] = []
        self.ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.connection = FrameConnection(
            limit=LINK_FRAME_LIMIT,
            idle_seconds=None,
            on_frame=lambda connection, frame: self.frames.append(frame),
            on_close=lambda connection, reason: self.ended.set_result(reason),
        )

    async def call(self, member: Member) -> None:
        await dial(Address(host="127.0.0.1", port=member.ports[member.replica - 1]), lambda: self.connection)


STRANGERS: dict[str, tuple[list[bytes], str]] = {
    "says nothing it understands": ([b"GET / HTTP/1.1"], "was refused"),
    "sends votes before a hello": ([encode_requests([VoteRequest(1, Op.PREPARE, R, B1.pack())])], "was refused"),
    "has a hello and no keys": (
        [encode_hello(replace(HELLO, replica=2)), b"\0" * 60],
        "not the next one of this connection's peer",
    ),
}


@pytest.mark.parametrize(("frames", "says"), STRANGERS.values(), ids=STRANGERS.keys())
async def test_a_caller_is_hung_up_on_that(frames: list[bytes], says: str, caplog: pytest.LogCaptureFixture) -> None:
    member = Member(1, free_ports(3))
    async with running(member):
        caller = Caller()
        await caller.call(member)
        for frame in frames:
            caller.connection.send(frame)
        async with asyncio.timeout(PATIENCE):
            await caller.ended
        assert says in caplog.text
        assert not member.store.commits


async def test_a_caller_that_sends_on_while_the_token_works_is_hung_up_on() -> None:
    member = Member(1, free_ports(3))
    member.token_seconds = PATIENCE - 1  # within the time for a handshake
    async with running(member):
        caller = Caller()
        await caller.call(member)
        for frame in [encode_hello(replace(HELLO, replica=2))] + [b"x" * 60] * 20:
            caller.connection.send(frame)
        async with asyncio.timeout(PATIENCE / 2):
            await caller.ended


async def test_a_caller_that_says_nothing_is_hung_up_on_in_time(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(links, "HANDSHAKE_SECONDS", 0.1)
    member = Member(1, free_ports(3))
    async with running(member):
        caller = Caller()
        await caller.call(member)
        async with asyncio.timeout(PATIENCE):
            await caller.ended
        assert "no link within 0.1 s" in caplog.text


async def test_callers_that_have_not_shown_who_they_are_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "STRANGERS_LIMIT", 3)
    member = Member(1, free_ports(2))
    async with running(member):
        callers = [Caller() for _ in range(5)]
        for caller in callers:
            await caller.call(member)
        await until(lambda: sum(caller.ended.done() for caller in callers) == 2)
        await asyncio.sleep(0.05)
        assert sum(caller.ended.done() for caller in callers) == 2


async def test_a_peer_that_accepts_and_never_speaks_is_not_reachable(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(links, "HANDSHAKE_SECONDS", 0.1)
    ports = free_ports(2)
    mute = await listen(Address(host="127.0.0.1", port=ports[1]), asyncio.Protocol)
    member = Member(1, ports)
    async with running(member):
        await until(lambda: "no link within 0.1 s" in caplog.text)
        assert not member.reaches(2)
    mute.close()


# -- a member that breaks the protocol after its handshake


def reply_to(request: VoteRequest, **changes: object) -> VoteReply:
    honest = VoteReply(
        request.nonce, 2, Vote.PROMISED, request.record, request.ballot, ZERO.pack(), value_hash(b""), b""
    )
    return honest._replace(**changes)  # type: ignore[arg-type]


def answers_another_nonce(requests: list[VoteRequest]) -> bytes:
    return encode_replies([reply_to(requests[0], nonce=77)])


def names_another_record(requests: list[VoteRequest]) -> bytes:
    return encode_replies([reply_to(requests[0], record=b"o" * 32)])


def names_another_ballot(requests: list[VoteRequest]) -> bytes:
    return encode_replies([reply_to(requests[0], ballot=B2.pack())])


def names_another_sender(requests: list[VoteRequest]) -> bytes:
    return encode_replies([reply_to(requests[0], sender=3)])


def names_another_value(requests: list[VoteRequest]) -> bytes:
    return encode_replies([reply_to(requests[0], value_hash=value_hash(b"w"))])


def accepts_what_is_to_be_promised(requests: list[VoteRequest]) -> bytes:
    return encode_replies([reply_to(requests[0], vote=Vote.ACCEPTED)])


def answers_twice(requests: list[VoteRequest]) -> bytes:
    return encode_replies([reply_to(requests[0])] * 2)


def holds_an_impossible_ballot(requests: list[VoteRequest]) -> bytes:
    return encode_replies([reply_to(requests[0], vote=Vote.REFUSED, other=b"\xff" * 20, value_hash=NO_HASH)])


def speaks_nonsense(_requests: list[VoteRequest]) -> bytes:
    return b"nonsense"


LIARS = {
    "answers another question": answers_another_nonce,
    "names another record": names_another_record,
    "names another ballot": names_another_ballot,
    "names another sender": names_another_sender,
    "names another value": names_another_value,
    "accepts what it is asked to promise": accepts_what_is_to_be_promised,
    "answers twice": answers_twice,
    "holds an impossible ballot": holds_an_impossible_ballot,
    "speaks nonsense": speaks_nonsense,
}


@pytest.mark.parametrize("answer", LIARS.values(), ids=LIARS.keys())
async def test_no_vote_is_counted_of_a_member_that(answer: Callable[[list[VoteRequest]], bytes]) -> None:
    ports = free_ports(2)
    liar = Member(2, ports).identity()
    doors: list[Link] = []

    def door() -> FrameConnection:
        link = Link(liar, on_content=lambda link, content: link.send(answer(decode_requests(content))), on_connect=meet)
        doors.append(link)
        return link.connection

    def meet(link: Link) -> None:
        tasks.append(asyncio.ensure_future(link.answer()))

    tasks: list[asyncio.Future[ReplicaId]] = []
    server = await listen(Address(host="127.0.0.1", port=ports[1]), door)
    member = Member(1, ports)
    async with running(member):
        await until(lambda: member.reaches(2))
        async with asyncio.timeout(PATIENCE):
            assert await ask(member, Question(R, Prepare(ballot=B1))) is None
        await doors[0].ended
    server.close()
    for link in doors:
        link.connection.abort("done")
    await asyncio.gather(*tasks, return_exceptions=True)


BAD_REQUESTS = {
    "a ballot that nobody issues": [VoteRequest(1, Op.PREPARE, R, ZERO.pack())],
    "a ballot out of range": [VoteRequest(1, Op.PREPARE, R, b"\xff" * 20)],
    "a next ballot that does not follow": [VoteRequest(1, Op.ACCEPT, R, B2.pack(), b"v", B1.pack())],
    "too many votes": [VoteRequest(n, Op.PREPARE, R, B1.pack()) for n in range(VOTES_PER_FRAME + 1)],
}


@pytest.mark.parametrize("requests", BAD_REQUESTS.values(), ids=BAD_REQUESTS.keys())
async def test_no_vote_is_given_to_a_member_that_asks_with(requests: list[VoteRequest]) -> None:
    ports = free_ports(2)
    member = Member(1, ports)
    async with running(member):
        caller = Link(Member(2, ports).identity(), on_content=lambda link, content: None)
        await caller.dial(Address(host="127.0.0.1", port=ports[0]), ReplicaId(1))
        caller.send(encode_requests(requests))
        async with asyncio.timeout(PATIENCE):
            await caller.ended
        assert not member.store.commits


async def test_votes_sent_together_with_the_confirmation_are_heard() -> None:
    ports = free_ports(2)
    member = Member(1, ports)
    heard: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
    async with running(member):
        slow = Member(2, ports)
        slow.token_seconds = 0.05  # the other's confirmation is there before this one's leaves
        caller = Link(slow.identity(), on_content=lambda link, content: heard.set_result(content))
        await caller.dial(Address(host="127.0.0.1", port=ports[0]), ReplicaId(1))
        caller.send(encode_requests([VoteRequest(1, Op.PREPARE, R, B1.pack())]))
        async with asyncio.timeout(PATIENCE):
            await heard
        caller.connection.abort("done")


async def test_a_link_that_has_ended_sends_nothing_and_says_so() -> None:
    async with linked(2) as members:
        link = members[0].peers.voters[TWO]._link
        assert link is not None
        link.connection.abort("the test ends it")
        assert not link.is_open
        link.send(b"into the void")
        await link.ended
