"""Comparing this replica's rows with a peer's: from the roots of the state trees down to single records."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol, TypeVar

from hsm_app.consensus.acceptor import EMPTY
from hsm_app.consensus.ballot import Ballot
from hsm_app.merkle.difference import differing_children
from hsm_app.merkle.tree import DEPTH
from hsm_app.model import RecordId, ReplicaId
from hsm_app.replica.repair_messages import (
    BUCKET_HEADS,
    CHILDREN,
    NODES_LIMIT,
    ROOT,
    decode_bucket_heads,
    decode_hashes,
    encode_buckets,
    encode_nodes,
)
from hsm_app.replica.votes import VoteWorker

T = TypeVar("T")


class Inquirer(Protocol):
    """Asks another member over its link. VaultError when no answer comes."""

    async def inquire(self, replica: ReplicaId, name: str, body: bytes) -> bytes: ...


class Comparison:
    """Finds what peers hold and this replica does not."""

    def __init__(self, peers: Inquirer, worker: VoteWorker) -> None:
        self._peers = peers
        self._worker = worker

    async def differing_buckets(self, peer: ReplicaId) -> list[int]:
        """Return the buckets in which a peer holds something else. VaultError when it does not say."""
        theirs = await self._peers.inquire(peer, ROOT, b"")
        nodes = [0] if await self._worker.run(lambda keeper: keeper.state.root) != theirs else []
        for level in range(DEPTH):
            below: list[int] = []
            for part in parts(nodes, NODES_LIMIT):
                below += await self._differing_children(peer, level, part)
            nodes = below
        return nodes

    async def _differing_children(self, peer: ReplicaId, level: int, nodes: Sequence[int]) -> list[int]:
        hashes = decode_hashes(await self._peers.inquire(peer, CHILDREN, encode_nodes(level, nodes)))
        return await self._worker.run(lambda keeper: differing_children(keeper.state, level, nodes, hashes))

    async def lagging(self, peer: ReplicaId, buckets: Sequence[int]) -> dict[RecordId, Ballot]:
        """Return the records of some buckets whose accepted ballot is higher at the peer, and that ballot."""
        heads: dict[RecordId, Ballot] = {}
        rest = buckets
        while rest:
            body = await self._peers.inquire(peer, BUCKET_HEADS, encode_buckets(rest))
            answered, found = decode_bucket_heads(body, rest)
            heads |= found
            rest = rest[answered:]
        return await self.still_lagging(heads)

    async def still_lagging(self, heads: Mapping[RecordId, Ballot]) -> dict[RecordId, Ballot]:
        """Return those of `heads`, ballots accepted elsewhere, that are above what this replica has accepted by now."""
        own = await self._worker.run(lambda keeper: keeper.slots(heads))
        return {record: accepted for record, accepted in heads.items() if accepted > own.get(record, EMPTY).accepted}


def parts(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """Cut `items` into pieces of at most `size`."""
    return (items[at : at + size] for at in range(0, len(items), size))
