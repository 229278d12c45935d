"""The tree and its proofs: against a second implementation, against another program, and with all that is wrong."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tlog_scales.tlog import ConsistencyProof, InclusionProof

from hsm_app.errors import LogError
from hsm_app.tlog import merkle
from tests.tlog import trees

SIZES = [*range(1, 34), 63, 64, 65, 127, 128, 129, 255, 256, 257, 300]
LEAVES = [trees.entry(number) for number in range(300)]
READ = trees.reading(LEAVES)
ROOTS = [trees.mth(LEAVES[:size]) for size in range(301)]


def leaf(index: int) -> bytes:
    return merkle.leaf_hash(LEAVES[index])


def test_the_hash_of_nothing_is_the_root_of_an_empty_tree() -> None:
    assert merkle.EMPTY_ROOT.hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert merkle.root_of(0, READ) == merkle.EMPTY_ROOT


@pytest.mark.parametrize("size", SIZES)
def test_roots_and_inclusion_proofs_are_those_of_the_rfc(size: int) -> None:
    assert merkle.root_of(size, READ) == ROOTS[size]
    for index in {*range(min(size, 9)), size // 2, size - 1}:
        proof = merkle.inclusion_proof(index, size, READ)
        assert proof == trees.path(index, LEAVES[:size])
        merkle.verify_inclusion(leaf(index), index, size, proof, ROOTS[size])
        InclusionProof(index, size, proof).check(leaf(index), ROOTS[size])


@pytest.mark.parametrize("new", SIZES)
def test_consistency_proofs_are_those_of_the_rfc(new: int) -> None:
    for old in {*range(1, min(new, 9) + 1), new // 2 or 1, new - 1 or 1, new}:
        proof = merkle.consistency_proof(old, new, READ)
        assert proof == trees.proof(old, LEAVES[:new])
        merkle.verify_consistency(old, new, ROOTS[old], ROOTS[new], proof)
        ConsistencyProof(old, new, proof).check(ROOTS[old], ROOTS[new])


@given(st.data())
def test_no_other_leaf_index_size_hash_or_root_is_proved(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, 300))
    index = data.draw(st.integers(0, size - 1))
    proof = merkle.inclusion_proof(index, size, READ)
    merkle.verify_inclusion(leaf(index), index, size, proof, ROOTS[size])
    other = data.draw(st.integers(0, size - 1).filter(lambda drawn: drawn != index)) if size > 1 else None
    wrong: list[Callable[[], None]] = [
        lambda: merkle.verify_inclusion(merkle.leaf_hash(b"another"), index, size, proof, ROOTS[size]),
        lambda: merkle.verify_inclusion(leaf(index), index, size, [*proof, bytes(32)], ROOTS[size]),
        lambda: merkle.verify_inclusion(leaf(index), index, size, proof, hashlib.sha256(b"x").digest()),
        lambda: merkle.verify_inclusion(leaf(index), size, size, proof, ROOTS[size]),
        lambda: merkle.verify_inclusion(leaf(index), -1, size, proof, ROOTS[size]),
    ]
    if other is not None:
        wrong += [
            lambda: merkle.verify_inclusion(leaf(index), other, size, proof, ROOTS[size]),
            lambda: merkle.verify_inclusion(leaf(index), index, size, proof[:-1], ROOTS[size]),
            lambda: merkle.verify_inclusion(leaf(index), index, size, [b"short", *proof[1:]], ROOTS[size]),
        ]
    for attempt in wrong:
        with pytest.raises(LogError) as refused:
            attempt()
        assert refused.value.check == "inclusion"


@given(st.integers(1, 300).flatmap(lambda new: st.tuples(st.integers(0, new), st.just(new))), st.integers(0, 8))
def test_no_other_history_is_proved(sizes: tuple[int, int], place: int) -> None:
    old, new = sizes
    proof = merkle.consistency_proof(old, new, READ)
    merkle.verify_consistency(old, new, ROOTS[old], ROOTS[new], proof)
    forged = trees.mth([b"forged", *LEAVES[1:old]])
    wrong = [(ROOTS[old], ROOTS[new], [*proof, bytes(32)])]
    if old:
        wrong += [(forged, ROOTS[new], proof)]
    if 0 < old < new:
        changed = list(proof)
        changed[place % len(proof)] = bytes(32)
        wrong += [
            (ROOTS[old], ROOTS[old], proof),
            (ROOTS[old], ROOTS[new], proof[:-1]),
            (ROOTS[old], ROOTS[new], changed),
        ]
    for old_root, new_root, hashes in wrong:
        with pytest.raises(LogError) as refused:
            merkle.verify_consistency(old, new, old_root, new_root, hashes)
        assert refused.value.check == "consistency"


def test_thousands_of_random_sizes_are_those_of_the_rfc() -> None:
    """Roots and both proofs as the second implementation has them; each proves its own size and not the next one."""
    most = 50_000
    log, draw = trees.LongLog(most), Random(20261128)

    def read(level: int, index: int) -> bytes:
        return log.mth(index << level, (index + 1) << level)

    for _ in range(4_000):
        size = draw.randrange(1, most)
        index, old = draw.randrange(size), draw.randrange(1, size + 1)
        root, leaf_of, before = log.mth(0, size), merkle.leaf_hash(trees.entry(index)), log.mth(0, old)
        inclusion, consistency = merkle.inclusion_proof(index, size, read), merkle.consistency_proof(old, size, read)
        assert merkle.root_of(size, read) == root
        assert inclusion == log.path(index, 0, size)
        assert consistency == log.proof(old, 0, size)
        merkle.verify_inclusion(leaf_of, index, size, inclusion, root)
        merkle.verify_consistency(old, size, before, root, consistency)
        with pytest.raises(LogError):
            merkle.verify_inclusion(leaf_of, index, size, inclusion, log.mth(0, size + 1))
        with pytest.raises(LogError):
            merkle.verify_consistency(old, size, before, log.mth(0, size + 1), consistency)


@given(st.integers(1, 1 << 62), st.data())
def test_a_proof_of_any_size_is_bounded(size: int, data: st.DataObject) -> None:
    """Far beyond any log, with a tree whose every hash is the same: a witness takes 63 hashes and no more."""
    index, old = data.draw(st.integers(0, size - 1)), data.draw(st.integers(0, size))

    def read(level: int, _: int) -> bytes:
        hashed = merkle.leaf_hash(b"the same")
        for _ in range(level):
            hashed = merkle.node_hash(hashed, hashed)
        return hashed

    inclusion, consistency = merkle.inclusion_proof(index, size, read), merkle.consistency_proof(old, size, read)
    assert max(len(inclusion), len(consistency)) <= merkle.PROOF_LIMIT
    root = merkle.root_of(size, read)
    merkle.verify_inclusion(merkle.leaf_hash(b"the same"), index, size, inclusion, root)
    merkle.verify_consistency(old, size, merkle.root_of(old, read), root, consistency)


TRIVIAL = {
    "an empty tree with another root": (0, 5, bytes(32), ROOTS[5], []),
    "two roots of one size": (5, 5, ROOTS[5], ROOTS[6], []),
    "a smaller tree": (6, 5, ROOTS[6], ROOTS[5], []),
    "a proof for what needs none": (0, 5, ROOTS[0], ROOTS[5], [bytes(32)]),
    "two empty trees, one with another root": (0, 0, ROOTS[0], bytes(32), []),
    "a size beyond the limit": (5, 1 << 63, ROOTS[5], ROOTS[5], []),
    "more hashes than any tree needs": (5, 7, ROOTS[5], ROOTS[7], [bytes(32)] * 66),
}


@pytest.mark.parametrize(("old", "new", "first", "second", "proof"), TRIVIAL.values(), ids=TRIVIAL.keys())
def test_is_refused(old: int, new: int, first: bytes, second: bytes, proof: list[bytes]) -> None:
    with pytest.raises(LogError):
        merkle.verify_consistency(old, new, first, second, proof)


def test_who_makes_proofs_refuses_what_does_not_exist() -> None:
    for attempt in (
        lambda: merkle.inclusion_proof(5, 5, READ),
        lambda: merkle.inclusion_proof(-1, 5, READ),
        lambda: merkle.consistency_proof(6, 5, READ),
    ):
        with pytest.raises(LogError):
            attempt()
