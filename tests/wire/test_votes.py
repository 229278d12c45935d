"""Vote batches: round trips, what is refused, and that no reply counts for another question."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hsm_app.errors import ProtocolError
from hsm_app.wire.link import PLAIN_LIMIT
from hsm_app.wire.votes import (
    NO_BALLOT,
    NO_HASH,
    VALUE_LIMIT,
    VOTES_PER_FRAME,
    Op,
    Vote,
    VoteReply,
    VoteRequest,
    check_reply,
    decode_replies,
    decode_requests,
    encode_replies,
    encode_requests,
    value_hash,
)

RECORD, BALLOT, NEXT = b"r" * 32, b"b" * 20, b"c" * 20
PREPARE = VoteRequest(7, Op.PREPARE, RECORD, BALLOT)
ACCEPT = VoteRequest(8, Op.ACCEPT, RECORD, BALLOT, b"value", NEXT)
PROMISED = VoteReply(7, 3, Vote.PROMISED, RECORD, BALLOT, NEXT, value_hash(b"old"), b"old")
FIRST_PROMISE = VoteReply(7, 3, Vote.PROMISED, RECORD, BALLOT, NO_BALLOT, value_hash(b""), b"")
ACCEPTED = VoteReply(8, 3, Vote.ACCEPTED, RECORD, BALLOT, BALLOT, value_hash(b"value"))
REFUSED = VoteReply(8, 3, Vote.REFUSED, RECORD, BALLOT, NEXT, NO_HASH)

_nonces = st.integers(0, 2**64 - 1)
_records = st.binary(min_size=32, max_size=32)
_ballots = st.binary(min_size=20, max_size=20)
_values = st.binary(max_size=200)
_requests = st.one_of(
    st.builds(VoteRequest, _nonces, st.just(1), _records, _ballots, st.just(b""), st.just(NO_BALLOT)),
    st.builds(VoteRequest, _nonces, st.just(2), _records, _ballots, _values, _ballots),
)
_replies = st.one_of(
    st.builds(VoteReply, _nonces, st.just(3), st.just(1), _records, _ballots, _ballots, _records, _values),
    st.builds(
        VoteReply, _nonces, st.just(3), st.sampled_from([2, 3]), _records, _ballots, _ballots, _records, st.just(b"")
    ),
)


@given(st.lists(_requests, min_size=1, max_size=5))
def test_requests_round_trip(requests: list[VoteRequest]) -> None:
    assert decode_requests(encode_requests(requests)) == requests


@given(st.lists(_replies, min_size=1, max_size=5))
def test_replies_round_trip(replies: list[VoteReply]) -> None:
    assert decode_replies(encode_replies(replies), 3) == replies


@given(st.lists(_requests, min_size=1, max_size=3), st.data())
def test_a_batch_cut_short_anywhere_gives_fewer_votes_or_a_protocol_error(
    requests: list[VoteRequest], data: st.DataObject
) -> None:
    content = encode_requests(requests)
    cut = content[: data.draw(st.integers(0, len(content) - 1))]
    try:
        decoded = decode_requests(cut)
    except ProtocolError:
        return
    assert decoded == requests[: len(decoded)]


@given(st.binary(max_size=500))
def test_any_bytes_are_a_batch_or_a_protocol_error(content: bytes) -> None:
    for kind in (b"\x01", b"\x02", b""):
        for decode, encode in (
            (decode_requests, encode_requests),
            (lambda content: decode_replies(content, 3), encode_replies),
        ):
            try:
                votes = decode(kind + content)
            except ProtocolError:
                continue
            assert encode(votes) == kind + content


@given(st.lists(_requests, min_size=1, max_size=3), st.data())
def test_a_changed_byte_gives_another_batch_or_a_protocol_error(
    requests: list[VoteRequest], data: st.DataObject
) -> None:
    content = encode_requests(requests)
    at = data.draw(st.integers(0, len(content) - 1))
    changed = content[:at] + bytes([data.draw(st.integers(0, 255))]) + content[at + 1 :]
    try:
        decoded = decode_requests(changed)
    except ProtocolError:
        return
    assert (decoded == requests) == (changed == content)


def test_a_full_frame_of_the_largest_values_fits_the_link() -> None:
    largest = ACCEPT._replace(value=bytes(VALUE_LIMIT))
    content = encode_requests([largest] * VOTES_PER_FRAME)
    assert len(content) <= PLAIN_LIMIT
    assert len(decode_requests(content)) == VOTES_PER_FRAME


BAD_REQUESTS = {
    "no vote": b"\x01",
    "nothing": b"",
    "replies": encode_replies([REFUSED]),
    "an unknown operation": encode_requests([PREPARE._replace(op=3)]),
    "operation zero": encode_requests([PREPARE._replace(op=0)]),
    "a prepare with a value": encode_requests([PREPARE._replace(value=b"x")]),
    "a prepare with a next ballot": encode_requests([PREPARE._replace(next=NEXT)]),
    "a value that claims four gigabytes": encode_requests([ACCEPT._replace(value=b"")])[:-4] + b"\xff" * 4,
    "a value one byte beyond its limit": encode_requests([ACCEPT._replace(value=b"")])[:-4]
    + (VALUE_LIMIT + 1).to_bytes(4, "big")
    + bytes(VALUE_LIMIT + 1),
    "half a vote": encode_requests([ACCEPT, PREPARE])[:-1],
}


@pytest.mark.parametrize("content", BAD_REQUESTS.values(), ids=BAD_REQUESTS.keys())
def test_batches_that_are_no_requests(content: bytes) -> None:
    with pytest.raises(ProtocolError):
        decode_requests(content)


BAD_REPLIES = {
    "no vote": b"\x02",
    "requests": encode_requests([PREPARE]),
    "a vote of another replica": encode_replies([REFUSED._replace(sender=4)]),
    "an unknown vote": encode_replies([REFUSED._replace(vote=4)]),
    "vote zero": encode_replies([REFUSED._replace(vote=0)]),
    "an acceptance with a value": encode_replies([ACCEPTED._replace(value=b"x")]),
    "half a vote": encode_replies([PROMISED])[:-1],
    "a long value": encode_replies([FIRST_PROMISE])[:-4] + b"\xff" * 4,
}


@pytest.mark.parametrize("content", BAD_REPLIES.values(), ids=BAD_REPLIES.keys())
def test_batches_that_are_no_replies(content: bytes) -> None:
    with pytest.raises(ProtocolError):
        decode_replies(content, 3)


GOOD_PAIRS = [
    (PREPARE, PROMISED),
    (PREPARE, FIRST_PROMISE),
    (ACCEPT, ACCEPTED),
    (ACCEPT, REFUSED),
    (PREPARE, REFUSED._replace(nonce=7)),
]


@pytest.mark.parametrize(("request_", "reply"), GOOD_PAIRS)
def test_a_reply_that_fits_its_request(request_: VoteRequest, reply: VoteReply) -> None:
    check_reply(request_, reply)


BAD_PAIRS: dict[str, tuple[VoteRequest, VoteReply]] = {
    "another nonce": (ACCEPT, ACCEPTED._replace(nonce=9)),
    "another record": (ACCEPT, ACCEPTED._replace(record=b"s" * 32)),
    "another ballot": (ACCEPT, ACCEPTED._replace(ballot=NEXT)),
    "the hash of another value": (ACCEPT, ACCEPTED._replace(value_hash=value_hash(b"other"))),
    "no hash": (ACCEPT, ACCEPTED._replace(value_hash=NO_HASH)),
    "a promise for an accept": (ACCEPT, PROMISED._replace(nonce=8)),
    "an acceptance for a prepare": (PREPARE, ACCEPTED._replace(nonce=7)),
    "a promise whose value is not its hash's": (PREPARE, PROMISED._replace(value=b"other")),
    "a refusal with a hash": (ACCEPT, REFUSED._replace(value_hash=value_hash(b"value"))),
}


@pytest.mark.parametrize(("request_", "reply"), BAD_PAIRS.values(), ids=BAD_PAIRS.keys())
def test_a_reply_to_another_question(request_: VoteRequest, reply: VoteReply) -> None:
    with pytest.raises(ProtocolError):
        check_reply(request_, reply)


BAD_LENGTHS = [
    ACCEPT._replace(record=b"r" * 31),
    ACCEPT._replace(record=b"r" * 33),
    ACCEPT._replace(ballot=b""),
    ACCEPT._replace(next=b"c" * 21),
    ACCEPT._replace(value=bytes(VALUE_LIMIT + 1)),
]


@pytest.mark.parametrize("request_", BAD_LENGTHS)
def test_a_vote_of_an_impossible_length_is_not_sent(request_: VoteRequest) -> None:
    with pytest.raises(ProtocolError, match="impossible length"):
        encode_requests([request_])
