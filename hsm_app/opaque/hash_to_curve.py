"""Hashing to P-256: RFC 9380, suite P256_XMD:SHA-256_SSWU_RO_ (section 8.2), and hashing to its scalars.

Plain integers, so not constant time: what is hashed is the client's own password on the client's own machine.
"""

from __future__ import annotations

import hashlib

from hsm_app.opaque.group import A, B, N, P, Point, add

BLOCK, DIGEST = 64, 32  # s_in_bytes and b_in_bytes of SHA-256 (section 5.3.1)
L = 48  # ceil((256 + 128) / 8), section 5.1
Z = -10  # section 8.2
_SQRT = (P + 1) // 4  # p = 3 mod 4 (appendix I.1)


def expand_message_xmd(message: bytes, dst: bytes, length: int) -> bytes:
    """Return `length` uniform bytes (section 5.3.1). ValueError when that is more than 255 blocks or 65535 bytes."""
    blocks = -(-length // DIGEST)
    if blocks > 255 or length > 65535:
        raise ValueError("too many bytes asked for")
    if len(dst) > 255:  # section 5.3.3
        dst = hashlib.sha256(b"H2C-OVERSIZE-DST-" + dst).digest()
    dst_prime = dst + bytes((len(dst),))
    first = hashlib.sha256(bytes(BLOCK) + message + length.to_bytes(2, "big") + b"\0" + dst_prime).digest()
    block = hashlib.sha256(first + b"\x01" + dst_prime).digest()
    output = block
    for number in range(2, blocks + 1):
        mixed = bytes(left ^ right for left, right in zip(first, block, strict=True))
        block = hashlib.sha256(mixed + bytes((number,)) + dst_prime).digest()
        output += block
    return output[:length]


def hash_to_field(message: bytes, dst: bytes, count: int, modulus: int) -> list[int]:
    """Return `count` elements of the prime field (section 5.2)."""
    uniform = expand_message_xmd(message, dst, count * L)
    return [int.from_bytes(uniform[at : at + L], "big") % modulus for at in range(0, count * L, L)]


def hash_to_curve(message: bytes, dst: bytes) -> Point:
    """Return a point (section 3, random oracle). P-256 has cofactor 1, so nothing is cleared."""
    u0, u1 = hash_to_field(message, dst, 2, P)
    return add(map_to_curve(u0), map_to_curve(u1))


def hash_to_scalar(message: bytes, dst: bytes) -> int:
    """Return a scalar below N (RFC 9497 section 4.3)."""
    return hash_to_field(message, dst, 1, N)[0]


def map_to_curve(u: int) -> Point:
    """Simplified SWU for A*B != 0 (section 6.6.2)."""
    tv1 = (Z * Z * pow(u, 4, P) + Z * u * u) % P
    x1 = -B * pow(A, -1, P) * (1 + pow(tv1, -1, P)) % P if tv1 else B * pow(Z * A, -1, P) % P
    x, y = x1, pow(_curve(x1), _SQRT, P)
    if y * y % P != _curve(x1):
        x = Z * u * u * x1 % P
        y = pow(_curve(x), _SQRT, P)
    if (u & 1) != (y & 1):  # sgn0 (section 4.1)
        y = P - y
    return Point(x, y)


def _curve(x: int) -> int:
    return (x * x * x + A * x + B) % P
