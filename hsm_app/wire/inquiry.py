"""Inquiries between replicas, beside the votes on the same links: a name and a body, and one answer.

    inquiry: kind 3 || id (4 bytes) || length of the name (1) || name || body
    answer:  kind 4 || id || 1 and the body, or 0 and why there is none (text)

Votes have kinds 1 and 2. What a body holds is between the two that know the name.
"""

from __future__ import annotations

from struct import Struct
from typing import NamedTuple

from hsm_app.errors import ProtocolError
from hsm_app.wire.link import PLAIN_LIMIT

INQUIRY, ANSWER = b"\x03", b"\x04"
NAME_LIMIT = 32  # bytes of ASCII
BODY_LIMIT = PLAIN_LIMIT // 2
WHY_LIMIT = 512  # bytes
_INQUIRY_HEAD = Struct(">cIB")
_ANSWER_HEAD = Struct(">cIB")


class Inquiry(NamedTuple):
    """`id` is unique on its connection (32 bits)."""

    id: int
    name: str
    body: bytes


class InquiryAnswer(NamedTuple):
    """`body` is the answer, or None with `why`."""

    id: int
    body: bytes | None
    why: str = ""


def encode_inquiry(inquiry: Inquiry) -> bytes:
    name = inquiry.name.encode("ascii")
    if not 0 < len(name) <= NAME_LIMIT or len(inquiry.body) > BODY_LIMIT:
        raise ProtocolError("an inquiry is too long for a link")
    return _INQUIRY_HEAD.pack(INQUIRY, inquiry.id, len(name)) + name + inquiry.body


def decode_inquiry(content: bytes) -> Inquiry:
    """Read a frame's content. ProtocolError for anything but an inquiry."""
    number, length = _head(_INQUIRY_HEAD, INQUIRY, content)
    start = _INQUIRY_HEAD.size
    name, body = content[start : start + length], content[start + length :]
    if not 0 < length <= NAME_LIMIT or len(name) != length or not name.isascii() or len(body) > BODY_LIMIT:
        raise ProtocolError("an inquiry is damaged")
    return Inquiry(number, name.decode("ascii"), body)


def encode_answer(answer: InquiryAnswer) -> bytes:
    if answer.body is None:
        return _ANSWER_HEAD.pack(ANSWER, answer.id, 0) + answer.why.encode()[:WHY_LIMIT]
    if len(answer.body) > BODY_LIMIT:
        raise ProtocolError("the answer to an inquiry is too long for a link")
    return _ANSWER_HEAD.pack(ANSWER, answer.id, 1) + answer.body


def decode_answer(content: bytes) -> InquiryAnswer:
    """Read a frame's content. ProtocolError for anything but an answer."""
    number, answered = _head(_ANSWER_HEAD, ANSWER, content)
    rest = content[_ANSWER_HEAD.size :]
    if answered > 1 or len(rest) > (BODY_LIMIT if answered else WHY_LIMIT):
        raise ProtocolError("the answer to an inquiry is damaged")
    return InquiryAnswer(number, rest) if answered else InquiryAnswer(number, None, rest.decode(errors="replace"))


def _head(head: Struct, kind: bytes, content: bytes) -> tuple[int, int]:
    if len(content) < head.size or content[:1] != kind:
        raise ProtocolError("a frame is neither vote nor inquiry of the kind that belongs here")
    _, number, length = head.unpack_from(content)
    return number, length
