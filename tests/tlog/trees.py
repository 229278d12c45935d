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


class LongLog:
    """The same definitions for places of one long list of leaves; a subtree's hash is computed once, however often."""

    def __init__(self, length: int) -> None:
        self._leaves = [entry(number) for number in range(length)]
        self._hashes: dict[tuple[int, int], bytes] = {}

    def mth(self, first: int, end: int) -> bytes:
        if (first, end) not in self._hashes:
            self._hashes[first, end] = self._mth(first, end)
        return self._hashes[first, end]

    def path(self, m: int, first: int, end: int) -> list[bytes]:
        if end - first == 1:
            return []
        k = split(end - first)
        if m < k:
            return [*self.path(m, first, first + k), self.mth(first + k, end)]
        return [*self.path(m - k, first + k, end), self.mth(first, first + k)]

    def proof(self, m: int, first: int, end: int, is_whole: bool = True) -> list[bytes]:
        if m == end - first:
            return [] if is_whole else [self.mth(first, end)]
        k = split(end - first)
        if m <= k:
            return [*self.proof(m, first, first + k, is_whole), self.mth(first + k, end)]
        return [*self.proof(m - k, first + k, end, False), self.mth(first, first + k)]

    def _mth(self, first: int, end: int) -> bytes:
        if end - first < 2:
            return mth(self._leaves[first:end])
        k = split(end - first)
        return hashlib.sha256(b"\x01" + self.mth(first, first + k) + self.mth(first + k, end)).digest()
