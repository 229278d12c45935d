"""What goes wrong in a run: an operator who owns every disk, cable and clock, and hosts that die at the worst moments.

`work` starts every host and keeps starting those that have ended, sometimes on an old or empty disk first (which has to
be refused; then their own is put back), and lets faults happen in between, each kind as often as the run's seed says.
Clones of a running replica may ruin it for good, so only a minority is ever cloned.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from hsm_app.errors import ProtocolError
from hsm_app.replica.vote_messages import to_question
from hsm_app.wire.votes import Op, VoteRequest
from tests.simulation.disks import Disk, Point
from tests.simulation.ledger import FoundError
from tests.simulation.process import Host

if TYPE_CHECKING:
    from tests.simulation.world import World

POINTS = list(Point)


class Faults:
    """The faults of one run."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._random = random = world.random
        hosts = list(world.hosts.values())
        self._victims = random.sample(hosts, (len(hosts) - 1) // 2)
        self._cloned: set[Host] = set()
        self._is_over = False
        self._downtime = random.choice([0.1, 0.5, 2.0])
        self._old_disks = random.choice([0.0, 0.2, 0.6])
        self._pace = random.choice([0.1, 0.3, 1.0, 4.0])
        kinds: list[Callable[[], None]] = [
            self._crash, self._trap, self._trap, self._back_up, self._cut, self._slow, self._jump, self._clone,
            self._replay, self._replay, self._put_back_all, self._stumble, self._stumble, self._babble,
        ]  # fmt: skip
        self._kinds = kinds
        self._weights = [random.choice([0.0, 0.3, 1.0, 3.0]) for _ in kinds]
        self._weights[3] = 1.0

    async def work(self) -> None:
        """Go on until cancelled."""
        for host in self._world.hosts.values():
            self.take_over(host)
        while True:
            await asyncio.sleep(self._random.expovariate(1 / self._pace))
            self._random.choices(self._kinds, self._weights)[0]()

    def take_over(self, host: Host) -> None:
        """Start a host, and start it again whenever it ends."""
        host.when_down = self._later
        self._restart(host)

    def _later(self, host: Host) -> None:
        asyncio.get_running_loop().call_later(self._random.expovariate(1 / self._downtime), self._restart, host)

    async def end(self) -> None:
        """Heal everything but what is lost, and start every host that can."""
        world = self._world
        world.log("the faults end")
        world.network.cut.clear()
        weather = world.network.weather
        world.network.weather = type(weather)(is_sealed=weather.is_sealed, lost=0, repeated=0, told=1, delay=0.001)
        world.answers_lost = 0.0
        for twin in world.twins:
            twin.end()
        self._is_over = True
        for host in world.retired:
            host.when_down = lambda host: None
            host.stop()
        for host in world.hosts.values():
            host.trap, host.is_slow, host.clock_offset = None, False, 0.0
            host.when_down = lambda host: None
            host.stop()
            self._start(host)
            host.when_down = self._start
        await asyncio.sleep(2.0)

    def take_victim(self) -> int:
        """Return which replica is to be replaced: one that may be lost, so that a majority of the others lives."""
        host = self._random.choice(self._victims)
        self._victims.remove(host)
        return host.replica

    def _restart(self, host: Host) -> None:
        """Start a host, perhaps after trying an old disk on it."""
        if host.process is None and self._random.random() < self._old_disks:
            self._try(host, self._random.choice([*host.backups, Disk()]).copied())
        if host.process is None:
            self._start(host)

    def _try(self, host: Host, disk: Disk) -> None:
        """Start a host on another disk. If that gets as far as writing, it was as good as its own, and stays."""
        if host.start(disk) is not None or disk.commits:
            host.disk = disk

    def _start(self, host: Host) -> None:
        """Start a host on its own disk: only a trap or a clone may keep it from that."""
        is_trapped = host.trap is not None
        if host.start() is not None:
            return
        if is_trapped:
            self._later(host)
        elif host not in self._cloned:
            self._world.checked(lambda: _refused(host.replica))

    def _any(self) -> Host:
        return self._random.choice(list(self._world.hosts.values()))

    # -- kinds of faults

    def _crash(self) -> None:
        host = self._any()
        if host.process is not None:
            self._world.log(f"replica {host.replica} is killed")
            host.stop()

    def _trap(self) -> None:
        self._any().trap = (self._random.choice(POINTS), self._random.random() < 0.7)

    def _back_up(self) -> None:
        for host in self._world.hosts.values():
            if self._random.random() < 0.5:
                host.backups = [*host.backups[-3:], host.disk.copied()]

    def _cut(self) -> None:
        cut, members = self._world.network.cut, list(self._world.hosts)
        cut.clear()
        for source in members:
            for target in members:
                if source != target and self._random.random() < self._random.choice([0.0, 0.2, 0.5]):
                    cut.add((source, target))
        self._world.log(f"cut: {sorted(cut)}")

    def _slow(self) -> None:
        host = self._any()
        host.is_slow = not host.is_slow

    def _stumble(self) -> None:
        """Kill a host whose disk was slower than the network, so that others know more of its ballots than it does.

        One other may know less, too. It starts again at once, and hears of the others' ballots before it makes its own.
        """
        host, deaf = self._any(), self._any()
        ways = {(host.replica, deaf.replica)} - self._world.network.cut
        self._world.network.cut |= ways
        host.is_slow = True

        def fall() -> None:
            host.is_slow = False
            self._world.network.cut -= ways
            if host.process is not None and not self._is_over:
                self._world.log(f"replica {host.replica} is killed behind its own ballots")
                host.when_down = lambda host: None
                host.stop()
                host.when_down = self._later
                self._start(host)

        asyncio.get_running_loop().call_later(self._random.choice([0.02, 0.05, 0.2]), fall)

    def _jump(self) -> None:
        host = self._any()
        host.clock_offset += self._random.choice([-3000, -100, -10, 10, 100, 3000])
        self._world.log(f"the clock of replica {host.replica} is off by {host.clock_offset:g} s")

    def _clone(self) -> None:
        """Start a copy of a replica beside the living one, with the same token."""
        if not self._victims:
            return
        host = self._random.choice(self._victims)
        original = host.process
        if original is None:
            return
        self._cloned.add(host)
        self._world.log(f"replica {host.replica} is cloned")
        twin = host.start(host.disk.copied())
        if twin is not None:
            host.process = original
            self._world.twins.append(twin)

    def _replay(self) -> None:
        """Say again what somebody said before."""
        world = self._world
        if not world.captured:
            return
        message, route = self._random.choice(world.captured)
        process = world.pick_process(route)
        if process is not None:
            world.log(f"replayed to replica {process.replica}: {type(message).__name__}")
            process.serve(message, route)

    def _babble(self) -> None:
        """Somebody asks for a vote under bytes that are no ballot: refused, and the link would end."""
        nonsense = self._random.choice([b"", bytes(19), b"\xff" * 20])
        request = VoteRequest(1, Op.PREPARE, bytes(32), nonsense)
        with suppress(ProtocolError):
            self._world.checked(lambda: _taken(to_question(request)))

    def _put_back_all(self) -> None:
        """Roll back all disks that have a backup, at once."""
        for host in self._world.hosts.values():
            if host.backups and self._random.random() < 0.8:
                host.stop()
                self._world.log(f"the disk of replica {host.replica} is rolled back")
                self._try(host, self._random.choice(host.backups).copied())


def _taken(question: object) -> None:
    raise FoundError("CRASHED", f"nonsense was taken for {question}")


def _refused(replica: int) -> None:
    raise FoundError("STARTS", f"replica {replica} does not start on its own disk, which nobody has touched")
