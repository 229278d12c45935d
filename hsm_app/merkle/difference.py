"""Where two trees differ: the descent from their roots to the buckets, one level at a time.

The other tree is elsewhere, so its hashes are arguments: the sixteen children of each node asked for. k differing
buckets are found by asking about at most k nodes of each level, 1 + 3k in all, whatever the size of the trees.
"""

from __future__ import annotations

from collections.abc import Sequence

from hsm_app.errors import ProtocolError
from hsm_app.merkle.tree import FAN_OUT, Tree


def differing_children(own: Tree, level: int, asked: Sequence[int], theirs: Sequence[bytes]) -> list[int]:
    """Return the indices, on the level below, of the children of the nodes `asked` that differ.

    `theirs` has sixteen hashes for each of `asked`, in that order; `level` is 0 to 3. ProtocolError for another number.
    """
    if len(theirs) != FAN_OUT * len(asked):
        raise ProtocolError(f"{len(asked)} nodes were asked about, and {len(theirs)} hashes came")
    indices = [FAN_OUT * index + place for index in asked for place in range(FAN_OUT)]
    return [index for index, hashed in zip(indices, theirs, strict=True) if own.node(level + 1, index) != hashed]
