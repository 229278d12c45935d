"""Directed schedules: runs whose faults are laid out by hand, where chance would need too long to meet them.

The world and its checks are the same; only the story is fixed, or, in `NewcomersDie`, a part of it.
"""

from __future__ import annotations

import asyncio

from tests.simulation.network import Weather
from tests.simulation.people import Device
from tests.simulation.process import Process
from tests.simulation.replacement import ReplacedTwice
from tests.simulation.world import World

CALM = Weather(is_sealed=False, lost=0.0, repeated=0.0, told=1.0, delay=0.001)


class ForgottenBallots(World):
    """Replica 1 proposes faster than its own disk writes, dies, and comes back not knowing its last ballots.

    Three replicas. Under ballot m - 1, replicas 2 and 3 accept a value and promise m; under m only replica 2 accepts
    the next value. Replica 1 is killed before its own disk has either. It starts again and asks while the others cannot
    hear it, so that it learns no ballot but the m - 1 that its own disk had promised; then replica 3 hears it again. If
    it now makes m once more, and replica 3, which has promised m, promises m again, two values stand under m.
    """

    def __init__(self) -> None:
        super().__init__(0, size=3)
        self.network.weather = CALM
        self.answers_lost = 0.0

    def disk_pause(self, is_slow: bool) -> float:
        return 5.0 if is_slow else 0.001

    def pick_process(self, route: int) -> Process | None:
        return self.hosts[1].process

    async def _story(self) -> None:
        for host in self.hosts.values():
            host.start()
        await asyncio.sleep(1.0)
        device, first = Device(self, self.accounts[0], "somebody", 1), self.hosts[1]
        await device.register(signs=False)
        await asyncio.sleep(1.0)
        first.is_slow = True
        await device.look()
        self.network.cut = {(1, 3)}
        charging = asyncio.ensure_future(device.recover(knows=False, finishes=False))
        await asyncio.sleep(0.3)
        first.stop()
        await charging
        self.network.cut, first.is_slow = set(), False
        first.start()
        self.network.cut = {(1, 2), (1, 3)}
        await device.look()
        self.network.cut = {(1, 2)}
        await device.recover(knows=False, finishes=False)
        self.checked(self.ledger.check_registers)


class NewcomersDie(World):
    """Any run of the seed's, in which a replica is replaced, and then what came in its place."""

    replacement = ReplacedTwice


SCHEDULES: tuple[type[World], ...] = (ForgottenBallots,)
