"""The descent finds exactly the buckets that differ, and asks for no more nodes than it has to."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hsm_app.errors import ProtocolError
from hsm_app.merkle.difference import differing_children
from hsm_app.merkle.tree import DEPTH, FAN_OUT, Tree

EMPTY = bytes(32)
buckets = st.dictionaries(st.integers(0, 65_535), st.sampled_from([b"a" * 32, b"b" * 32]), max_size=12)


def tree(of: dict[int, bytes]) -> Tree:
    made = Tree(EMPTY)
    made.update(of)
    return made


def descend(own: Tree, other: Tree) -> tuple[list[int], int]:
    """Return the differing buckets and how many nodes were asked about."""
    nodes, asked = [0] if own.root != other.root else [], 0
    for level in range(DEPTH):
        asked += len(nodes)
        hashes = [hashed for index in nodes for hashed in other.children(level, index)]
        nodes = differing_children(own, level, nodes, hashes)
    return nodes, asked


@given(buckets, buckets)
def test_exactly_the_differing_buckets_are_found(own: dict[int, bytes], other: dict[int, bytes]) -> None:
    found, asked = descend(tree(own), tree(other))
    differing = sorted(number for number in own.keys() | other.keys() if own.get(number) != other.get(number))
    assert found == differing
    assert asked <= DEPTH * len(differing)


def test_equal_trees_cost_nothing() -> None:
    assert descend(tree({7: b"a" * 32}), tree({7: b"a" * 32})) == ([], 0)


def test_too_few_hashes_are_no_answer() -> None:
    with pytest.raises(ProtocolError, match="15 hashes"):
        differing_children(tree({}), 0, [0], [EMPTY] * (FAN_OUT - 1))
