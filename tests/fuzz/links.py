"""What a replica hears from another one: hellos in the clear, then sealed frames of votes, inquiries and their answers.

The contents are sealed here with the keys of the link, as a member of the fleet could: nothing that is behind the seal
is believed because of it.
"""

from __future__ import annotations

from collections.abc import Callable

from hsm_app.consensus.acceptor import Prepare, Slot
from hsm_app.consensus.ballot import Ballot
from hsm_app.errors import ProtocolError
from hsm_app.model import LinkKeys, RecordId
from hsm_app.replica import repair_messages as repair
from hsm_app.replica import sweep_messages as sweep
from hsm_app.replica.keeper import Question
from hsm_app.replica.vote_messages import to_question, to_reply, to_request
from hsm_app.wire import inquiry, votes
from hsm_app.wire.hello import Hello, decode_hello, encode_hello
from hsm_app.wire.link import LinkSession, Role
from tests.fuzz.harness import Check, Harness, one_of, round_trip, tagged

KEYS = LinkKeys(dialler=b"\1" * 32, listener=b"\2" * 32)
RECORD = RecordId(bytes(32))
BALLOT = Ballot(5, 1, 1, 1)
ASKED = [votes.VoteRequest(1, votes.Op.PREPARE, RECORD, BALLOT.pack()),
         votes.VoteRequest(2, votes.Op.ACCEPT, RECORD, BALLOT.pack(), b"value", BALLOT.next().pack())]  # fmt: skip
VOTED = [votes.VoteReply(1, 2, votes.Vote.PROMISED, RECORD, BALLOT.pack(), BALLOT.pack(), votes.value_hash(b"v"), b"v"),
         votes.VoteReply(2, 2, votes.Vote.ACCEPTED, RECORD, BALLOT.pack(), BALLOT.pack(),
                         votes.value_hash(b"value"))]  # fmt: skip
HELLO = Hello(fleet="fleet-1", group=0, epoch=1, manifest_digest=bytes(32), replica=2, incarnation=0, boot=1,
              nonce=bytes(32))  # fmt: skip


def sessions() -> tuple[LinkSession, LinkSession]:
    dialler, listener = LinkSession(KEYS, Role.DIALLER), LinkSession(KEYS, Role.LISTENER)
    listener.confirm(dialler.confirmation())
    dialler.confirm(listener.confirmation())
    return dialler, listener


def check_frame(data: bytes) -> None:
    """No bytes but the peer's own next frame open, and none do after others were tried."""
    dialler, listener = sessions()
    frame = dialler.seal(b"content")
    if data == frame:
        return
    for tried in (data, frame):
        try:
            listener.open(tried)
        except ProtocolError:
            continue
        raise AssertionError("a frame opens that the peer did not send, or after one that it did not send")


def sealed(check: Check) -> Check:
    """Carry the content over a link before it is checked."""

    def over_a_link(content: bytes) -> None:
        dialler, listener = sessions()
        check(listener.open(dialler.seal(content)))

    return over_a_link


def check_votes_asked(content: bytes) -> None:
    try:
        requests = votes.decode_requests(content)
    except ProtocolError:
        return
    assert requests
    assert votes.encode_requests(requests) == content
    for request in requests:
        try:
            question = to_question(request)
        except ProtocolError:
            continue
        assert to_request(request.nonce, question) == request


def check_votes_given(content: bytes) -> None:
    try:
        replies = votes.decode_replies(content, sender=2)
    except ProtocolError:
        return
    assert replies
    assert votes.encode_replies(replies) == content
    for reply, request in zip(replies, ASKED, strict=False):
        try:
            votes.check_reply(request, reply)
            counted = to_reply(request, reply)
        except ProtocolError:
            continue
        assert reply.nonce == request.nonce, "a reply counts for another question"
        assert counted.granted == (reply.vote != votes.Vote.REFUSED)


def reads(decode: Callable[[bytes], object]) -> Check:
    """For what has no single encoding to compare with: a value, or a ProtocolError."""

    def check(content: bytes) -> None:
        try:
            decode(content)
        except ProtocolError:
            return

    return check


SLOTS = {RECORD: Slot(promised=BALLOT, accepted=BALLOT, value=b"value")}
LINKS = Harness(
    one_of(
        check_frame,
        round_trip(decode_hello, encode_hello, ProtocolError),
        sealed(check_votes_asked),
        sealed(check_votes_given),
        sealed(round_trip(inquiry.decode_inquiry, inquiry.encode_inquiry, ProtocolError)),
        sealed(reads(inquiry.decode_answer)),
        sealed(round_trip(sweep.decode_page, sweep.encode_page, ProtocolError)),
        sealed(reads(lambda body: repair.decode_bucket_heads(body, [0, 1]))),
        sealed(reads(lambda body: repair.decode_values(body, [RECORD, RecordId(b"\1" * 32)]))),
        sealed(round_trip(repair.decode_nodes, lambda asked: repair.encode_nodes(*asked), ProtocolError)),
    ),
    tagged(
        [b"frame"],
        [encode_hello(HELLO)],
        [
            votes.encode_requests(ASKED),
            votes.encode_requests([to_request(3, Question(RECORD, Prepare(ballot=BALLOT)))]),
        ],
        [votes.encode_replies(VOTED)],
        [inquiry.encode_inquiry(inquiry.Inquiry(1, "tree-root", b"body"))],
        [
            inquiry.encode_answer(inquiry.InquiryAnswer(1, b"body")),
            inquiry.encode_answer(inquiry.InquiryAnswer(1, None, "no")),
        ],
        [sweep.encode_page(sweep.Page(records=[RECORD], is_last=True))],
        [repair.encode_bucket_heads([SLOTS, {}])],
        [repair.encode_values([RECORD], SLOTS)],
        [repair.encode_nodes(2, [1, 255])],
    ),
)
