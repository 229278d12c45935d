"""What the vectors of RFC 9380 do not reach: the exceptional inputs of the map, and the limits of expansion."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hsm_app.opaque.group import B, N, P, check_point, encode, encode_uncompressed
from hsm_app.opaque.hash_to_curve import expand_message_xmd, hash_to_curve, hash_to_scalar, map_to_curve

DST = b"hsm-vault-test-DST"


@given(u=st.integers(min_value=0, max_value=P - 1))
def test_the_map_always_hits_the_curve_with_the_sign_of_u(u: int) -> None:
    point = map_to_curve(u)
    assert check_point(encode_uncompressed(point)) == point
    assert point.y & 1 == u & 1  # sgn0, section 4.1


ROOT_OF_TENTH = pow(pow(10, -1, P), (P + 1) // 4, P)


@pytest.mark.parametrize("u", [0, ROOT_OF_TENTH, P - ROOT_OF_TENTH], ids=["u = 0", "u^2 = 1/10", "its negative"])
def test_the_exceptional_inputs_of_the_map(u: int) -> None:
    """Z^2 u^4 + Z u^2 is zero, so nothing can be inverted: x is B / (Z * A), which Z was chosen for (section 6.6.2)."""
    assert (100 * u**4 - 10 * u**2) % P == 0
    point = map_to_curve(u)
    assert point.x == B * pow(30, -1, P) % P
    assert check_point(encode_uncompressed(point)) == point


def test_opposite_inputs_map_to_opposite_points() -> None:
    assert map_to_curve(7).x == map_to_curve(P - 7).x
    assert map_to_curve(7).y == P - map_to_curve(P - 7).y


@pytest.mark.parametrize("length", [255 * 32 + 1, 65536])
def test_more_than_the_hash_can_give_is_refused(length: int) -> None:
    with pytest.raises(ValueError, match="too many"):
        expand_message_xmd(b"message", DST, length)


@pytest.mark.parametrize("length", [1, 31, 32, 33, 255 * 32])
def test_lengths_are_exact(length: int) -> None:
    assert len(expand_message_xmd(b"message", DST, length)) == length


def test_a_domain_is_cut_at_255_bytes() -> None:
    """Section 5.3.3: 255 bytes are used as they are, 256 are hashed, and neither is taken for the other."""
    outputs = {expand_message_xmd(b"message", b"D" * length, 32) for length in (254, 255, 256, 257)}
    assert len(outputs) == 4


def test_domains_and_messages_are_separate() -> None:
    points = {encode(hash_to_curve(message, dst)) for message in (b"", b"a", b"b") for dst in (DST, DST + b"2")}
    assert len(points) == 6


@given(message=st.binary(max_size=200))
def test_a_scalar_is_below_the_order(message: bytes) -> None:
    assert 0 <= hash_to_scalar(message, DST) < N
