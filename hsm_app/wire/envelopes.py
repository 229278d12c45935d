"""The outer messages between client and relay, and relay and replica: all that a relay can read.

Nothing here is authenticated. `route` picks the group and the preferred replica, and the replica checks it against the
sealed request. `outcome` and `detail` are hints for the relay: a client believes only what it can open with its
response key, and takes the rest as a delivery failure.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

from hsm_app.errors import ProtocolError
from hsm_app.model import ROUTES
from hsm_app.wire.codec import Field, Layout, number, octets_up_to, text

VERSION = 1
SEALED_LIMIT = 8 * 1024  # bytes; the largest sealed message of `wire.padding` has less than half
DETAIL_LIMIT = 200  # UTF-8 bytes of a hint


class Outcome(IntEnum):
    ANSWERED = 1  # `sealed` is the answer
    TRY_ANOTHER = 2  # this replica cannot: no quorum, another group's record, or it stops
    REFUSED = 3  # nobody can; `detail` says why


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """`id` is the sender's own number for matching the response on this connection."""

    id: int
    route: int
    sealed: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """`sealed` may hold the replica's reason behind TRY_ANOTHER, and is empty when REFUSED: that is the relay's own."""

    id: int
    outcome: Outcome
    sealed: bytes = field(repr=False)
    detail: str = ""


def _outcome() -> Field:
    plain = number("outcome", max(Outcome), least=min(Outcome))
    return Field(name="outcome", largest=plain.largest, decode=lambda value: Outcome(plain.decode(value)), encode=int)


_REQUEST = Layout(Request, number("id"), number("route", ROUTES - 1), octets_up_to("sealed", SEALED_LIMIT), tag=VERSION)
_RESPONSE = Layout(
    Response,
    number("id"),
    _outcome(),
    octets_up_to("sealed", SEALED_LIMIT, least=0),
    text("detail", DETAIL_LIMIT, least=0),
    tag=VERSION,
)
FRAME_LIMIT = max(_REQUEST.largest, _RESPONSE.largest)  # bytes of the largest frame between client, relay and replica


def encode_request(request: Request) -> bytes:
    """Return the payload of one frame."""
    return _REQUEST.pack(request)


def decode_request(frame: bytes) -> Request:
    """Read a client's or relay's frame. ProtocolError for anything but a request."""
    return _REQUEST.unpack(frame)


def encode_response(response: Response) -> bytes:
    """Return the payload of one frame."""
    return _RESPONSE.pack(_consistent(response))


def decode_response(frame: bytes) -> Response:
    """Read a replica's or relay's frame. ProtocolError for anything but a response."""
    return _consistent(_RESPONSE.unpack(frame))


def _consistent(response: Response) -> Response:
    if response.outcome is Outcome.ANSWERED and not response.sealed:
        raise ProtocolError("an answered response holds no answer")
    if response.outcome is Outcome.REFUSED and response.sealed:
        raise ProtocolError("a refused response holds an answer")
    return response
