"""P-256 once more, by pycryptodome: the second implementation that the tests compare with."""

from __future__ import annotations

from Crypto.PublicKey.ECC import EccPoint

from hsm_app.opaque.group import G, N, Point


def times(scalar: int, point: Point = G) -> Point:
    """Return scalar times point. The product must not be infinity."""
    product = EccPoint(point.x, point.y, curve="p256") * (scalar % N)
    assert not product.is_point_at_infinity()
    return Point(int(product.x), int(product.y))


def plus(left: Point, right: Point) -> Point:
    total = EccPoint(left.x, left.y, curve="p256") + EccPoint(right.x, right.y, curve="p256")
    assert not total.is_point_at_infinity()
    return Point(int(total.x), int(total.y))
