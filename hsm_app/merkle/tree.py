"""A tree of hashes over the 65,536 buckets: in memory, of fan-out 16, four levels of inner nodes above the buckets.

Level 0 is the root, level 4 the buckets. A node's hash is over the sixteen hashes below it and names its own level, so
no node can stand for one of another level. Changing a bucket costs four hashes of half a kilobyte. Two replicas that
differ in k buckets find them by asking for the children of at most 4k nodes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from hsm_app.merkle.rows import BUCKETS, HASH_LENGTH

FAN_OUT = 16
DEPTH = 4  # FAN_OUT ** DEPTH == BUCKETS: the level of the buckets
_LABEL = b"hsm-vault/node/v1\0"


def _parent(level: int, children: list[bytes]) -> bytes:
    return hashlib.sha256(_LABEL + bytes([level]) + b"".join(children)).digest()


class Tree:
    """One tree. It starts with the same hash in all buckets, which is that of an empty one."""

    def __init__(self, empty_bucket: bytes) -> None:
        self._levels = [[empty_bucket] * BUCKETS]
        for level in reversed(range(DEPTH)):
            node = _parent(level, self._levels[0][:FAN_OUT])
            self._levels.insert(0, [node] * FAN_OUT**level)

    @property
    def root(self) -> bytes:
        """The hash of everything."""
        return self._levels[0][0]

    def node(self, level: int, index: int) -> bytes:
        """Return one node's hash. `level` is 0 (the root) to 4 (the buckets), `index` below 16 ** level."""
        return self._levels[level][index]

    def children(self, level: int, index: int) -> list[bytes]:
        """Return the sixteen hashes below a node of level 0 to 3; the first one has the index 16 * index."""
        return self._levels[level + 1][FAN_OUT * index : FAN_OUT * (index + 1)]

    def update(self, changes: Mapping[int, bytes]) -> None:
        """Set the hashes of some buckets, by number."""
        buckets = self._levels[DEPTH]
        for number, changed in changes.items():
            if len(changed) != HASH_LENGTH or not 0 <= number < BUCKETS:
                raise ValueError("a bucket has a number below 65,536 and a hash of 32 bytes")
            buckets[number] = changed
        touched = set(changes)
        for level in reversed(range(DEPTH)):
            touched = {index // FAN_OUT for index in touched}
            nodes = self._levels[level]
            for index in touched:
                nodes[index] = _parent(level, self.children(level, index))
