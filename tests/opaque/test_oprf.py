"""What an OPRF client refuses, and that the blind leaves no trace."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hsm_app.errors import ProtocolError
from hsm_app.opaque import oprf
from hsm_app.opaque.group import G, N, SoftwareKey, check_point, encode, encode_uncompressed, negate

KEY = SoftwareKey(0x159749D750713AFE245D2D39CCFAAE8381C53CE92D098A9375EE70739C7AC0BF)
STATE = oprf.blind(b"code", 7)


def evaluate(element: bytes) -> bytes:
    return encode(KEY.times(check_point(element)))


@settings(max_examples=40)
@given(message=st.binary(max_size=100), blinds=st.tuples(*[st.integers(min_value=1, max_value=N - 1)] * 2))
def test_the_output_depends_on_the_input_and_not_on_the_blind(message: bytes, blinds: tuple[int, int]) -> None:
    states = [oprf.blind(message, blind) for blind in blinds]
    outputs = {oprf.finalize(state, evaluate(state.element)) for state in states}
    assert len(outputs) == 1
    assert len({state.element for state in states}) == len(set(blinds))
    other = oprf.blind(message + b"\0", blinds[0])
    assert oprf.finalize(other, evaluate(other.element)) not in outputs


ELEMENT = check_point(STATE.element)
REFUSED = {
    "the blinded element itself: key 1": STATE.element,
    "its negative: key -1": encode(negate(ELEMENT)),
    "the blinded element in another form": encode_uncompressed(ELEMENT),
    "infinity": b"\0",
    "zeros": bytes(33),
    "an x that no point has": b"\x02" + (1).to_bytes(32, "big"),
    "a byte short": encode(G)[:-1],
    "nothing": b"",
}


@pytest.mark.parametrize("evaluated", REFUSED.values(), ids=REFUSED.keys())
def test_a_client_refuses(evaluated: bytes) -> None:
    with pytest.raises(ProtocolError):
        oprf.finalize(STATE, evaluated)


@pytest.mark.parametrize("blind", [0, N, -1])
def test_a_blind_is_in_range(blind: int) -> None:
    with pytest.raises(ProtocolError):
        oprf.blind(b"code", blind)


def test_the_longest_input() -> None:
    longest = bytes(65535)
    state = oprf.blind(longest, 3)
    assert len(oprf.finalize(state, evaluate(state.element))) == 32
    with pytest.raises(ProtocolError, match="65535"):
        oprf.blind(longest + b"\0", 3)


def test_a_state_shows_neither_input_nor_blind() -> None:
    shown = repr(oprf.blind(b"hunter2", 0xABCDEF))
    assert "hunter2" not in shown
    assert str(0xABCDEF) not in shown
