"""What this replica answers to one that compares its rows with it: everything as anchored, nothing that is secret."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from hsm_app.errors import ProtocolError
from hsm_app.replica.keeper import VoteKeeper
from hsm_app.replica.repair_messages import (
    BUCKET_HEADS,
    CHILDREN,
    HEADS,
    ROOT,
    VALUES,
    decode_buckets,
    decode_nodes,
    decode_records,
    encode_bucket_heads,
    encode_heads,
    encode_values,
)
from hsm_app.replica.votes import VoteWorker

Handler = Callable[[bytes], Awaitable[bytes]]


class RepairAnswers:
    """Handlers of `repair_messages`, each one short job on the vote thread."""

    def __init__(self, worker: VoteWorker) -> None:
        self._worker = worker

    def handlers(self) -> dict[str, Handler]:
        """Return the answer to each inquiry by its name."""
        jobs = {ROOT: _root, CHILDREN: _children, BUCKET_HEADS: _bucket_heads, HEADS: _heads, VALUES: _values}
        return {name: self._handler(job) for name, job in jobs.items()}

    def _handler(self, job: Callable[[VoteKeeper, bytes], bytes]) -> Handler:
        return lambda body: self._worker.run(lambda keeper: job(keeper, body))


def _root(keeper: VoteKeeper, body: bytes) -> bytes:
    if body:
        raise ProtocolError("a root is asked for without a word")
    return keeper.state.root


def _children(keeper: VoteKeeper, body: bytes) -> bytes:
    level, indices = decode_nodes(body)
    return b"".join(hashed for index in indices for hashed in keeper.state.children(level, index))


def _bucket_heads(keeper: VoteKeeper, body: bytes) -> bytes:
    return encode_bucket_heads(keeper.slots(keeper.bucket(number)) for number in decode_buckets(body))


def _heads(keeper: VoteKeeper, body: bytes) -> bytes:
    records = decode_records(body)
    return encode_heads(records, keeper.slots(records))


def _values(keeper: VoteKeeper, body: bytes) -> bytes:
    records = decode_records(body)
    return encode_values(records, keeper.slots(records))
