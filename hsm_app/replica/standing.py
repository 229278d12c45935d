"""How this replica stands: what `fleet status` shows of it."""

from __future__ import annotations

from hsm_app.fleet.manifest import Replica
from hsm_app.replica.register import Register
from hsm_app.replica.repair import Repair
from hsm_app.replica.votes import VoteWorker
from hsm_app.wire.operator_status import FAULT_LIMIT, StatusReport


class Standing:
    """Gathers what the parts of one epoch's program count."""

    def __init__(
        self, epoch: int, member: Replica, boot: int, worker: VoteWorker, register: Register, repair: Repair
    ) -> None:
        self._epoch = epoch
        self._member = member
        self._boot = boot
        self._worker = worker
        self._register = register
        self._repair = repair

    async def report(self) -> StatusReport:
        votes, rounds, repair = self._worker.stats, self._register.stats, self._repair.progress
        return StatusReport(
            replica=self._member.replica,
            epoch=self._epoch,
            incarnation=self._member.incarnation,
            boot=self._boot,
            records=await self._worker.run(lambda keeper: keeper.count()),
            is_level=repair.is_level,
            to_go=repair.to_go,
            installed=repair.installed,
            per_second=round(repair.per_second),
            fault=repair.fault.encode()[:FAULT_LIMIT].decode(errors="ignore"),
            votes=votes.votes,
            anchors=votes.anchors,
            one_round=rounds.one_round,
            two_rounds=rounds.two_rounds,
            more_rounds=rounds.more_rounds,
            conflicts=rounds.conflicts,
            quorum_errors=rounds.quorum_errors,
        )
