"""Repair: a replica that missed votes, because it was down or has been replaced, is brought level with the others.

It compares its state tree with each peer's (`merkle.difference`), lists the rows of the buckets that differ, and looks
at those where the peer's accepted ballot is the higher one. What a majority of the group holds under one ballot is
chosen, and is installed here as the accept of that ballot (`consensus.level` says why that is safe): a vote of this
replica like any other, judged by the acceptor, durable and anchored. Everything else, a value that only a minority
holds or one that a promise of this replica stands against, goes through the register, which writes it to a majority
first (VAULT-REPAIR-MAJORITY-ONLY). A slot is never lowered and no promise is taken back (VAULT-REPAIR-NEVER-LOWERS);
a peer that lags is left to its own repair.

Serving comes first: after each batch the repair rests at least as long as the batch took, so it uses at most half of
what serving leaves, and slows down with the load. A peer whose answers are damaged is left out, and the log says so.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from hsm_app.consensus.acceptor import Accept
from hsm_app.consensus.ballot import Ballot, BallotSource
from hsm_app.consensus.level import chosen_ballot
from hsm_app.consensus.proposer import Reply
from hsm_app.errors import QuorumError, VaultError
from hsm_app.model import RecordId, ReplicaId
from hsm_app.replica.comparison import Comparison, Inquirer, parts
from hsm_app.replica.keeper import Question
from hsm_app.replica.register import Change, Register
from hsm_app.replica.repair_messages import (
    BUCKETS_LIMIT,
    HEADS,
    RECORDS_LIMIT,
    VALUES,
    decode_heads,
    decode_values,
    encode_records,
)
from hsm_app.replica.votes import VoteWorker

INTERVAL = 10.0  # seconds between two comparisons; a level replica costs its peers one hash each
SOONER = 2.0  # seconds after a comparison in which a peer was missing, as right after a start
PAUSE = 0.005  # seconds after each batch, at least
IN_FLIGHT = 0.25  # seconds after which a vote that a level replica has not cast yet is one that it missed
log = logging.getLogger(__name__)


@dataclass(slots=True, kw_only=True)
class RepairProgress:
    """How this replica stands. Counts are of records; `to_go` is an estimate while buckets are still unlisted."""

    is_level: bool = False  # the last comparison met a majority and left nothing to install
    to_go: int = 0
    installed: int = 0  # since the process started
    per_second: float = 0.0
    fault: str = ""


class Repair:
    """Brings one replica level. `others` are the other members of the group of `members`."""

    def __init__(
        self,
        others: Sequence[ReplicaId],
        *,
        members: int,
        peers: Inquirer,
        worker: VoteWorker,
        register: Register,
        ballots: BallotSource,
    ) -> None:
        """`ballots` is the register's own source: it learns of every ballot that is met, so that a write exceeds it."""
        self._others = others
        self._members = members
        self._peers = peers
        self._comparison = Comparison(peers, worker)
        self._worker = worker
        self._register = register
        self._ballots = ballots
        self.progress = RepairProgress()

    async def run(self) -> None:
        """Compare, and again after `INTERVAL`, until cancelled."""
        while True:
            await self.round()
            await asyncio.sleep(SOONER if self.progress.fault else INTERVAL)

    async def round(self) -> None:
        """Compare with every peer once, and install what is found missing."""
        compared, left = 0, 0
        for peer in self._others:
            try:
                left += await self._level_with(peer)
                compared += 1
            except VaultError as error:
                if not isinstance(error, QuorumError):  # a peer that is away is no news: its link says so
                    log.warning("no comparison with replica %d: %s", peer, error)
                self.progress.fault = f"replica {peer}: {error.what}"
        is_level = compared + 1 > self._members // 2 and left == 0
        if is_level and not self.progress.is_level:
            log.info("level with the others; %d records were installed", self.progress.installed)
        self.progress.is_level, self.progress.to_go = is_level, left
        if compared == len(self._others):
            self.progress.fault = ""

    async def _level_with(self, peer: ReplicaId) -> int:
        """Install what this replica lacks of one peer's rows; return how many records it could not."""
        buckets = await self._comparison.differing_buckets(peer)
        done = found = left = 0
        clock = asyncio.get_running_loop().time
        began = clock()
        for part in parts(buckets, BUCKETS_LIMIT):
            lagging = await self._missed(peer, part)
            found, done = found + len(lagging), done + len(part)
            for accepted in lagging.values():
                self._ballots.observe(accepted)
            for records in parts(sorted(lagging), RECORDS_LIMIT):
                batch_began = clock()
                left += await self._install(peer, {record: lagging[record] for record in records})
                self._tell(found, done, len(buckets), clock() - began)
                await asyncio.sleep(max(PAUSE, clock() - batch_began))
        return left

    async def _missed(self, peer: ReplicaId, buckets: Sequence[int]) -> dict[RecordId, Ballot]:
        """Return what a peer holds of these buckets and this replica lacks; what it is about to hear does not count."""
        lagging = await self._comparison.lagging(peer, buckets)
        if lagging and self.progress.is_level:
            await asyncio.sleep(IN_FLIGHT)
            lagging = await self._comparison.still_lagging(lagging)
        return lagging

    def _tell(self, found: int, done: int, buckets: int, seconds: float) -> None:
        """Note the progress: `found` lagging records in the first `done` of the buckets that differ."""
        self.progress.is_level = False
        self.progress.to_go = found * (buckets - done) // done
        self.progress.per_second = found / max(0.001, seconds)

    async def _install(self, peer: ReplicaId, heads: Mapping[RecordId, Ballot]) -> int:
        """Install records that a peer holds under these ballots; return how many of them could not be."""
        chosen = await self._chosen(list(heads))
        values = await self._values(peer, list(chosen))
        await self._vote(
            [
                Question(record, Accept(ballot=accepted, value=value, next=accepted))
                for record, (accepted, value) in values.items()
                if accepted == chosen[record]
            ]
        )
        left = 0
        for record in await self._comparison.still_lagging(heads):
            left += not await self._write_back(record)
        self.progress.installed += len(heads) - left
        return left

    async def _chosen(self, records: Sequence[RecordId]) -> dict[RecordId, Ballot]:
        """Ask all peers, and return the ballots under which a majority of the group holds the records."""
        asked = await asyncio.gather(*(self._heads(peer, records) for peer in self._others))
        heads = {peer: found for peer, found in zip(self._others, asked, strict=True) if found is not None}
        chosen = {}
        for record in records:
            ballot = chosen_ballot({peer: found[record] for peer, found in heads.items()}, self._members)
            if ballot is not None:
                chosen[record] = ballot
        return chosen

    async def _heads(self, peer: ReplicaId, records: Sequence[RecordId]) -> Mapping[RecordId, Ballot] | None:
        try:
            return decode_heads(await self._peers.inquire(peer, HEADS, encode_records(records)), records)
        except VaultError:
            return None  # not counted; a comparison with it says why

    async def _values(self, peer: ReplicaId, records: Sequence[RecordId]) -> dict[RecordId, tuple[Ballot, bytes]]:
        values: dict[RecordId, tuple[Ballot, bytes]] = {}
        rest = list(records)
        while rest:
            values |= decode_values(await self._peers.inquire(peer, VALUES, encode_records(rest)), rest)
            rest = [record for record in rest if record not in values]
        return values

    async def _vote(self, questions: Sequence[Question]) -> None:
        """Have this replica's acceptor judge the accepts; return when what it took is durable and anchored."""
        if questions:
            voted: asyncio.Future[list[Reply]] = asyncio.get_running_loop().create_future()
            self._worker.submit(questions, _handing_to(voted))
            await voted

    async def _write_back(self, record: RecordId) -> bool:
        """Write what the register holds to everyone once more, under a new ballot; say whether that was possible."""
        try:
            await self._register.update(record, _again)
        except QuorumError:
            return False
        return True


def _handing_to(voted: asyncio.Future[list[Reply]]) -> Callable[[list[Reply]], None]:
    def answer(replies: list[Reply]) -> None:
        if not voted.done():
            voted.set_result(replies)

    return answer


async def _again(value: bytes) -> Change[None]:
    """Leave the value as it is, and have it written all the same: also b"", over a value that was never chosen."""
    return Change(value, None)
