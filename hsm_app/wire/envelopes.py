"""The outer messages between client and relay, and relay and replica: all that a relay can read.

Nothing here is authenticated. `fleet` and `route` pick the group and the preferred replica; the sealed request is for
one fleet only, and the replica checks the route against it. `outcome` and `detail` are hints for the relay: a client
believes only what it can open with its response key, and takes the rest as a delivery failure. `bundle` proves itself
(`fleet.bundle`): it is how a client learns of keys that it does not know yet. A client that knows none asks for it with
`ASK_FOR_BUNDLE`, a request that opens for nobody.
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
FLEET_LIMIT = 64  # as in the manifest
BUNDLE_LIMIT = 64 * 1024  # bytes, as in `fleet.bundle`
ASK_FOR_BUNDLE = b"\0"


class Outcome(IntEnum):
    ANSWERED = 1  # `sealed` is the answer
    TRY_ANOTHER = 2  # this replica cannot: no quorum, another group's record, or it stops
    REFUSED = 3  # nobody can; `detail` says why


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """`id` is the sender's number for matching the response on this connection; `fleet` "" leaves it to the relay."""

    id: int
    fleet: str
    route: int
    sealed: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """`sealed` may hold the replica's reason behind TRY_ANOTHER, and is empty when REFUSED.

    `bundle` comes with a refusal only: the keys under which this replica does open requests.
    """

    id: int
    outcome: Outcome
    sealed: bytes = field(repr=False)
    detail: str = ""
    bundle: bytes = field(repr=False, default=b"")


def _outcome() -> Field:
    plain = number("outcome", max(Outcome), least=min(Outcome))
    return Field(name="outcome", largest=plain.largest, decode=lambda value: Outcome(plain.decode(value)), encode=int)


_REQUEST = Layout(
    Request,
    number("id"),
    text("fleet", FLEET_LIMIT, least=0),
    number("route", ROUTES - 1),
    octets_up_to("sealed", SEALED_LIMIT),
    tag=VERSION,
)
_RESPONSE = Layout(
    Response,
    number("id"),
    _outcome(),
    octets_up_to("sealed", SEALED_LIMIT, least=0),
    text("detail", DETAIL_LIMIT, least=0),
    octets_up_to("bundle", BUNDLE_LIMIT, least=0),
    tag=VERSION,
)
REQUEST_LIMIT = _REQUEST.largest  # bytes of the largest frame from a client or relay
RESPONSE_LIMIT = _RESPONSE.largest  # and of the largest one back


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


def printable_hint(detail: str) -> str:
    """Return a hint as it may be shown on a terminal: nobody vouches for it."""
    return "".join(character for character in detail if character.isprintable())


def _consistent(response: Response) -> Response:
    if response.outcome is Outcome.ANSWERED and not response.sealed:
        raise ProtocolError("an answered response holds no answer")
    if response.outcome is Outcome.REFUSED and response.sealed:
        raise ProtocolError("a refused response holds an answer")
    if response.outcome is not Outcome.REFUSED and response.bundle:
        raise ProtocolError("a bundle comes with an answer that is no refusal")
    return response
