"""What the operator may ask of a replica about the epoch it is in: a report, the sweep, the certificate."""

from __future__ import annotations

import asyncio

from hsm_app.errors import VaultError
from hsm_app.replica.sweep_progress import Progress, SweepPlace
from hsm_app.replica.sweeping import Sweep
from hsm_app.wire.operator_bodies import FAULT_LIMIT, EpochReport


class EpochDesk:
    """One epoch's. `sweep` is begun when it is asked for and not before, and goes on by itself then."""

    def __init__(self, place: SweepPlace, sweep: Sweep) -> None:
        self._place = place
        self._sweep = sweep
        self._running: asyncio.Task[None] | None = None
        self._fault = ""

    def report(self) -> EpochReport:
        """Say where this replica stands."""
        progress = self._sweep.progress or Progress()
        return EpochReport(
            replica=self._place.own,
            epoch=self._place.manifest.epoch,
            manifest=self._place.manifest.digest,
            is_sweeping=self._running is not None,
            is_swept=progress.is_complete,
            swept=progress.swept,
            fault=self._fault,
        )

    def begin(self) -> None:
        """Begin to sweep, or go on with it. Nothing happens when that is under way."""
        if self._running is None:
            self._fault = ""
            self._running = asyncio.get_running_loop().create_task(self._run())

    async def certificate(self) -> bytes:
        """Return the certificate's file. QuorumError unless the sweep is complete and a majority signs."""
        return (await self._sweep.certificate()).to_bytes()

    def close(self) -> None:
        """Stop sweeping; what was swept is remembered."""
        if self._running is not None:
            self._running.cancel()

    async def _run(self) -> None:
        try:
            await self._sweep.run()
        except VaultError as error:
            self._fault = str(error).encode()[:FAULT_LIMIT].decode(errors="ignore")
        finally:
            self._running = None
