"""Frames and envelopes: any bytes in any chunking give the same events, or the same events and one ProtocolError."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hsm_app.errors import ProtocolError
from hsm_app.wire.envelopes import (
    BUNDLE_LIMIT,
    DETAIL_LIMIT,
    FLEET_LIMIT,
    REQUEST_LIMIT,
    RESPONSE_LIMIT,
    SEALED_LIMIT,
    Outcome,
    Request,
    Response,
    decode_request,
    decode_response,
    encode_request,
    encode_response,
)
from hsm_app.wire.frames import FrameDecoder, encode_frame

LIMIT = 40


def events(chunks: list[bytes], limit: int = LIMIT) -> tuple[list[bytes], int]:
    """Feed `chunks` as a server does: the frames that came, and how many errors."""
    decoder = FrameDecoder(limit)
    frames: list[bytes] = []
    errors = 0
    for chunk in chunks:
        try:
            frames += decoder.feed(chunk)
            decoder.check()
        except ProtocolError:
            errors += 1
    return frames, errors


def cut(data: bytes, places: list[int]) -> list[bytes]:
    ends = sorted({place % (len(data) + 1) for place in places} | {0, len(data)})
    return [data[start:end] for start, end in pairwise(ends)]


_streams = st.one_of(
    st.binary(max_size=200),
    st.lists(st.binary(min_size=1, max_size=LIMIT).map(encode_frame), max_size=6).map(b"".join),
    st.tuples(
        st.lists(st.binary(min_size=1, max_size=LIMIT).map(encode_frame), max_size=4).map(b"".join),
        st.binary(max_size=60),
    ).map(b"".join),
)


@given(_streams, st.lists(st.integers(0, 1000), max_size=12))
def test_any_bytes_in_any_chunking_give_the_same_events(stream: bytes, places: list[int]) -> None:
    whole = events([stream])
    assert events(cut(stream, places)) == whole
    assert events([bytes([byte]) for byte in stream]) == whole
    assert whole[1] <= 1


@given(st.lists(st.binary(min_size=1, max_size=LIMIT), max_size=6))
def test_every_frame_comes_out_as_it_went_in(payloads: list[bytes]) -> None:
    assert events([b"".join(map(encode_frame, payloads))]) == (payloads, 0)


def _decode_all(frames: list[bytes]) -> list[Request | str]:
    decoded: list[Request | str] = []
    for frame in frames:
        try:
            decoded.append(decode_request(frame))
        except ProtocolError:
            return [*decoded, "refused"]
    return decoded


_requests = st.builds(
    Request,
    id=st.integers(0, 2**64 - 1),
    fleet=st.text(max_size=16),
    route=st.integers(0, 65_535),
    sealed=st.binary(min_size=1, max_size=100),
)


@given(
    st.lists(_requests.map(encode_request).map(encode_frame) | st.binary(max_size=30), max_size=5).map(b"".join),
    st.lists(st.integers(0, 1000), max_size=8),
)
def test_any_bytes_in_any_chunking_give_the_same_envelopes(stream: bytes, places: list[int]) -> None:
    whole, errors = events([stream], REQUEST_LIMIT)
    cut_up, cut_errors = events(cut(stream, places), REQUEST_LIMIT)
    assert _decode_all(cut_up) == _decode_all(whole)
    assert cut_errors == errors


BAD_STREAMS = {
    "an empty frame": bytes(4),
    "one byte more than the limit": (LIMIT + 1).to_bytes(4, "big"),
    "four gigabytes announced": b"\xff" * 4,
    "HTTP": b"GET / HTTP/1.1\r\n\r\n",
}


@pytest.mark.parametrize("stream", BAD_STREAMS.values(), ids=BAD_STREAMS.keys())
def test_refused_from_the_header_alone_and_dead_after_one_error(stream: bytes) -> None:
    decoder = FrameDecoder(LIMIT)
    with pytest.raises(ProtocolError):
        decoder.feed(stream)
    assert decoder.feed(encode_frame(b"good")) == []
    assert not decoder.partial


def test_a_frame_in_front_of_the_fault_is_heard_and_then_the_error_comes() -> None:
    decoder = FrameDecoder(LIMIT)
    assert decoder.feed(encode_frame(b"good") + bytes(4)) == [b"good"]
    with pytest.raises(ProtocolError):
        decoder.check()
    decoder.check()


def test_partial_is_true_from_the_first_byte_to_the_last() -> None:
    decoder = FrameDecoder(LIMIT)
    for byte in encode_frame(b"ab")[:-1]:
        assert decoder.feed(bytes([byte])) == []
        assert decoder.partial
    assert decoder.feed(b"b") == [b"ab"]
    assert not decoder.partial


RESPONSES = [
    Response(id=0, outcome=Outcome.ANSWERED, sealed=b"x" * SEALED_LIMIT),
    Response(id=2**64 - 1, outcome=Outcome.TRY_ANOTHER, sealed=b"", detail="no majority"),
    Response(id=1, outcome=Outcome.TRY_ANOTHER, sealed=b"a sealed reason"),
    Response(id=1, outcome=Outcome.REFUSED, sealed=b"", detail="d" * DETAIL_LIMIT),
    Response(id=1, outcome=Outcome.REFUSED, sealed=b"", bundle=b"a bundle"),
]


@pytest.mark.parametrize("response", RESPONSES)
def test_responses_round_trip(response: Response) -> None:
    assert decode_response(encode_response(response)) == response


@given(_requests)
def test_requests_round_trip(request: Request) -> None:
    assert decode_request(encode_request(request)) == request


def test_the_frame_limit_is_the_largest_frame() -> None:
    asked = Request(id=2**64 - 1, fleet="f" * FLEET_LIMIT, route=65_535, sealed=b"x" * SEALED_LIMIT)
    assert len(encode_request(asked)) == REQUEST_LIMIT
    refused = Response(
        id=2**64 - 1, outcome=Outcome.REFUSED, sealed=b"", detail="d" * DETAIL_LIMIT, bundle=b"b" * BUNDLE_LIMIT
    )
    # A bundle and an answer never come together, so no frame is as long as the sum of the fields' limits.
    assert len(encode_response(refused)) <= RESPONSE_LIMIT


BAD_RESPONSES = {
    "answered without an answer": Response(id=1, outcome=Outcome.ANSWERED, sealed=b""),
    "answered with a bundle": Response(id=1, outcome=Outcome.ANSWERED, sealed=b"x", bundle=b"b"),
    "try another with a bundle": Response(id=1, outcome=Outcome.TRY_ANOTHER, sealed=b"x", bundle=b"b"),
    "a bundle that is too long": Response(id=1, outcome=Outcome.REFUSED, sealed=b"", bundle=bytes(BUNDLE_LIMIT + 1)),
    "refused with an answer": Response(id=1, outcome=Outcome.REFUSED, sealed=b"x"),
    "a detail that is too long": Response(id=1, outcome=Outcome.REFUSED, sealed=b"", detail="d" * 201),
    "an answer that is too long": Response(id=1, outcome=Outcome.ANSWERED, sealed=b"x" * (SEALED_LIMIT + 1)),
    "a negative id": Response(id=-1, outcome=Outcome.REFUSED, sealed=b""),
}


@pytest.mark.parametrize("response", BAD_RESPONSES.values(), ids=BAD_RESPONSES.keys())
def test_responses_that_cannot_be(response: Response) -> None:
    with pytest.raises(ProtocolError):
        encode_response(response)


BAD_FRAMES = {
    "another version": encode_request(Request(id=1, fleet="f", route=2, sealed=b"x")).replace(b"\x95\x01", b"\x95\x02"),
    "a version that is a boolean": encode_request(Request(id=1, fleet="f", route=2, sealed=b"x")).replace(
        b"\x95\x01", b"\x95\xc3"
    ),
    "a response": encode_response(RESPONSES[1]),
    "a route beyond two bytes": b"\x95\x01\x01\xa1f\xce\x00\x01\x00\x00\xc4\x01x",
    "nothing sealed": b"\x95\x01\x01\xa1f\x02\xc4\x00",
}


@pytest.mark.parametrize("frame", BAD_FRAMES.values(), ids=BAD_FRAMES.keys())
def test_frames_that_are_no_request(frame: bytes) -> None:
    with pytest.raises(ProtocolError):
        decode_request(frame)


def test_an_unknown_outcome_is_refused() -> None:
    frame = encode_response(Response(id=1, outcome=Outcome.REFUSED, sealed=b""))
    with pytest.raises(ProtocolError, match="outcome"):
        decode_response(frame.replace(b"\x01\x03", b"\x01\x04"))


@given(st.binary(max_size=120))
def test_any_bytes_are_a_response_or_a_protocol_error(frame: bytes) -> None:
    try:
        response = decode_response(frame)
    except ProtocolError:
        return
    assert encode_response(response) == frame
