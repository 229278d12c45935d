"""RFC 9162's Merkle tree over SHA-256: roots, inclusion and consistency proofs, and their verification.

Who makes a proof reads hashes of complete subtrees: `read(level, index)` returns MTH of the 2^level leaves from
index * 2^level on. So a proof over n leaves reads about log2(n) hashes, and never a leaf that it is not about.
Who verifies one needs its numbers, its hashes and a root. Every refusal is a LogError that names the check.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence

from hsm_app.errors import LogError

HASH = 32  # bytes
SIZE_LIMIT = (1 << 63) - 1  # leaves
PROOF_LIMIT = 63  # hashes
EMPTY_ROOT = hashlib.sha256(b"").digest()
Read = Callable[[int, int], bytes]


def leaf_hash(data: bytes) -> bytes:
    """Return the hash of a leaf's data (RFC 9162 section 2.1.1)."""
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of an inner node (RFC 9162 section 2.1.1)."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def root_of(size: int, read: Read) -> bytes:
    """Return the root of the first `size` leaves (RFC 9162 section 2.1.1)."""
    return _range_hash(0, size, read) if size else EMPTY_ROOT


def inclusion_proof(index: int, size: int, read: Read) -> list[bytes]:
    """Return the proof that leaf `index` is one of the first `size`, its sibling first (RFC 9162 section 2.1.3.1)."""
    if not 0 <= index < size:
        raise LogError("inclusion", f"leaf {index} is not among the first {size}")
    start, end, proof = 0, size, list[bytes]()
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            proof.append(_range_hash(middle, end, read))
            end = middle
        else:
            proof.append(_range_hash(start, middle, read))
            start = middle
    return proof[::-1]


def consistency_proof(old: int, new: int, read: Read) -> list[bytes]:
    """Return the proof that the first `old` leaves begin the first `new` (RFC 9162 section 2.1.4.1)."""
    if not 0 <= old <= new:
        raise LogError("consistency", f"a tree of {new} leaves cannot continue one of {old}")
    if old in (0, new):
        return []
    start, end, proof, is_whole = 0, new, list[bytes](), True
    while end != old:
        middle = start + _split(end - start)
        if old <= middle:
            proof.append(_range_hash(middle, end, read))
            end = middle
        else:
            proof.append(_range_hash(start, middle, read))
            start, is_whole = middle, False
    if not is_whole:
        proof.append(_range_hash(start, end, read))
    return proof[::-1]


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> None:
    """LogError unless the proof leads from the leaf's hash to the root (RFC 9162 section 2.1.3.2)."""
    if not 0 <= index < size <= SIZE_LIMIT:
        raise LogError("inclusion", f"leaf {index} is not among the first {size}")
    _check_hashes("inclusion", [leaf, *proof, root])
    position, last, computed = index, size - 1, leaf
    for sibling in proof:
        if not last:
            raise LogError("inclusion", "the inclusion proof is too long")
        if position & 1 or position == last:
            computed = node_hash(sibling, computed)
            while not position & 1 and position:
                position, last = position >> 1, last >> 1
        else:
            computed = node_hash(computed, sibling)
        position, last = position >> 1, last >> 1
    if last:
        raise LogError("inclusion", "the inclusion proof is too short")
    if computed != root:
        raise LogError("inclusion", "the inclusion proof does not lead to the root of the checkpoint")


def verify_consistency(old: int, new: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]) -> None:
    """LogError unless the tree of `new` leaves continues the one of `old` (RFC 9162 section 2.1.4.2)."""
    if not 0 <= old <= new <= SIZE_LIMIT:
        raise LogError("consistency", f"a tree of {new} leaves cannot continue one of {old}")
    _check_hashes("consistency", [*proof, old_root, new_root])
    if old in (0, new):
        _verify_trivial(old, new, old_root, new_root, proof)
        return
    # A complete old tree is itself the first hash, and is left out of the proof.
    hashes = iter([old_root, *proof] if old & (old - 1) == 0 else proof)
    position, last = old - 1, new - 1
    while position & 1:
        position, last = position >> 1, last >> 1
    seed = _next(hashes)
    first = second = seed
    while last:
        sibling = _next(hashes)
        if position & 1 or position == last:
            first, second = node_hash(sibling, first), node_hash(sibling, second)
            while not position & 1 and position:
                position, last = position >> 1, last >> 1
        else:
            second = node_hash(second, sibling)
        position, last = position >> 1, last >> 1
    if next(hashes, None) is not None:
        raise LogError("consistency", "the consistency proof is too long")
    if (first, second) != (old_root, new_root):
        raise LogError("consistency", "the log does not continue what it was: its history was changed")


def _verify_trivial(old: int, new: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]) -> None:
    if proof:
        raise LogError("consistency", "the consistency proof is too long")
    for size, root in ((old, old_root), (new, new_root)):
        if size == 0 and root != EMPTY_ROOT:
            raise LogError("consistency", "an empty log has another root than the hash of nothing")
    if old == new and old_root != new_root:
        raise LogError("consistency", "one size of the log has two roots: its history was changed")


def _next(hashes: Iterator[bytes]) -> bytes:
    for one in hashes:
        return one
    raise LogError("consistency", "the consistency proof is too short")


def _check_hashes(check: str, hashes: Sequence[bytes]) -> None:
    if len(hashes) > PROOF_LIMIT + 2 or any(len(one) != HASH for one in hashes):
        raise LogError(check, "a proof has too many hashes, or one that has not 32 bytes")


def _split(size: int) -> int:
    """Return the largest power of two below `size`."""
    return 1 << (size - 1).bit_length() - 1


def _range_hash(start: int, end: int, read: Read) -> bytes:
    """Return MTH of the leaves from `start` to before `end`; `start` is a multiple of a power of two above the size."""
    level = (end - start).bit_length() - 1
    if end - start == 1 << level:
        return read(level, start >> level)
    middle = start + _split(end - start)
    return node_hash(_range_hash(start, middle, read), _range_hash(middle, end, read))
