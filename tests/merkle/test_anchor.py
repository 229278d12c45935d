"""The anchor's encoding: there and back, and nothing else is read."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hsm_app.errors import ProtocolError
from hsm_app.merkle.anchor import EMPTY_ROOT, NO_ROOT, AnchorState, anchored_root, first_anchor
from hsm_app.merkle.rows import EMPTY_BUCKET
from hsm_app.merkle.tree import Tree
from hsm_app.model import FleetId, ReplicaId

ANCHOR = AnchorState(
    fleet=FleetId("fleet-1"),
    group=2,
    replica=ReplicaId(3),
    incarnation=4,
    boot=5,
    epoch=6,
    counter=7,
    root=b"r" * 32,
    previous_root=b"p" * 32,
    manifest=b"m" * 32,
    root_of_trust=b"t" * 32,
)
hashes = st.binary(min_size=32, max_size=32)


@given(
    st.builds(
        AnchorState,
        version=st.just(1),
        fleet=st.text(max_size=60).map(FleetId),
        group=st.integers(0, 2**32 - 1),
        replica=st.integers(1, 255).map(ReplicaId),
        incarnation=st.integers(0, 2**32 - 1),
        boot=st.integers(0, 2**32 - 1),
        epoch=st.integers(0, 2**64 - 1),
        counter=st.integers(0, 2**64 - 1),
        root=hashes,
        previous_root=hashes,
        manifest=hashes,
        root_of_trust=hashes,
    )
)
def test_an_anchor_comes_back_from_its_bytes(anchor: AnchorState) -> None:
    assert AnchorState.from_bytes(anchor.to_bytes()) == anchor


@given(st.binary(max_size=300))
def test_any_bytes_are_an_anchor_in_its_one_encoding_or_a_protocol_error(data: bytes) -> None:
    with suppress(ProtocolError):
        assert AnchorState.from_bytes(data).to_bytes() == data


def test_an_anchor_cut_at_any_byte_is_none() -> None:
    content = ANCHOR.to_bytes()
    for length in range(len(content)):
        with pytest.raises(ProtocolError):
            AnchorState.from_bytes(content[:length])


NO_ANCHORS = {
    "a byte too many": ANCHOR.to_bytes() + b"x",
    "another version": replace(ANCHOR, version=2).to_bytes(),
    "another kind of record": b"x" + ANCHOR.to_bytes()[1:],
    "a name that is no text": ANCHOR.to_bytes()[:-1] + b"\xff",
    "nothing": b"",
}


@pytest.mark.parametrize("content", NO_ANCHORS.values(), ids=NO_ANCHORS.keys())
def test_is_no_anchor(content: bytes) -> None:
    with pytest.raises(ProtocolError):
        AnchorState.from_bytes(content)


def test_every_field_is_in_the_bytes() -> None:
    others = {"version": 2, "fleet": "fleet-2"}
    for field in fields(AnchorState):
        value = getattr(ANCHOR, field.name)
        changed = others.get(field.name, value + 1 if isinstance(value, int) else b"x" * 32)
        assert replace(ANCHOR, **{field.name: changed}).to_bytes() != ANCHOR.to_bytes(), field.name


def test_the_first_anchor_is_over_nothing() -> None:
    first = first_anchor(fleet=FleetId("f"), group=0, replica=ReplicaId(1), incarnation=1, epoch=1, manifest=b"m" * 32)
    assert (first.counter, first.boot, first.previous_root) == (0, 0, NO_ROOT)
    assert first.root == EMPTY_ROOT == anchored_root(Tree(EMPTY_BUCKET.state).root, Tree(EMPTY_BUCKET.promise).root)


def test_the_anchored_root_tells_the_two_trees_apart() -> None:
    assert anchored_root(b"a" * 32, b"b" * 32) != anchored_root(b"b" * 32, b"a" * 32)
