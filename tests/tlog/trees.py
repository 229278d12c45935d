"""RFC 9162 once more, written as the RFC defines it and as slowly: everything is computed from all the leaves."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from hsm_app.tlog.merkle import Read


def entry(number: int) -> bytes:
    return b"entry %d" % number


def mth(leaves: Sequence[bytes]) -> bytes:
    """MTH(D_n), section 2.1.1."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return hashlib.sha256(b"\x00" + leaves[0]).digest()
    k = split(len(leaves))
    return hashlib.sha256(b"\x01" + mth(leaves[:k]) + mth(leaves[k:])).digest()


def split(n: int) -> int:
    k = 1
    while 2 * k < n:
        k *= 2
    return k


def path(m: int, leaves: Sequence[bytes]) -> list[bytes]:
    """PATH(m, D_n), section 2.1.3.1."""
    if len(leaves) == 1:
        return []
    k = split(len(leaves))
    if m < k:
        return [*path(m, leaves[:k]), mth(leaves[k:])]
    return [*path(m - k, leaves[k:]), mth(leaves[:k])]


def proof(m: int, leaves: Sequence[bytes], is_whole: bool = True) -> list[bytes]:
    """PROOF(m, D_n) and SUBPROOF(m, D_n, b), section 2.1.4.1."""
    if m == len(leaves):
        return [] if is_whole else [mth(leaves)]
    k = split(len(leaves))
    if m <= k:
        return [*proof(m, leaves[:k], is_whole), mth(leaves[k:])]
    return [*proof(m - k, leaves[k:], False), mth(leaves[:k])]


def reading(leaves: Sequence[bytes]) -> Read:
    """Read hashes of complete subtrees straight from the leaves."""
    return lambda level, index: mth(leaves[index << level : (index + 1) << level])
