"""Frames on a socket: the same stream in any pieces gives the same frames and at most one error."""

from __future__ import annotations

from hsm_app.errors import ProtocolError
from hsm_app.wire import envelopes, operator_call
from hsm_app.wire.frames import FrameDecoder, encode_frame
from tests.fuzz.harness import Harness, one_of, round_trip, tagged

LIMIT = 300  # bytes of a frame: a fuzzer meets it often


def heard(stream: bytes, sizes: bytes) -> tuple[list[bytes], int]:
    """Feed a stream in pieces of these sizes, over and over; return its frames and the number of errors."""
    decoder, frames, errors = FrameDecoder(LIMIT), list[bytes](), 0
    at = turn = 0
    while at < len(stream):
        size = sizes[turn % len(sizes)] + 1
        turn += 1
        try:
            frames += decoder.feed(stream[at : at + size])
            decoder.check()
        except ProtocolError:
            errors += 1
        at += size
    return frames, errors


def check_pieces(data: bytes) -> None:
    sizes, stream = data[:4], data[4:]
    if not stream:
        return
    whole = heard(stream, b"\xff\xff\xff\xff")
    assert heard(stream, sizes) == whole, "other pieces, other frames"
    assert whole[1] <= 1, "more than one error"
    assert all(1 <= len(frame) <= LIMIT for frame in whole[0]), "a frame of no allowed length"
    written = b"".join(map(encode_frame, whole[0]))
    assert stream.startswith(written), "a frame that nobody sent"


REQUEST = envelopes.Request(id=7, fleet="fleet-1", route=9, sealed=bytes(130))
ANSWERED = envelopes.Response(id=7, outcome=envelopes.Outcome.ANSWERED, sealed=b"x")
REFUSED = envelopes.Response(id=8, outcome=envelopes.Outcome.REFUSED, sealed=b"", detail="why")
STREAM = b"\0\3\1\2" + encode_frame(b"one") + encode_frame(bytes(LIMIT)) + encode_frame(bytes(LIMIT + 1))
FRAMES = Harness(
    one_of(
        check_pieces,
        round_trip(envelopes.decode_request, envelopes.encode_request, ProtocolError),
        round_trip(envelopes.decode_response, envelopes.encode_response, ProtocolError),
        round_trip(operator_call.decode_call, operator_call.encode_call, ProtocolError),
        round_trip(operator_call.decode_operator_answer, operator_call.encode_operator_answer, ProtocolError),
    ),
    tagged(
        [STREAM],
        [envelopes.encode_request(REQUEST)],
        [envelopes.encode_response(ANSWERED), envelopes.encode_response(REFUSED)],
        [operator_call.encode_call(operator_call.OperatorCall(name="status", body=b"body"))],
        [operator_call.encode_operator_answer(operator_call.OperatorAnswer(exit_code=3, what="what", todo="todo"))],
    ),
)
