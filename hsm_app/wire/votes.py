"""Vote requests and replies between replicas, batched: all that one replica asks or answers in one tick is one frame.

A frame is one kind byte, then votes: a fixed head and the value it announces. There is one encoding of each batch.
Votes outnumber every other message several times, so the format is fixed-width instead of msgpack: about 1 us per vote.

Every reply answers the nonce of one request and names record, ballot, value hash and sender; `check_reply` holds a
reply against its request, so no reply can be counted for another question.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from enum import IntEnum
from struct import Struct
from typing import NamedTuple

from hsm_app.errors import ProtocolError
from hsm_app.wire.link import PLAIN_LIMIT

BALLOT = 20  # bytes of a packed ballot
VALUE_LIMIT = 16 * 1024  # bytes of one sealed record value: a record with all its fields full has a third
VOTES_PER_FRAME = 64  # with the largest values 1.0 MiB, which a link frame holds
NO_BALLOT = bytes(BALLOT)
NO_HASH = bytes(32)
REQUESTS, REPLIES = b"\x01", b"\x02"
_REQUEST_HEAD = Struct(">QB32s20s20sI")  # nonce, op, record, ballot, next, length of the value
_REPLY_HEAD = Struct(">QBB32s20s20s32sI")  # nonce, sender, vote, record, ballot, other, value hash, length of the value


class Op(IntEnum):
    PREPARE = 1
    ACCEPT = 2


class Vote(IntEnum):
    PROMISED = 1  # answers PREPARE: `other` is the accepted ballot, `value` its value
    ACCEPTED = 2  # answers ACCEPT
    REFUSED = 3  # `other` is the promise that stands against it


class VoteRequest(NamedTuple):
    """`nonce` is unique on its connection (64 bits). A prepare has no value and `next` is NO_BALLOT."""

    nonce: int
    op: int
    record: bytes
    ballot: bytes
    value: bytes = b""
    next: bytes = NO_BALLOT


class VoteReply(NamedTuple):
    """`value_hash` is the SHA-256 of the value promised or accepted, NO_HASH when refused."""

    nonce: int
    sender: int
    vote: int
    record: bytes
    ballot: bytes
    other: bytes
    value_hash: bytes
    value: bytes = b""


def encode_requests(requests: Iterable[VoteRequest]) -> bytes:
    """Return the content of one link frame; the caller gives at most VOTES_PER_FRAME."""
    parts = [REQUESTS]
    pack = _REQUEST_HEAD.pack
    for nonce, op, record, ballot, value, following in requests:
        _check_lengths(record, ballot, following, value)
        parts.append(pack(nonce, op, record, ballot, following, len(value)))
        parts.append(value)
    return b"".join(parts)


def decode_requests(content: bytes) -> list[VoteRequest]:
    """Read a batch of at least one request. ProtocolError for anything else."""
    _check_kind(content, REQUESTS)
    head, size = _REQUEST_HEAD.unpack_from, _REQUEST_HEAD.size
    requests: list[VoteRequest] = []
    at, end = 1, len(content)
    while at < end:
        if end - at < size:
            raise ProtocolError("a vote request is cut short")
        nonce, op, record, ballot, following, length = head(content, at)
        at += size + length
        if length > VALUE_LIMIT or at > end:
            raise ProtocolError("a vote request's value is too long or cut short")
        if op == Op.PREPARE:
            if length or following != NO_BALLOT:
                raise ProtocolError("a prepare carries a value or a next ballot")
        elif op != Op.ACCEPT:
            raise ProtocolError("a vote request is neither prepare nor accept")
        requests.append(VoteRequest(nonce, op, record, ballot, content[at - length : at], following))
    return requests


def encode_replies(replies: Iterable[VoteReply]) -> bytes:
    """Return the content of one link frame; the caller gives at most VOTES_PER_FRAME."""
    parts = [REPLIES]
    pack = _REPLY_HEAD.pack
    for nonce, sender, vote, record, ballot, other, voted, value in replies:
        _check_lengths(record, ballot, other, value)
        parts.append(pack(nonce, sender, vote, record, ballot, other, voted, len(value)))
        parts.append(value)
    return b"".join(parts)


def decode_replies(content: bytes, sender: int) -> list[VoteReply]:
    """Read a batch of at least one reply, all from replica `sender`. ProtocolError for anything else."""
    _check_kind(content, REPLIES)
    head, size = _REPLY_HEAD.unpack_from, _REPLY_HEAD.size
    replies: list[VoteReply] = []
    at, end = 1, len(content)
    while at < end:
        if end - at < size:
            raise ProtocolError("a vote reply is cut short")
        nonce, origin, vote, record, ballot, other, voted, length = head(content, at)
        at += size + length
        if length > VALUE_LIMIT or at > end:
            raise ProtocolError("a vote reply's value is too long or cut short")
        if origin != sender:
            raise ProtocolError(f"replica {sender} sends a vote of replica {origin}")
        if vote not in _VOTES:
            raise ProtocolError("a vote is neither promise, acceptance nor refusal")
        if length and vote != Vote.PROMISED:
            raise ProtocolError("a vote other than a promise carries a value")
        replies.append(VoteReply(nonce, origin, vote, record, ballot, other, voted, content[at - length : at]))
    return replies


_VOTES = frozenset(Vote)
_ALLOWED = {
    Op.PREPARE: frozenset((Vote.PROMISED, Vote.REFUSED)),
    Op.ACCEPT: frozenset((Vote.ACCEPTED, Vote.REFUSED)),
}


def check_reply(request: VoteRequest, reply: VoteReply) -> None:
    """Raise ProtocolError unless `reply` answers `request`: nonce, record, ballot, kind of vote and value hash."""
    if (reply.nonce, reply.record, reply.ballot) != (request.nonce, request.record, request.ballot):
        raise ProtocolError("a vote names another request, record or ballot than was asked about")
    if reply.vote not in _ALLOWED[Op(request.op)]:
        raise ProtocolError("a vote does not fit its request")
    if reply.vote == Vote.REFUSED:
        voted = NO_HASH
    else:
        voted = value_hash(reply.value if reply.vote == Vote.PROMISED else request.value)
    if reply.value_hash != voted:
        raise ProtocolError("a vote names another value than was asked about")


def value_hash(value: bytes) -> bytes:
    """Return the SHA-256 by which a vote names a value."""
    return hashlib.sha256(value).digest()


def _check_kind(content: bytes, kind: bytes) -> None:
    if len(content) > PLAIN_LIMIT or content[:1] != kind or len(content) == 1:
        raise ProtocolError("a link frame is no batch of the expected votes")


def _check_lengths(record: bytes, ballot: bytes, other: bytes, value: bytes) -> None:
    # struct would pad a short field with zeros and cut a long one without a word.
    if len(record) != 32 or len(ballot) != BALLOT or len(other) != BALLOT or len(value) > VALUE_LIMIT:
        raise ProtocolError("a vote's record, ballot or value has an impossible length")
