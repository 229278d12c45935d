"""Inquiries and their answers as frames: round trips, and everything else refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hsm_app.errors import ProtocolError
from hsm_app.wire.inquiry import (
    ANSWER,
    BODY_LIMIT,
    INQUIRY,
    Inquiry,
    InquiryAnswer,
    decode_answer,
    decode_inquiry,
    encode_answer,
    encode_inquiry,
)

ASKED = Inquiry(7, "sweep-page", b"body")


@pytest.mark.parametrize("body", [b"", b"\0", b"x" * BODY_LIMIT])
def test_an_inquiry_and_its_answer_come_back_as_they_were(body: bytes) -> None:
    assert decode_inquiry(encode_inquiry(Inquiry(2**32 - 1, "name", body))) == Inquiry(2**32 - 1, "name", body)
    assert decode_answer(encode_answer(InquiryAnswer(1, body))) == InquiryAnswer(1, body)


def test_a_refusal_says_why_in_so_many_words_and_no_more() -> None:
    refused = InquiryAnswer(9, None, "no such inquiry")
    assert decode_answer(encode_answer(refused)) == refused
    assert len(decode_answer(encode_answer(InquiryAnswer(9, None, "x" * 9999))).why) == 512


DAMAGED = {
    "empty": b"",
    "a head that is cut": INQUIRY + b"\0\0",
    "an answer": encode_answer(InquiryAnswer(7, b"")),
    "no name": INQUIRY + b"\0\0\0\7\0",
    "a name that is cut": encode_inquiry(ASKED)[:9],
    "a name that is too long": INQUIRY + b"\0\0\0\7\x21" + b"n" * 33,
    "a name that is no ASCII": INQUIRY + b"\0\0\0\7\1\xff",
}


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED.keys())
def test_what_is_no_inquiry_is_refused(content: bytes) -> None:
    with pytest.raises(ProtocolError):
        decode_inquiry(content)


@given(st.binary(max_size=40).map(lambda rest: ANSWER + rest) | st.binary(max_size=40))
def test_any_bytes_are_an_answer_or_one_protocol_error(content: bytes) -> None:
    try:
        answer = decode_answer(content)
    except ProtocolError:
        return
    assert encode_answer(answer)[:5] == content[:5]


def test_what_does_not_fit_is_not_sent() -> None:
    for name, body in (("", b""), ("n" * 33, b""), ("n", bytes(BODY_LIMIT + 1))):
        with pytest.raises(ProtocolError):
            encode_inquiry(Inquiry(1, name, body))
    with pytest.raises(ProtocolError):
        encode_answer(InquiryAnswer(1, bytes(BODY_LIMIT + 1)))
