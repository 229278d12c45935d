"""What the operator's command line says to a replica on the same host, and hears: one msgpack array a frame.

The call names what to do and carries a body whose form belongs to that name; the answer carries a body, or the exit
code and the words of an error.
"""

from __future__ import annotations

from dataclasses import dataclass

from hsm_app.wire.codec import Layout, number, octets_up_to, text

BODY_LIMIT = 64 * 1024  # bytes: a manifest of the largest size and its certificates
TEXT_LIMIT = 1024
VERSION = "hsm-vault/operator/v1"


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorCall:
    name: str
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorAnswer:
    """`exit_code` 0: `body` is the answer. Otherwise `what` and `todo` are the error's."""

    exit_code: int
    body: bytes = b""
    what: str = ""
    todo: str = ""


_CALL = Layout(OperatorCall, text("name", 32), octets_up_to("body", BODY_LIMIT, least=0), tag=VERSION)
_ANSWER = Layout(
    OperatorAnswer,
    number("exit_code", 255),
    octets_up_to("body", BODY_LIMIT, least=0),
    text("what", TEXT_LIMIT, least=0),
    text("todo", TEXT_LIMIT, least=0),
    tag=VERSION,
)
FRAME_LIMIT = max(_CALL.largest, _ANSWER.largest)


def encode_call(call: OperatorCall) -> bytes:
    return _CALL.pack(call)


def decode_call(frame: bytes) -> OperatorCall:
    """ProtocolError for anything else."""
    return _CALL.unpack(frame)


def encode_operator_answer(answer: OperatorAnswer) -> bytes:
    return _ANSWER.pack(answer)


def decode_operator_answer(frame: bytes) -> OperatorAnswer:
    """ProtocolError for anything else."""
    return _ANSWER.unpack(frame)
