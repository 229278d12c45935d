"""The trees and the row digests, against a second implementation that hashes everything anew each time."""

from __future__ import annotations

import hashlib
import random

import pytest

from hsm_app.merkle.rows import BUCKETS, EMPTY_BUCKET, RowDigests, bucket_hashes, bucket_of, row_digests
from hsm_app.merkle.tree import DEPTH, FAN_OUT, Tree
from hsm_app.model import RecordId

EMPTY = EMPTY_BUCKET.state


def sha(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def whole_tree(buckets: dict[int, bytes]) -> list[list[bytes]]:
    """All levels, root first, from scratch."""
    levels = [[buckets.get(number, EMPTY) for number in range(65_536)]]
    for level in (3, 2, 1, 0):
        below = levels[0]
        levels.insert(
            0,
            [
                sha(b"hsm-vault/node/v1\0" + bytes([level]) + b"".join(below[16 * i : 16 * i + 16]))
                for i in range(16**level)
            ],
        )
    return levels


def test_the_tree_is_the_one_that_hashing_everything_gives() -> None:
    random_numbers = random.Random(3)
    tree, buckets = Tree(EMPTY), dict[int, bytes]()
    for _ in range(4):
        changes = {random_numbers.randrange(BUCKETS): random_numbers.randbytes(32) for _ in range(50)}
        tree.update(changes)
        buckets |= changes
        levels = whole_tree(buckets)
        assert tree.root == levels[0][0]
        for level in range(DEPTH + 1):
            for index in random_numbers.sample(range(16**level), min(16**level, 40)):
                assert tree.node(level, index) == levels[level][index]
                if level < DEPTH:
                    assert tree.children(level, index) == levels[level + 1][16 * index : 16 * index + 16]


def test_an_empty_tree_has_one_root_and_a_tree_emptied_again_has_it_too() -> None:
    tree = Tree(EMPTY)
    empty_root = tree.root
    tree.update({7: bytes(32)})
    assert tree.root != empty_root
    tree.update({7: EMPTY})
    assert tree.root == empty_root == whole_tree({})[0][0]


def test_two_buckets_exchanged_are_another_tree() -> None:
    one, other = Tree(EMPTY), Tree(EMPTY)
    one.update({1: sha(b"a"), 2: sha(b"b")})
    other.update({1: sha(b"b"), 2: sha(b"a")})
    assert one.root != other.root


@pytest.mark.parametrize("change", [{-1: bytes(32)}, {BUCKETS: bytes(32)}, {0: b"short"}])
def test_a_bucket_that_is_none_is_refused(change: dict[int, bytes]) -> None:
    tree = Tree(EMPTY)
    root = tree.root
    with pytest.raises(ValueError, match="65,536"):
        tree.update(change)
    assert tree.root == root


def test_the_tree_reaches_every_bucket() -> None:
    assert FAN_OUT**DEPTH == BUCKETS
    assert bucket_of(RecordId(bytes(32))) == 0
    assert bucket_of(RecordId(b"\xff" * 32)) == BUCKETS - 1
    assert bucket_of(RecordId(b"\x01\x02" + bytes(30))) == 0x0102


# -- rows

RECORD = RecordId(bytes(range(32)))
ROW = {"promised": b"p" * 20, "accepted": b"a" * 20, "value": b"v" * 50}


def test_row_digests_are_as_written_down() -> None:
    digests = row_digests(RECORD, **ROW)
    assert digests.state == sha(b"hsm-vault/row-state/v1\0" + RECORD + b"a" * 20 + sha(b"v" * 50))
    assert digests.promise == sha(b"hsm-vault/row-promise/v1\0" + RECORD + b"p" * 20)


@pytest.mark.parametrize(
    ("field", "changes"),
    {"promised": (False, True), "accepted": (True, False), "value": (True, False)}.items(),
)
def test_every_field_of_a_row_is_in_one_of_its_digests(field: str, changes: tuple[bool, bool]) -> None:
    before = row_digests(RECORD, **ROW)
    after = row_digests(RECORD, **{**ROW, field: b"x" * len(ROW[field])})
    assert (before.state != after.state, before.promise != after.promise) == changes


def test_a_row_of_another_record_has_other_digests() -> None:
    other = row_digests(RecordId(bytes(32)), **ROW)
    assert not set(other) & set(row_digests(RECORD, **ROW))


def test_a_bucket_hash_knows_its_rows_and_not_their_order() -> None:
    rows = {RecordId(bytes(31) + bytes([n])): RowDigests(sha(b"s%d" % n), sha(b"p%d" % n)) for n in range(5)}
    backwards = dict(reversed(rows.items()))
    assert bucket_hashes(rows) == bucket_hashes(backwards)
    (first, a), (second, b), *_ = rows.items()
    swapped = {**rows, first: b, second: a}
    fewer = {record: digests for record, digests in rows.items() if record != first}
    promised = {**rows, first: RowDigests(a.state, sha(b"later"))}
    assert len({bucket_hashes(some) for some in (rows, swapped, fewer, promised, {})}) == 5
    assert bucket_hashes(promised).state == bucket_hashes(rows).state  # a promise does not show in the state tree
