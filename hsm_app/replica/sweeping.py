"""The sweep: one replica brings everything chosen before its epoch to a majority of the epoch (design section 7).

In this order: the fence, a majority of the members reports that it has entered the epoch; then page after page of the
union of their listings (`consensus.sweep`); each record through the register, with the change that changes nothing:
prepared on a majority, and written back to one unless all who promised hold it alike; then the certificate, for which a
majority signs.

Which members list may differ from page to page: each page has to come from a majority, and every member that lists has
entered the epoch before, for it answers on links of the epoch only. So a member that dies costs nothing but its pages.

How far the sweep has come is written to a file after each page, once its records are done, and signed by the token
(`sweep_progress`). A crash repeats one page at the most; a file of another manifest, or none, means that nothing was
swept. The pace is bounded: a page at a time, `UNDER_WAY` records of it at once, a pause after each page.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol, TypeVar

from hsm_app.consensus.sweep import Page, merge_pages
from hsm_app.durable import replace_file
from hsm_app.errors import QuorumError, VaultError
from hsm_app.fleet.membership_certificate import SweepCertificate, check_signature
from hsm_app.model import RecordId, ReplicaId
from hsm_app.ports import TokenQueue
from hsm_app.replica.register import Change, Register
from hsm_app.replica.sweep_answers import SweepAnswers
from hsm_app.replica.sweep_messages import FENCE, PAGE, SIGN, check_epoch, decode_page, encode_epoch
from hsm_app.replica.sweep_progress import Progress, SweepPlace, progress_file, read_progress

UNDER_WAY = 128  # records at the same time: one anchor serves them, and serving goes on beside it
PAUSE = 0.02  # seconds after each page
TRIES = 20  # of a page or write that met no majority
TRY_PAUSE = 0.25  # seconds
T = TypeVar("T")


class Inquirer(Protocol):
    """Asks another member over a link of the epoch. VaultError when no answer comes."""

    async def inquire(self, replica: ReplicaId, name: str, body: bytes) -> bytes: ...


class Sweep:
    """The sweep of one epoch by this replica. `run` may be called again after an error: it goes on where it was."""

    def __init__(
        self,
        place: SweepPlace,
        answers: SweepAnswers,
        *,
        peers: Inquirer,
        register: Register,
        tokens: TokenQueue,
        path: Path,
    ) -> None:
        """`path` is where the progress is kept."""
        self._place = place
        self._tokens = tokens
        self._own_answers = answers.handlers()
        self._peers = peers
        self._register = register
        self._path = path
        self.progress: Progress | None = None  # what an earlier process left is read when it is needed

    async def run(self) -> None:
        """Sweep to the end. QuorumError when no majority can be had for long; StoreError when progress is not kept."""
        progress = self._read()
        if not progress.is_complete:
            await self._fence()
        while not progress.is_complete:
            progress = await self._sweep_page(progress)
            await self._keep(progress)
            await asyncio.sleep(PAUSE)

    async def certificate(self) -> SweepCertificate:
        """Have a majority sign. QuorumError unless the sweep is complete and a majority answers."""
        if not self._read().is_complete:
            raise QuorumError(f"the sweep of epoch {self._place.manifest.epoch} is not complete", "Sweep first")
        place, signed = self._place, self._place.statement()
        signatures = await self._ask(SIGN, encode_epoch(place.manifest.epoch))
        for replica, signature in signatures.items():
            check_signature(place.group, replica, signed, signature)
        return SweepCertificate(
            fleet=place.fleet,
            group=place.group.group,
            epoch=place.manifest.epoch,
            manifest=place.manifest.digest,
            signatures=tuple(sorted(signatures.items())),
        )

    async def _fence(self) -> None:
        for report in (await self._ask(FENCE, b"")).values():
            check_epoch(report, self._place.manifest.epoch)

    def _read(self) -> Progress:
        if self.progress is None:
            self.progress = read_progress(self._path, self._place)
        return self.progress

    async def _sweep_page(self, before: Progress) -> Progress:
        answers = await self._ask(PAGE, before.after or b"")
        pages: dict[int, Page] = {replica: decode_page(body) for replica, body in answers.items()}
        merged = merge_pages(pages, len(self._place.group.replicas))
        await self._settle(merged.records)
        return Progress(
            after=merged.reached or before.after,
            swept=before.swept + len(merged.records),
            is_complete=merged.reached is None,
        )

    async def _settle(self, records: Sequence[RecordId]) -> None:
        """Prepare each record on a majority, and write back to one what not all of it hold alike."""
        limit = asyncio.Semaphore(UNDER_WAY)

        async def settle(record: RecordId) -> None:
            async with limit:
                await _patiently(lambda: self._register.update(record, _unchanged))

        await asyncio.gather(*(settle(record) for record in records))

    async def _ask(self, name: str, body: bytes) -> Mapping[ReplicaId, bytes]:
        return await _patiently(lambda: self._ask_once(name, body))

    async def _ask_once(self, name: str, body: bytes) -> Mapping[ReplicaId, bytes]:
        """Ask every member, this replica too. QuorumError unless a majority answers."""
        members = [member.replica for member in self._place.group.replicas]
        heard = await asyncio.gather(*(self._answer(replica, name, body) for replica in members))
        answers = {replica: answer for replica, answer in zip(members, heard, strict=True) if answer is not None}
        if len(answers) < self._place.group.majority:
            raise QuorumError(
                f"{len(answers)} of the {len(members)} members of epoch {self._place.manifest.epoch} answer",
                "Let a majority enter the epoch, and sweep again: it goes on where it was",
            )
        return answers

    async def _answer(self, replica: ReplicaId, name: str, body: bytes) -> bytes | None:
        if replica == self._place.own:
            return await self._own_answers[name](body)
        try:
            return await self._peers.inquire(replica, name, body)
        except VaultError:
            return None  # its link says why in the log

    async def _keep(self, progress: Progress) -> None:
        """Make the progress durable. What it says was swept already is."""
        signed = self._place.progress_statement(progress)
        signature = await self._tokens.run(lambda token: token.sign(signed))
        replace_file(self._path, progress_file(self._place, progress, signature))
        self.progress = progress


async def _patiently(attempt: Callable[[], Awaitable[T]]) -> T:
    """Try until a majority answers, for some seconds."""
    for _ in range(TRIES - 1):
        try:
            return await attempt()
        except QuorumError:
            await asyncio.sleep(TRY_PAUSE)
    return await attempt()


async def _unchanged(_value: bytes) -> Change[None]:
    return Change(None, None)
