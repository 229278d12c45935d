"""Refusals: every error a replica may answer with comes out of the client as the same error."""

from __future__ import annotations

import pytest

from hsm_app.errors import (
    BackupError,
    ConfigError,
    Denied,
    DenyReason,
    ProtocolError,
    QuorumError,
    StoreError,
    TokenError,
    VaultError,
)
from hsm_app.wire.message_codec import TEXT_LIMIT, pack_message, unpack_answer
from hsm_app.wire.messages import Kind, Refusal
from hsm_app.wire.refusal import Family, raise_refusal, refusal_from

TOLD: list[VaultError] = [
    *(Denied(reason, "what happened", "what next", attempts_left=3, retry_after=60) for reason in DenyReason),
    Denied(DenyReason.NO_RECORD, "no record"),
    ProtocolError("a point is not on the curve"),
    QuorumError("two of five answered", "try again"),
    QuorumError("the outcome is not known", "try again with the same id", ambiguous=True),
]


def over_the_wire(error: VaultError) -> VaultError:
    body = pack_message(refusal_from(error))
    answer = unpack_answer(Kind.STATUS, Kind.REFUSAL, body)
    assert isinstance(answer, Refusal)
    with pytest.raises(VaultError) as raised:
        raise_refusal(answer)
    return raised.value


@pytest.mark.parametrize("error", TOLD, ids=str)
def test_an_error_comes_out_as_it_went_in(error: VaultError) -> None:
    out = over_the_wire(error)
    assert type(out) is type(error)
    assert str(out) == str(error)
    assert out.exit_code == error.exit_code
    for name in ("reason", "attempts_left", "retry_after", "ambiguous"):
        assert getattr(out, name, None) == getattr(error, name, None)


@pytest.mark.parametrize("family", [TokenError, StoreError, ConfigError])
def test_what_goes_wrong_inside_a_replica_is_told_without_its_details(family: type[VaultError]) -> None:
    out = over_the_wire(family("PIN file /secret/place is locked", "look at slot 7"))
    assert type(out) is family
    assert "secret" not in str(out)
    assert "slot" not in str(out)


def test_a_long_text_is_cut_at_a_whole_letter() -> None:
    out = over_the_wire(ProtocolError("ä" * TEXT_LIMIT))
    assert out.what == "ä" * (TEXT_LIMIT // 2)


def test_a_family_that_no_replica_raises_is_a_bug() -> None:
    with pytest.raises(TypeError, match="BackupError"):
        refusal_from(BackupError("x"))


UNKNOWN = {
    "an unknown family": Refusal(family=200, reason=0, text="t"),
    "an unknown reason to deny": Refusal(family=Family.DENIED, reason=200, text="t"),
    "a denial for no reason": Refusal(family=Family.DENIED, reason=0, text="t"),
    "an unknown kind of quorum error": Refusal(family=Family.QUORUM, reason=2, text="t"),
    "an unknown kind of protocol error": Refusal(family=Family.PROTOCOL, reason=1, text="t"),
    "an unknown kind of token error": Refusal(family=Family.TOKEN, reason=1, text="t"),
}


@pytest.mark.parametrize("refusal", UNKNOWN.values(), ids=UNKNOWN.keys())
def test_a_code_of_a_later_version_is_a_protocol_error(refusal: Refusal) -> None:
    with pytest.raises(ProtocolError, match="does not know: t"):
        raise_refusal(refusal)
