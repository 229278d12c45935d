"""One run: the crowd lives while round after round of faults passes; then everything is mended and looked at.

Found is: a promise to a client that was broken (`ledger`), an answer without a majority, a refusal or a recovery that
takes too long, a process that ended by itself or in another way than its fault explains, and a log that shows a bug.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from pathlib import Path

from hsm_app.errors import Denied, QuorumError, VaultError
from people import World
from tests.chaos.crowd import Owner, Siege
from tests.chaos.device import Device, Line, Tally
from tests.chaos.ledger import Broken
from tests.chaos.report import Story
from tests.chaos.schedule import Fault, Kind, Round, rounds
from tests.chaos.site import Site

REFUSED_SECONDS = 20.0  # the relay's patience of 15 s, and a loaded machine
BACK_SECONDS = 30.0  # from the majority's return to the next answer
VERIFY_SECONDS = 120.0
CALM = 1.0  # seconds between two rounds
PROBES = 3


class Run:
    """`say` is told what happens, a line each."""

    def __init__(self, root: Path, seed: int, *, owners: int, sieges: int, say: Callable[[str], None]) -> None:
        self.tally = Tally()
        self.story = Story(seed=seed)
        self._root = root
        self._size = owners, sieges
        self._say = say
        self._stop = asyncio.Event()

    async def go(self, seconds: float) -> None:
        """Make the fleet, break it for `seconds`, and look at what is left."""
        self._site = await asyncio.to_thread(Site.make, self._root)
        self.story.findings = self._site.findings
        try:
            await self._site.prepare()
            await asyncio.to_thread(self._site.start)
            await self._under_load(seconds)
        finally:
            await self._site.close()
        self._site.check_logs()
        self.story.restarts, self.story.full_disk_stops = self._site.restarts, self._site.full_disk_stops

    async def _under_load(self, seconds: float) -> None:
        world = World(self._root)
        line = Line(world, self._site.relay_port, self.tally)
        dice, (owners, sieges) = random.Random(self.story.seed), self._size
        people: list[Owner | Siege] = [Owner(line, f"owner-{n}", random.Random(dice.random())) for n in range(owners)]
        people += [Siege(line, f"siege-{n}", random.Random(dice.random())) for n in range(sieges)]
        self._probe = Device(line, "probe")
        await self._probe.register("the code of the probe")
        began = time.monotonic()
        lives = [asyncio.create_task(self._guarded(person.name, person.live(self._stop))) for person in people]
        plan = rounds(self.story.seed)
        while time.monotonic() < began + seconds:
            await self._round(next(plan))
        self._stop.set()
        mended = time.monotonic()
        healthy = [person for person, fine in zip(people, await asyncio.gather(*lives), strict=True) if fine]
        await asyncio.gather(*(self._guarded(person.name, person.verify()) for person in healthy))
        await self._guarded("probe", self._probe.status())
        self.story.records = sum(person.records for person in healthy) + 1
        self.story.verified = time.monotonic() - mended
        self.story.seconds = time.monotonic() - began
        if self.story.verified > VERIFY_SECONDS:
            self._found(f"the records could be looked at only {self.story.verified:.0f} s after the last fault")
        await line.close()

    async def _guarded(self, name: str, life: object) -> bool:
        """Live, and note what broke. Return whether nothing did."""
        try:
            await life  # type: ignore[misc]
        except* Broken as broken:
            self._found("; ".join(str(one) for one in broken.exceptions))
        except* VaultError as errors:
            self._found("; ".join(f"{name}: {type(one).__name__}: {one}" for one in errors.exceptions))
        else:
            return True
        return False

    async def _round(self, plan: Round) -> None:
        self._say(str(plan))
        self.story.rounds += 1
        if plan.is_outage:
            await self._outage(plan)
        else:
            await asyncio.gather(*(self._fault(fault) for fault in plan.faults))
        self._site.check_alive()
        await asyncio.sleep(CALM)

    async def _fault(self, fault: Fault) -> None:
        await asyncio.sleep(fault.after)
        self.story.broke(fault)
        await self._site.break_it(fault)
        if fault.kind is not Kind.DISK_SLOW:  # whose bursts have lasted that long already
            await asyncio.sleep(fault.hold)
        await self._mend(fault)

    async def _mend(self, fault: Fault) -> None:
        try:
            await self._site.mend(fault)
        except AssertionError as error:  # it did not start again
            self._found(f"replica {fault.victim} after {fault.kind}: {error}")
            self._stop.set()

    async def _outage(self, plan: Round) -> None:
        """Break three, see that each operation is refused in bounded time, and that the fleet comes back."""
        self.story.outages += 1
        for fault in plan.faults:
            self.story.broke(fault)
        await asyncio.gather(*(self._site.break_it(fault) for fault in plan.faults))
        await asyncio.gather(*(self._refused() for _ in range(PROBES)))
        await asyncio.sleep(max(fault.hold for fault in plan.faults))
        await asyncio.gather(*(self._mend(fault) for fault in plan.faults))
        await self._comes_back()

    async def _refused(self) -> None:
        began = time.monotonic()
        try:
            await self._probe.ask_once()
        except QuorumError:
            pass
        except Denied as error:
            self._found(f"without a majority, an operation was decided: {error}")
        else:
            self._found("without a majority, an operation was answered")
        taken = time.monotonic() - began
        self.story.refusals.append(taken)
        if taken > REFUSED_SECONDS:
            self._found(f"without a majority, an operation was refused only after {taken:.1f} s")

    async def _comes_back(self) -> None:
        began = time.monotonic()
        await self._guarded("probe", self._probe.status())
        taken = time.monotonic() - began
        self.story.after_outage.append(taken)
        if taken > BACK_SECONDS:
            self._found(f"with a majority back, the next answer took {taken:.1f} s")

    def _found(self, what: str) -> None:
        self._say(f"FOUND {what}")
        self.story.findings.append(what)
