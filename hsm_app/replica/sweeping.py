"""The sweep: one replica brings everything chosen before its epoch to a majority of the epoch (design section 7).

In this order: the fence, a majority of the members reports that it has entered the epoch; then page after page of the
union of their listings (`consensus.sweep`); each record through the register, with the change that changes nothing:
prepared on a majority, and written back to one unless all who promised hold it alike; then the certificate, for which a
majority signs.

Which members list may differ from page to page: each page has to come from a majority, and every member that lists has
entered the epoch before, for it answers on links of the epoch only. So a member that dies costs nothing but its pages.

How far the sweep has come is written to a file after each page, once its records are done. A crash repeats
one page at the most; a file of another manifest, or none, means that nothing was swept. The disk is not trusted, so the
token signs each step of the progress (VAULT-SWEEP-PROGRESS-SIGNED): who writes "complete" there gets no certificate for
it. An older file that was signed claims less, and nothing false. The pace is bounded: a page at
a time, `UNDER_WAY` records at a time, a pause after each page.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

from hsm_app.consensus.sweep import Page, merge_pages
from hsm_app.epochs import replace_file
from hsm_app.errors import ConfigError, ProtocolError, QuorumError, VaultError
from hsm_app.fleet.manifest import Group, Manifest
from hsm_app.fleet.manifest_json import MAX_SAFE
from hsm_app.fleet.membership_certificate import SIGNATURE_BYTES, SweepCertificate, check_signature, statement
from hsm_app.fleet.strict_json import load_document
from hsm_app.model import FleetId, RecordId, ReplicaId, netstring
from hsm_app.ports import TokenQueue
from hsm_app.replica.keeper import VoteKeeper
from hsm_app.replica.register import Change, Register
from hsm_app.replica.sweep_messages import (
    FENCE,
    PAGE,
    PAGE_ROWS,
    SIGN,
    check_epoch,
    decode_after,
    decode_page,
    encode_epoch,
    encode_page,
)
from hsm_app.replica.votes import VoteWorker

UNDER_WAY = 128  # records at the same time: one anchor serves them, and serving goes on beside it
PAUSE = 0.02  # seconds after each page
TRIES = 20  # of a page or write that met no majority
TRY_PAUSE = 0.25  # seconds
SCHEMA = "hsm-vault/sweep-progress/v1"
T = TypeVar("T")


class Inquirer(Protocol):
    """Asks another member over a link of the epoch. VaultError when no answer comes."""

    async def inquire(self, replica: ReplicaId, name: str, body: bytes) -> bytes: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """`after`: the last id swept; `swept`: how many records."""

    after: RecordId | None = None
    swept: int = 0
    is_complete: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepPlace:
    """Whose epoch is swept: the manifest, the fleet and group in it, and this replica."""

    manifest: Manifest
    fleet: FleetId
    group: Group
    own: ReplicaId

    def progress_statement(self, progress: Progress) -> bytes:
        """Return what the token signs of a sweep's progress."""
        after = "" if progress.after is None else progress.after.hex()
        numbers = (self.own, self.group.group, self.manifest.epoch, progress.swept, int(progress.is_complete))
        texts = (SCHEMA, self.fleet, *map(str, map(int, numbers)), self.manifest.digest.hex(), after)
        return netstring(*texts).encode()

    def statement(self) -> bytes:
        return statement(
            fleet=self.fleet, group=self.group.group, epoch=self.manifest.epoch, manifest=self.manifest.digest
        )


class SweepAnswers:
    """What this replica answers to the one that sweeps: see `sweep_messages`."""

    def __init__(self, place: SweepPlace, worker: VoteWorker, tokens: TokenQueue) -> None:
        self._place = place
        self._worker = worker
        self._tokens = tokens

    def handlers(self) -> dict[str, Callable[[bytes], Awaitable[bytes]]]:
        """Return the answer to each inquiry by its name."""
        return {FENCE: self.fence, PAGE: self.page, SIGN: self.sign}

    async def fence(self, body: bytes) -> bytes:
        """Report the epoch that this replica has entered: the keeper anchored it before any link came up."""
        if body:
            raise ProtocolError("a fence report is asked for without a word")
        return encode_epoch(await self._worker.run(lambda keeper: keeper.epoch))

    async def page(self, body: bytes) -> bytes:
        after = decode_after(body)
        return encode_page(await self._worker.run(lambda keeper: list_page(keeper, after)))

    async def sign(self, body: bytes) -> bytes:
        """Sign that the sweep of the epoch is complete: `membership_certificate` says what the signature says."""
        check_epoch(body, self._place.manifest.epoch)
        check_epoch(await self.fence(b""), self._place.manifest.epoch)
        signed = self._place.statement()
        return await self._tokens.run(lambda token: token.sign(signed))


def list_page(keeper: VoteKeeper, after: RecordId | None) -> Page:
    """List the rows behind `after`, as anchored."""
    records = keeper.records(after, PAGE_ROWS)
    return Page(records=records, is_last=len(records) < PAGE_ROWS)


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
        """Sweep to the end. QuorumError when no majority can be had for long; ConfigError when progress is not kept."""
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
        document = {
            "schema": SCHEMA,
            "manifest_sha256": self._place.manifest.digest.hex(),
            "after": None if progress.after is None else progress.after.hex(),
            "swept": progress.swept,
            "is_complete": int(progress.is_complete),
            "signature": signature.hex(),
        }
        replace_file(self._path, json.dumps(document, indent=1).encode() + b"\n")
        self.progress = progress


def read_progress(path: Path, place: SweepPlace) -> Progress:
    """Read how far this replica has swept. ConfigError for a file that is damaged, or that its token did not sign."""
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return Progress()
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}", "Remove it: the sweep then begins anew") from error
    of = load_document(raw, str(path), 4096).members(
        "schema", "manifest_sha256", "after", "swept", "is_complete", "signature"
    )
    of("schema").one_of({SCHEMA: SCHEMA})
    if of("manifest_sha256").hexadecimal(32) != place.manifest.digest:
        return Progress()
    progress = Progress(
        after=of("after").optional(lambda node: RecordId(node.hexadecimal(32))),
        swept=of("swept").integer(0, MAX_SAFE),
        is_complete=of("is_complete").integer(0, 1) == 1,
    )
    signature = of("signature").hexadecimal(SIGNATURE_BYTES)
    try:
        check_signature(place.group, place.own, place.progress_statement(progress), signature)
    except ConfigError as error:
        raise ConfigError(f"{path} was not written by this replica", "Remove it: the sweep then begins anew") from error
    return progress


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
