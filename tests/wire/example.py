"""Example messages for tests: the smallest and the largest of each kind, and strategies for all in between."""

from __future__ import annotations

from hypothesis import strategies as st

from hsm_app.model import AttemptId, RegistrationId
from hsm_app.wire import messages as m
from hsm_app.wire.message_codec import (
    EVENTS_KEPT,
    NAME_LIMIT,
    PAYLOAD_LIMIT,
    STATUS_LIMIT,
    TEXT_LIMIT,
    TICKET_LIMIT,
    TOKEN_LIMIT,
)

U32, U64 = 2**32 - 1, 2**64 - 1
ID = RegistrationId(b"\x07" * 16)
ATTEMPT = AttemptId(b"\x08" * 16)
EVENT = m.Event(kind=255, at=U32)


def b(length: int) -> bytes:
    return b"\xab" * length


LARGEST_REQUESTS: list[m.ClientRequest] = [
    m.RegisterStart(token="t" * TOKEN_LIMIT, name="n" * NAME_LIMIT, blinded=b(33)),
    m.RegisterFinish(
        ticket=b(TICKET_LIMIT),
        registration_id=ID,
        opaque_record=b(129),
        payload=b(PAYLOAD_LIMIT),
        owner_public_key=b(32),
    ),
    m.Activate(token="t" * TOKEN_LIMIT, name="n" * NAME_LIMIT, registration_id=ID, owner_signature=b(64)),
    m.RecoverStart(token="t" * TOKEN_LIMIT, name="n" * NAME_LIMIT, attempt_id=ATTEMPT, ke1=b(98)),
    m.RecoverFinish(ticket=b(TICKET_LIMIT), ke3=b(32)),
    m.Delete(token="t" * TOKEN_LIMIT, name="n" * NAME_LIMIT, owner_signature=b(64)),
    m.Cancel(token="t" * TOKEN_LIMIT, name="n" * NAME_LIMIT, owner_signature=b(64)),
    m.Status(token="t" * TOKEN_LIMIT, name="n" * NAME_LIMIT, nonce=b(32)),
]
SMALLEST_REQUESTS: list[m.ClientRequest] = [
    m.RegisterStart(token="t", name="n", blinded=b(33)),
    m.RegisterFinish(ticket=b(1), registration_id=ID, opaque_record=b(129), payload=b(1), owner_public_key=b(32)),
    m.Activate(token="t", name="n", registration_id=ID, owner_signature=b""),
    m.RecoverStart(token="t", name="n", attempt_id=ATTEMPT, ke1=b(98)),
    m.RecoverFinish(ticket=b(1), ke3=b(32)),
    m.Delete(token="t", name="n", owner_signature=b""),
    m.Cancel(token="t", name="n", owner_signature=b(64)),
    m.Status(token="t", name="n", nonce=b(32)),
]
REFUSAL = m.Refusal(family=255, reason=255, text="x" * TEXT_LIMIT, attempts_left=255, retry_after=U32)
SMALLEST_REFUSAL = m.Refusal(family=1, reason=0, text="x")
LARGEST_ANSWERS: list[m.Answer] = [
    m.RegisterStarted(evaluated=b(33), server_public_key=b(33), ticket=b(TICKET_LIMIT), generation=U64, live=True),
    m.RegisterFinished(generation=U64),
    m.Activated(generation=U64),
    m.Scheduled(due_at=U32),
    m.RecoverStarted(ke2=b(259), ticket=b(TICKET_LIMIT)),
    m.Recovered(payload=b(PAYLOAD_LIMIT), generation=U64, events=(EVENT,) * EVENTS_KEPT),
    m.Deleted(generation=U64),
    m.Cancelled(generation=U64),
    m.StatusReport(replica=255, signed=b(STATUS_LIMIT), signature=b(64)),
    REFUSAL,
]
SMALLEST_ANSWERS: list[m.Answer] = [
    m.RegisterStarted(evaluated=b(33), server_public_key=b(33), ticket=b(1), generation=0, live=False),
    m.RegisterFinished(generation=0),
    m.Activated(generation=0),
    m.Scheduled(due_at=0),
    m.RecoverStarted(ke2=b(259), ticket=b(1)),
    m.Recovered(payload=b(1), generation=0, events=()),
    m.Deleted(generation=0),
    m.Cancelled(generation=0),
    m.StatusReport(replica=1, signed=b(1), signature=b(64)),
    SMALLEST_REFUSAL,
]

_tokens = st.text(st.characters(codec="ascii", min_codepoint=33), min_size=1, max_size=200)
_names = st.text(st.characters(codec="utf-8"), min_size=1, max_size=NAME_LIMIT // 4)
_generations = st.integers(0, U64)


def _exactly(length: int) -> st.SearchStrategy[bytes]:
    return st.binary(min_size=length, max_size=length)


_signatures = st.just(b"") | _exactly(64)
_tickets = st.binary(min_size=1, max_size=TICKET_LIMIT)
requests: st.SearchStrategy[m.ClientRequest] = st.one_of(
    st.builds(m.RegisterStart, token=_tokens, name=_names, blinded=_exactly(33)),
    st.builds(
        m.RegisterFinish,
        ticket=_tickets,
        registration_id=_exactly(16),
        opaque_record=_exactly(129),
        payload=st.binary(min_size=1, max_size=PAYLOAD_LIMIT),
        owner_public_key=_exactly(32),
    ),
    st.builds(m.Activate, token=_tokens, name=_names, registration_id=_exactly(16), owner_signature=_signatures),
    st.builds(m.RecoverStart, token=_tokens, name=_names, attempt_id=_exactly(16), ke1=_exactly(98)),
    st.builds(m.RecoverFinish, ticket=_tickets, ke3=_exactly(32)),
    st.builds(m.Delete, token=_tokens, name=_names, owner_signature=_signatures),
    st.builds(m.Cancel, token=_tokens, name=_names, owner_signature=_exactly(64)),
    st.builds(m.Status, token=_tokens, name=_names, nonce=_exactly(32)),
)
events = st.lists(st.builds(m.Event, kind=st.integers(0, 255), at=st.integers(0, U32)), max_size=EVENTS_KEPT).map(tuple)
