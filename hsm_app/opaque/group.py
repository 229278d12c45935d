"""P-256 with a multiplication that needs only x coordinates: the one that a PKCS#11 token can do.

A token's ECDH1 derive with the NULL KDF answers x(k*B) and hides the sign of y. RFC 9497 and RFC 9807 need the whole
point. It follows from a second derive and the public key K = k*G:

    S = k*B,  J = j*K,  T = S + J = k*(B + j*G);   the oracle gives xs = x(S) and xt = x(T)

The chord through S and J gives (yj - ys)^2 = (xt + xs + xj) * (xs - xj)^2. With ys^2 = f(xs), f(x) = x^3 - 3x + b, the
square drops out and the equation is linear in ys:

    ys = (f(xs) + yj^2 - (xt + xs + xj) * (xs - xj)^2) / (2 * yj)

yj is never 0: the group's order is an odd prime, so no point has order two. The chord exists when S is neither J nor
-J. As k is invertible, that is: B is neither j*G nor -j*G; and then neither B + j*G nor T is infinity. So j = 1, except
for B = G and B = -G, where j = 2: 2*G is neither of them, for the order is not 3. Every B of the curve is covered.

Wrong answers. A result is accepted if xs is not xj, which no right answer is, and if ys^2 = f(xs). Then (xs, ys) is a
point S', and by the chord's equation, read backwards, xt = x(S' + J): the two answers belong to one point. So answers
that are stuck, stale, garbled or of another key are a TokenError. A device that picks an S' of its own and answers
x(S') and x(S' + J) is believed: its honesty is not proved here, but by the MAC of the other side.

Software keys use the same multiplication with OpenSSL's constant-time ECDH as the oracle, so no multiplication walks a
scalar's bits in Python. What does pass through Python's integers, which are not constant time: the coordinates, those
of shared secrets included (a handful of products of full width for each, and no branch on a result but the check), and
on the client, once a login, the inverse of its own fresh blind.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

from cryptography.hazmat.primitives.asymmetric import ec

from hsm_app.errors import ProtocolError, TokenError

P = 0xFFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF  # SEC 2 section 2.4.2
N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
A = -3
B = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B
ELEMENT = 33  # Noe = Npk: a compressed point (RFC 9497 section 4.3)
SCALAR = 32  # Ns = Nsk

Oracle = Callable[[bytes], bytes]  # an uncompressed point (65 bytes) to the x coordinate of k times it (32 bytes)


class Point(NamedTuple):
    """An affine point of P-256. Infinity cannot be said."""

    x: int
    y: int


G = Point(
    0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
    0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5,
)


def check_point(data: bytes) -> Point:
    """Read a point, 33 bytes compressed or 65 uncompressed. ProtocolError unless it is on the curve."""
    try:
        return _decode(data)
    except ValueError:
        raise ProtocolError("a value is no point of P-256", "The peer speaks another protocol") from None


@lru_cache(maxsize=1024)
def _decode(data: bytes) -> Point:
    """A login's points are read by KE1's decoder and again by the token, which trusts no caller; taking the root of the
    second time is spared. Only what travels is read here, so what stays in memory is public. A refusal is not kept.
    """
    # the library refuses lengths, prefixes (hybrid and infinity too), x from p on, and what is off the curve
    numbers = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), data).public_numbers()
    return Point(numbers.x, numbers.y)


def encode(point: Point) -> bytes:
    """Return 33 bytes: SerializeElement (RFC 9497 section 4.3)."""
    return bytes((2 + (point.y & 1),)) + point.x.to_bytes(32, "big")


def encode_uncompressed(point: Point) -> bytes:
    """Return 65 bytes."""
    return b"\x04" + point.x.to_bytes(32, "big") + point.y.to_bytes(32, "big")


def negate(point: Point) -> Point:
    return Point(point.x, P - point.y)


def add(left: Point, right: Point) -> Point:
    """Return the sum of two points with different x, or the double of equal ones. ValueError when it is infinity."""
    if left.x != right.x:
        slope = (right.y - left.y) * pow(right.x - left.x, -1, P)
    elif left.y == right.y:
        slope = (3 * left.x * left.x + A) * pow(2 * left.y, -1, P)
    else:
        raise ValueError("the sum is infinity")
    x = (slope * slope - left.x - right.x) % P
    return Point(x, (slope * (left.x - x) - left.y) % P)


TWO_G = add(G, G)


def multiply(oracle: Oracle, public: Point, point: Point) -> Point:
    """Return k times `point`; `public` is k*G, from authenticated storage. TokenError when the two do not fit."""
    if point.x == G.x:
        step, known = TWO_G, _Known.double_of(public)
    else:
        step, known = G, _Known.of(public)
    xs = _coordinate(oracle(encode_uncompressed(point)))
    xt = _coordinate(oracle(encode_uncompressed(add(point, step))))
    f = (xs * xs * xs + A * xs + B) % P
    difference = xs - known.x
    ys = (f + known.y_squared - (xt + xs + known.x) * difference * difference) * known.half_inverse_y % P
    if difference == 0 or (ys * ys - f) % P:
        raise TokenError(
            "the token's two answers for one point do not fit its public key", "Check the token and the keys"
        )
    return Point(xs, ys)


class _Known(NamedTuple):
    """What the formula needs of J, computed once for each key that is used often."""

    x: int
    y_squared: int
    half_inverse_y: int  # 1 / (2y)

    @staticmethod
    @lru_cache(maxsize=64)
    def of(point: Point) -> _Known:
        return _Known(point.x, point.y * point.y % P, pow(2 * point.y, -1, P))

    @staticmethod
    def double_of(point: Point) -> _Known:
        return _Known.of(add(point, point))


def _coordinate(answer: bytes) -> int:
    x = int.from_bytes(answer, "big")
    if len(answer) != 32 or x >= P:
        raise TokenError(
            "the token's answer is no coordinate of P-256", "Check the token's ECDH derive with `token probe`"
        )
    return x


def software_oracle(key: ec.EllipticCurvePrivateKey) -> Oracle:
    """Return the oracle of a key in memory: OpenSSL's ECDH, which is constant time."""

    def oracle(point: bytes) -> bytes:
        return key.exchange(ec.ECDH(), ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point))

    return oracle


class SoftwareKey:
    """A private key of one request or of the client, in memory. `scalar` is 1 to N - 1, else ProtocolError."""

    __slots__ = ("_oracle", "public")

    def __init__(self, scalar: int) -> None:
        if not 0 < scalar < N:
            raise ProtocolError("a scalar is zero or not below the group's order")
        key = ec.derive_private_key(scalar, ec.SECP256R1())
        numbers = key.public_key().public_numbers()
        self.public = Point(numbers.x, numbers.y)
        self._oracle = software_oracle(key)

    def times(self, point: Point) -> Point:
        """Return this key's scalar times `point`."""
        return multiply(self._oracle, self.public, point)

    def __repr__(self) -> str:
        return "SoftwareKey(<secret>)"
