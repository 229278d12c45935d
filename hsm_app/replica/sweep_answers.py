"""What a replica answers to the one that sweeps their epoch: see `sweep_messages` for the inquiries."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from hsm_app.consensus.sweep import Page
from hsm_app.errors import ProtocolError
from hsm_app.model import RecordId
from hsm_app.ports import TokenQueue
from hsm_app.replica.keeper import VoteKeeper
from hsm_app.replica.sweep_messages import (
    FENCE,
    PAGE,
    PAGE_ROWS,
    SIGN,
    check_epoch,
    decode_after,
    encode_epoch,
    encode_page,
)
from hsm_app.replica.sweep_progress import SweepPlace
from hsm_app.replica.votes import VoteWorker


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
