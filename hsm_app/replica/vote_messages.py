"""Votes between this program's values and the bytes of a link (`wire.votes`): the one place that knows both.

Everything that a peer sent is checked here or in `wire.votes`; a ProtocolError ends the connection.
"""

from __future__ import annotations

from hsm_app.consensus.acceptor import Accept, AcceptReply, Prepare, PrepareReply
from hsm_app.consensus.ballot import ZERO, Ballot
from hsm_app.consensus.proposer import Reply
from hsm_app.errors import ProtocolError
from hsm_app.model import RecordId
from hsm_app.replica.keeper import Question
from hsm_app.wire.votes import NO_HASH, Op, Vote, VoteReply, VoteRequest, value_hash


def to_request(nonce: int, question: Question) -> VoteRequest:
    record, asked = question
    if isinstance(asked, Prepare):
        return VoteRequest(nonce, Op.PREPARE, record, asked.ballot.pack())
    return VoteRequest(nonce, Op.ACCEPT, record, asked.ballot.pack(), asked.value, asked.next.pack())


def to_question(request: VoteRequest) -> Question:
    """ProtocolError for a ballot that no proposer issues."""
    ballot = Ballot.unpack(request.ballot)
    if ballot.counter == 0:
        raise ProtocolError("a vote is asked for under a ballot that nobody issues")
    if request.op == Op.PREPARE:
        return Question(RecordId(request.record), Prepare(ballot=ballot))
    following = Ballot.unpack(request.next)
    if following <= ballot:
        raise ProtocolError("an accept's next ballot does not follow its ballot")
    return Question(RecordId(request.record), Accept(ballot=ballot, value=request.value, next=following))


def to_vote(sender: int, request: VoteRequest, reply: Reply) -> VoteReply:
    """Return `sender`'s answer to `request`."""
    nonce, record, ballot = request.nonce, request.record, request.ballot
    if not reply.granted:
        return VoteReply(nonce, sender, Vote.REFUSED, record, ballot, reply.seen.pack(), NO_HASH)
    if isinstance(reply, PrepareReply):
        held = reply.accepted.pack()
        return VoteReply(nonce, sender, Vote.PROMISED, record, ballot, held, value_hash(reply.value), reply.value)
    return VoteReply(nonce, sender, Vote.ACCEPTED, record, ballot, reply.seen.pack(), value_hash(request.value))


def to_reply(request: VoteRequest, vote: VoteReply) -> Reply:
    """Return what a vote, already checked against its request, tells the proposer. ProtocolError for a bad ballot."""
    other = Ballot.unpack(vote.other)
    if request.op == Op.ACCEPT:
        return AcceptReply(granted=vote.vote == Vote.ACCEPTED, seen=other)
    if vote.vote == Vote.REFUSED:
        return PrepareReply(granted=False, seen=other, accepted=ZERO, value=b"")
    return PrepareReply(granted=True, seen=Ballot.unpack(vote.ballot), accepted=other, value=vote.value)
