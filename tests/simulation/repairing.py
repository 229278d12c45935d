"""Repair in a run: the product's own, over links that lose inquiries and peers that end before they answer."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING

from hsm_app.errors import QuorumError
from hsm_app.model import ReplicaId
from hsm_app.replica.repair import Repair
from hsm_app.replica.repair_answers import RepairAnswers
from hsm_app.wire.inquiry import Inquiry, decode_inquiry, encode_inquiry
from tests.simulation.network import SILENCE, SimulatedPeer

if TYPE_CHECKING:
    from tests.simulation.process import Process


class SimulatedInquirer:
    """Asks the process that a link leads to, as long as there is one. Implements replica.comparison.Inquirer."""

    def __init__(self, own: Process, peers: Mapping[int, SimulatedPeer]) -> None:
        self._own = own
        self._peers = peers

    async def inquire(self, replica: ReplicaId, name: str, body: bytes) -> bytes:
        try:
            return await asyncio.wait_for(self._asked(replica, name, body), SILENCE)
        except TimeoutError:
            raise QuorumError("no answer came") from None

    async def _asked(self, replica: ReplicaId, name: str, body: bytes) -> bytes:
        there = self._peers[replica].linked
        if there is None:
            raise QuorumError("a replica is not connected")
        await self._carried(self._own, there)
        asked = decode_inquiry(encode_inquiry(Inquiry(1, name, body)))
        answer = await RepairAnswers(there.worker).handlers()[asked.name](asked.body)  # type: ignore[arg-type]
        await self._carried(there, self._own)
        return answer

    async def _carried(self, source: Process, target: Process) -> None:
        delays = source.network.fate(source.replica, target.replica)
        await asyncio.sleep(delays[0] if delays else 2 * SILENCE)
        if not target.is_alive:
            raise QuorumError("a replica has ended")


async def repairing(own: Process, peers: Mapping[int, SimulatedPeer], pause: float) -> None:
    """Compare with the others again and again, as a replica does for as long as it runs."""
    repair = Repair(
        [ReplicaId(other) for other in peers],
        members=len(own.members),
        peers=SimulatedInquirer(own, peers),
        worker=own.worker,  # type: ignore[arg-type]
        register=own.register,
        ballots=own.ballots,
    )
    while True:
        await asyncio.sleep(pause)
        await repair.round()
