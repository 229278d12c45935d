"""A replica is replaced in the middle of a run, by the five steps of design section 7, whatever else goes wrong.

The operator takes one replica out of the group (epoch + 1), waits for the fence, sweeps page by page through the real
`consensus.sweep` and register, and adds the same number back with a fresh disk, token and incarnation (epoch + 2). Each
replica enters an epoch by starting under it, as `VoteKeeper.open` anchors it; until then it goes on in the old one, and
so does the one that was taken out, for as long as it likes. The certificate stands for the end of the sweep: its own
rules are pure, and tested in `tests/fleet`.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from hsm_app.consensus.sweep import MergedPage, Page, merge_pages
from hsm_app.errors import ProtocolError
from hsm_app.model import RecordId
from hsm_app.replica.register import Change
from tests.simulation.faults import Faults
from tests.simulation.process import Host, Process

if TYPE_CHECKING:
    from tests.simulation.world import Epoch, World

PAGE_ROWS = 1
PAUSE = 0.1  # seconds between looks
CONFUSED = 0.05  # of all listings: a member of another version sends nonsense


class Replacement:
    """One replacement, of a run that may have one."""

    likely = 0.4

    def __init__(self, world: World, faults: Faults) -> None:
        self._world = world
        self._random = world.random
        self._faults = faults

    async def run(self) -> None:
        """Replace a replica, patiently."""
        world = self._world
        await asyncio.sleep(self._random.choice([0.5, 2.0, 6.0]))
        leaving = self._faults.take_victim()
        without = await self._take_out(leaving)
        after = world.next_epoch(without.members | {leaving: world.hosts[leaving].incarnation + 1})
        self._install(leaving, after)
        await self._enter(without, after)
        world.log(f"replica {leaving} is replaced")

    async def _take_out(self, leaving: int) -> Epoch:
        """Go on without a replica, and sweep; return the epoch without it."""
        world, before = self._world, self._world.epoch
        world.log(f"replica {leaving} is to be replaced")
        without = world.next_epoch({member: at for member, at in before.members.items() if member != leaving})
        await self._enter(before, without)
        await self._sweep(without)
        return without

    def _install(self, replica: int, epoch: Epoch) -> None:
        world = self._world
        world.retired.append(world.hosts[replica])
        world.hosts[replica] = Host(world, replica, epoch.members[replica], epoch)
        self._faults.take_over(world.hosts[replica])

    async def _enter(self, before: Epoch, epoch: Epoch) -> None:
        """Let every member start under the epoch, each in its own time; return when a majority has."""
        world = self._world
        for replica in before.members.keys() & epoch.members.keys():
            world.background.append(asyncio.ensure_future(self._lead(world.hosts[replica], before, epoch)))
        while len(world.entered(epoch)) < epoch.majority:
            await asyncio.sleep(PAUSE)

    async def _lead(self, host: Host, before: Epoch, epoch: Epoch) -> None:
        await asyncio.sleep(self._random.choice([0.0, 0.5, 3.0]))
        while host.process is None or host.process.epoch is not before:
            await asyncio.sleep(PAUSE)
        host.epoch, host.follows = epoch, before.digest
        host.stop()

    async def _sweep(self, epoch: Epoch) -> None:
        after: RecordId | None = None
        while True:
            page = self._page(epoch, after)
            if page is not None:
                for record in page.records:
                    await self._settle(epoch, record)
                if page.reached is None:
                    return
                after = page.reached
            await asyncio.sleep(PAUSE)

    def _page(self, epoch: Epoch, after: RecordId | None) -> MergedPage | None:
        """Merge one page of each of a majority, or of too few. None when it was refused."""
        there = self._world.entered(epoch)
        asked = self._random.sample(there, min(len(there), epoch.majority))
        try:
            return merge_pages({process.replica: self._listed(process, after) for process in asked}, len(epoch.members))
        except ProtocolError:
            return None

    def _listed(self, process: Process, after: RecordId | None) -> Page:
        records = process.keeper.records(after, PAGE_ROWS)
        if self._random.random() < CONFUSED:
            return self._random.choice([Page(records=[], is_last=False), Page(records=records * 2, is_last=True)])
        return Page(records=records, is_last=len(records) < PAGE_ROWS)

    async def _settle(self, epoch: Epoch, record: RecordId) -> None:
        """Send a record through the register with the change that changes nothing, until that succeeds."""
        while True:
            there = self._world.entered(epoch)
            if there:
                process = self._random.choice(there)
                self._world.log(f"replica {process.replica} sweeps a record")
                settling = process.spawn(process.register.update(record, _unchanged))
                await asyncio.wait([settling])
                if not settling.cancelled() and settling.exception() is None:
                    return
            await asyncio.sleep(PAUSE)


class ReplacedTwice(Replacement):
    """The newcomer dies too, at once or some time after: its epoch is finished all the same, and another one comes.

    In half of the runs nothing was ever installed in its place, and who was removed first runs on in its old epoch.
    """

    likely = 1.0

    async def run(self) -> None:
        world = self._world
        await asyncio.sleep(self._random.choice([0.5, 2.0]))
        leaving = self._faults.take_victim()
        incarnation = world.hosts[leaving].incarnation
        for number in (1, 2):
            without = await self._take_out(leaving)
            after = world.next_epoch(without.members | {leaving: incarnation + number})
            if number == 2 or self._random.random() < 0.5:
                self._install(leaving, after)
            await self._enter(without, after)
            await asyncio.sleep(self._random.choice([0.0, 1.0]))
        world.log(f"replica {leaving} is replaced twice")


async def _unchanged(_value: bytes) -> Change[None]:
    return Change(None, None)
