"""The inquiries of a repair as bytes. All numbers are big-endian; ids have 32 bytes, packed ballots 20.

| name | asks with | is answered with |
|---|---|---|
| `tree-root` | nothing | the root of the state tree |
| `tree-children` | level (1), then indices (2 each) | sixteen hashes for each index |
| `bucket-heads` | numbers of buckets (2 each) | for the first of them: how many rows (4), id and ballot of each |
| `record-heads` | ids | the accepted ballot of each, ZERO where there is no row |
| `record-values` | ids | for the first of them: accepted ballot, length (4), value |

`bucket-heads` and `record-values` are answered for as many as fit, for one at least; the rest is asked for again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from struct import Struct

from hsm_app.consensus.acceptor import EMPTY, Slot
from hsm_app.consensus.ballot import BALLOT_LENGTH, Ballot
from hsm_app.errors import ProtocolError
from hsm_app.merkle.rows import BUCKETS, HASH_LENGTH, bucket_of
from hsm_app.merkle.tree import DEPTH, FAN_OUT
from hsm_app.model import RecordId
from hsm_app.wire.inquiry import BODY_LIMIT

ROOT, CHILDREN, BUCKET_HEADS = "tree-root", "tree-children", "bucket-heads"
HEADS, VALUES = "record-heads", "record-values"
NODES_LIMIT = 256  # 128 KiB of hashes
BUCKETS_LIMIT = 256
ROWS_LIMIT = 512  # of the buckets in one answer: some 10 ms of the vote thread, which serves meanwhile
RECORDS_LIMIT = 256
RECORD_LENGTH = 32
_COUNT = Struct(">I")
_HEAD = Struct(f">{RECORD_LENGTH}s{BALLOT_LENGTH}s")
_VALUE_HEAD = Struct(f">{BALLOT_LENGTH}sI")


def encode_nodes(level: int, indices: Iterable[int]) -> bytes:
    return bytes([level]) + b"".join(index.to_bytes(2, "big") for index in indices)


def decode_nodes(body: bytes) -> tuple[int, list[int]]:
    """Return the level and the indices. ProtocolError for nodes that no tree has."""
    indices = _numbers(body[1:], NODES_LIMIT)
    if not body or body[0] >= DEPTH or any(index >= FAN_OUT ** body[0] for index in indices):
        raise ProtocolError("a tree is asked about nodes that it has not")
    return body[0], indices


def decode_hashes(body: bytes) -> list[bytes]:
    return _pieces(body, HASH_LENGTH)


def encode_buckets(numbers: Iterable[int]) -> bytes:
    return b"".join(number.to_bytes(2, "big") for number in numbers)


def decode_buckets(body: bytes) -> list[int]:
    return _numbers(body, BUCKETS_LIMIT)


def encode_bucket_heads(buckets: Iterable[Mapping[RecordId, Slot]]) -> bytes:
    """List the first buckets, until there are `ROWS_LIMIT` rows; the others are not even read."""
    parts: list[bytes] = []
    rows = 0
    for slots in buckets:
        parts.append(_COUNT.pack(len(slots)))
        parts += [_HEAD.pack(record, slot.accepted.pack()) for record, slot in slots.items()]
        rows += len(slots)
        if rows >= ROWS_LIMIT:
            break
    return b"".join(parts)


def decode_bucket_heads(body: bytes, asked: Sequence[int]) -> tuple[int, dict[RecordId, Ballot]]:
    """Return of how many of the buckets, from the first on, the rows came, and their accepted ballots.

    ProtocolError unless it is one bucket at least, and all records lie in the buckets asked about.
    """
    heads: dict[RecordId, Ballot] = {}
    answered = at = 0
    for number in asked:
        end = at + _COUNT.size
        (count,) = _COUNT.unpack(_exactly(body[at:end], _COUNT.size))
        at = end + count * _HEAD.size
        for record, accepted in _HEAD.iter_unpack(_exactly(body[end:at], count * _HEAD.size)):
            if bucket_of(RecordId(record)) != number:
                raise ProtocolError("a row is listed in a bucket that it does not belong to")
            heads[RecordId(record)] = Ballot.unpack(accepted)
        answered += 1
        if at == len(body):
            break
    _exactly(body[at:], 0)
    return answered, heads


def encode_records(records: Iterable[RecordId]) -> bytes:
    return b"".join(records)


def decode_records(body: bytes) -> list[RecordId]:
    records = [RecordId(piece) for piece in _pieces(body, RECORD_LENGTH)]
    if len(records) > RECORDS_LIMIT:
        raise ProtocolError("too many records are asked about at once")
    return records


def encode_heads(records: Iterable[RecordId], slots: Mapping[RecordId, Slot]) -> bytes:
    return b"".join(slots.get(record, EMPTY).accepted.pack() for record in records)


def decode_heads(body: bytes, asked: Sequence[RecordId]) -> dict[RecordId, Ballot]:
    pieces = _pieces(_exactly(body, BALLOT_LENGTH * len(asked)), BALLOT_LENGTH)
    return {record: Ballot.unpack(piece) for record, piece in zip(asked, pieces, strict=True)}


def encode_values(records: Iterable[RecordId], slots: Mapping[RecordId, Slot]) -> bytes:
    body = b""
    for record in records:
        slot = slots.get(record, EMPTY)
        part = _VALUE_HEAD.pack(slot.accepted.pack(), len(slot.value)) + slot.value
        if len(body) + len(part) > BODY_LIMIT:
            break
        body += part
    return body


def decode_values(body: bytes, asked: Sequence[RecordId]) -> dict[RecordId, tuple[Ballot, bytes]]:
    """Return accepted ballot and value of the first records asked about, of at least one of them."""
    values: dict[RecordId, tuple[Ballot, bytes]] = {}
    at = 0
    for record in asked:
        if at == len(body) and values:
            break
        start = at + _VALUE_HEAD.size
        accepted, length = _VALUE_HEAD.unpack(_exactly(body[at:start], _VALUE_HEAD.size))
        at = start + length
        values[record] = Ballot.unpack(accepted), _exactly(body[start:at], length)
    _exactly(body[at:], 0)
    return values


def _numbers(body: bytes, limit: int) -> list[int]:
    numbers = [int.from_bytes(piece, "big") for piece in _pieces(body, 2)]
    if len(numbers) > limit or any(number >= BUCKETS for number in numbers):
        raise ProtocolError("too much is asked about at once")
    return numbers


def _pieces(body: bytes, length: int) -> list[bytes]:
    if len(body) % length:
        raise ProtocolError("a message of a repair is cut short")
    return [body[at : at + length] for at in range(0, len(body), length)]


def _exactly(piece: bytes, length: int) -> bytes:
    if len(piece) != length:
        raise ProtocolError("a message of a repair has another length than it says")
    return piece
