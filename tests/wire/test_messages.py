"""Messages: round trips, limits, and sizes that tell nothing but the kind of request."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hsm_app.errors import ProtocolError
from hsm_app.wire import messages as m
from hsm_app.wire.message_codec import (
    ANSWERS,
    LAYOUTS,
    NAME_LIMIT,
    PAYLOAD_LIMIT,
    STATUS_LIMIT,
    TICKET_LIMIT,
    TOKEN_LIMIT,
    kind_of,
    pack_message,
    unpack_answer,
    unpack_request,
)
from hsm_app.wire.messages import Kind
from hsm_app.wire.padding import ANSWER_SIZE, HEAD, REQUEST_SIZE, pad, unpad
from hsm_app.wire.status import STATUS_BODY
from tests.wire.example import (
    LARGEST_ANSWERS,
    LARGEST_REQUESTS,
    SMALLEST_ANSWERS,
    SMALLEST_REFUSAL,
    SMALLEST_REQUESTS,
    b,
    requests,
)


def _request_of(answer: m.Answer) -> Kind:
    return next(kind for kind, answers in ANSWERS.items() if kind_of(answer) in answers)


def _name(message: object) -> str:
    return type(message).__name__


@pytest.mark.parametrize("message", [*SMALLEST_REQUESTS, *LARGEST_REQUESTS], ids=_name)
def test_requests_round_trip(message: m.ClientRequest) -> None:
    assert unpack_request(kind_of(message), pack_message(message)) == message


@pytest.mark.parametrize("message", [*SMALLEST_ANSWERS, *LARGEST_ANSWERS], ids=_name)
def test_answers_round_trip(message: m.Answer) -> None:
    assert unpack_answer(_request_of(message), kind_of(message), pack_message(message)) == message


@given(requests)
def test_any_request_round_trips(message: m.ClientRequest) -> None:
    assert unpack_request(kind_of(message), pack_message(message)) == message


@given(requests, st.data())
def test_a_changed_byte_gives_another_message_or_a_protocol_error(
    message: m.ClientRequest, data: st.DataObject
) -> None:
    body = pack_message(message)
    at = data.draw(st.integers(0, len(body) - 1))
    changed = body[:at] + bytes([data.draw(st.integers(0, 255))]) + body[at + 1 :]
    try:
        other = unpack_request(kind_of(message), changed)
    except ProtocolError:
        return
    assert (other == message) == (changed == body)


@given(st.integers(0, 255), st.binary(max_size=300))
def test_any_bytes_of_any_kind_are_a_message_or_a_protocol_error(kind: int, body: bytes) -> None:
    for read in (unpack_request, lambda kind, body: unpack_answer(Kind.RECOVER_FINISH, kind, body)):
        try:
            message = read(kind, body)
        except ProtocolError:
            continue
        assert (kind_of(message), pack_message(message)) == (kind, body)


TOO_LONG: list[tuple[m.ClientRequest, str, Any]] = [
    (LARGEST_REQUESTS[0], "token", "t" * (TOKEN_LIMIT + 1)),
    (LARGEST_REQUESTS[0], "token", ""),
    (LARGEST_REQUESTS[0], "token", b"t"),
    (LARGEST_REQUESTS[0], "name", "ä" * (NAME_LIMIT // 2 + 1)),
    (LARGEST_REQUESTS[0], "name", ""),
    (LARGEST_REQUESTS[0], "blinded", b(32)),
    (LARGEST_REQUESTS[0], "blinded", b(34)),
    (LARGEST_REQUESTS[1], "ticket", b(TICKET_LIMIT + 1)),
    (LARGEST_REQUESTS[1], "registration_id", b(15)),
    (LARGEST_REQUESTS[1], "opaque_record", b(128)),
    (LARGEST_REQUESTS[1], "payload", b(PAYLOAD_LIMIT + 1)),
    (LARGEST_REQUESTS[1], "payload", b""),
    (LARGEST_REQUESTS[1], "owner_public_key", b(33)),
    (LARGEST_REQUESTS[2], "owner_signature", b(63)),
    (LARGEST_REQUESTS[3], "ke1", b(97)),
    (LARGEST_REQUESTS[3], "attempt_id", b(17)),
    (LARGEST_REQUESTS[4], "ke3", b(31)),
    (LARGEST_REQUESTS[4], "ke3", "k" * 32),
    (LARGEST_REQUESTS[6], "owner_signature", b""),
    (LARGEST_REQUESTS[7], "nonce", b(31)),
]


@pytest.mark.parametrize(("message", "name", "value"), TOO_LONG)
def test_a_field_out_of_its_limits_is_refused_by_name(message: m.ClientRequest, name: str, value: Any) -> None:
    with pytest.raises(ProtocolError, match=f"field {name} "):
        pack_message(replace(message, **{name: value}))


def test_an_answer_is_no_request_and_no_other_requests_answer() -> None:
    with pytest.raises(ProtocolError, match="no request"):
        unpack_request(Kind.ACTIVATED, pack_message(m.Activated(generation=1)))
    with pytest.raises(ProtocolError, match="no answer to a RECOVER_FINISH"):
        unpack_answer(Kind.RECOVER_FINISH, Kind.ACTIVATED, pack_message(m.Activated(generation=1)))
    with pytest.raises(ProtocolError, match="no answer"):
        unpack_answer(Kind.STATUS, Kind.STATUS, pack_message(LARGEST_REQUESTS[7]))


def test_every_kind_is_either_a_request_or_the_answer_to_one() -> None:
    answers = frozenset[Kind]().union(*ANSWERS.values())
    assert set(ANSWERS) | answers == set(Kind) == set(LAYOUTS)
    assert not set(ANSWERS) & answers
    assert {kind_of(message) for message in LARGEST_REQUESTS} == set(ANSWERS)
    assert {kind_of(message) for message in LARGEST_ANSWERS} == answers


@pytest.mark.parametrize("message", [*LARGEST_REQUESTS, *LARGEST_ANSWERS], ids=_name)
def test_the_largest_message_is_as_long_as_its_table_says(message: m.ClientRequest | m.Answer) -> None:
    assert len(pack_message(message)) == LAYOUTS[kind_of(message)].largest


def test_a_signed_status_fits_into_its_report() -> None:
    assert STATUS_BODY.largest <= STATUS_LIMIT


def test_the_sizes_are_these() -> None:
    """The numbers stand here so that a changed limit is seen as a changed wire format."""
    assert {kind.name: (REQUEST_SIZE[kind], ANSWER_SIZE[kind]) for kind in ANSWERS} == {
        "REGISTER_START": (2156, 1111),
        "REGISTER_FINISH": (2317, 318),
        "ACTIVATE": (2205, 318),
        "RECOVER_START": (2239, 1293),
        "RECOVER_FINISH": (1065, 1247),
        "DELETE": (2187, 318),
        "CANCEL": (2187, 318),
        "STATUS": (2155, 1099),
    }


@pytest.mark.parametrize("message", [*SMALLEST_REQUESTS, *LARGEST_REQUESTS], ids=_name)
def test_padding_round_trips_at_one_size_for_each_kind(message: m.ClientRequest) -> None:
    kind, body = kind_of(message), pack_message(message)
    plain = pad(kind, body, REQUEST_SIZE[kind])
    assert len(plain) == REQUEST_SIZE[kind]
    assert unpad(plain) == (kind, body)


BAD_PADDING = {
    "nothing": b"",
    "less than a head": bytes(HEAD - 1),
    "a length beyond the end": b"\x01\x00\x03ab",
    "padding that is not zero": b"\x01\x00\x02ab\x00\x01\x00",
}


@pytest.mark.parametrize("plain", BAD_PADDING.values(), ids=BAD_PADDING.keys())
def test_bad_padding_is_refused(plain: bytes) -> None:
    with pytest.raises(ProtocolError):
        unpad(plain)


def test_what_is_secret_is_not_shown() -> None:
    token, secret = "a.bearer.token", b"the payload of a person"
    shown = repr(m.Status(token=token, name="n", nonce=b(32))) + repr(
        m.Recovered(payload=secret, generation=1, events=())
    )
    assert token not in shown
    assert str(secret) not in shown
    hidden = {field.name for message in LARGEST_REQUESTS for field in fields(message) if not field.repr}
    assert hidden == {"token", "ticket", "opaque_record", "payload", "ke3"}
    assert SMALLEST_REFUSAL.text in repr(SMALLEST_REFUSAL)
