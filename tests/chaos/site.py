"""The fleet under fire: five replica processes with cables and disks of their own, and a relay.

Knows what each fault does to a process and how it ends, and which ends of a process are the faults' and which are bugs.
"""

from __future__ import annotations

import asyncio
import re
import signal
import subprocess
import time
import tomllib
from dataclasses import dataclass
from pathlib import Path

from tests.chaos.disks import LIMIT, Disk, lift, limit, make_disk
from tests.chaos.schedule import REPLICAS, Fault, Kind
from tests.chaos.wires import Direction, Wires, around
from tests.live_fleet import LiveFleet

STORE_ERROR = 8  # the exit code of a replica whose store failed
FULL_DISK_SECONDS = 4  # of real fullness, and then of a limit: under load each is dozens of votes
LAG = 0.15  # seconds each way on slow links
BURST = 0.4  # seconds that a slow disk stands still, and then half as long goes on
LOAD = ("--hourly", "1000000000,1000000")  # one machine plays all accounts of a tenant
BUGS = re.compile(r"Traceback \(most recent call last\)| CRITICAL | ERROR |never retrieved|Fatal Python error")


@dataclass
class Site(LiveFleet):
    """`LiveFleet` with a log of its own for each start, disks and wires. `prepare` before anything is started."""

    @classmethod
    def make(cls, root: Path) -> Site:
        """Make the tokens and the files; start nothing."""
        return cls.create(root, REPLICAS, *LOAD)

    def __post_init__(self) -> None:
        self.wires = Wires()
        self.disks: dict[int, Disk] = {}
        self.findings: list[str] = []
        self.full_disk_stops = 0
        self.restarts: list[float] = []  # seconds from the start of a broken replica until it is ready
        self._starts: dict[str, int] = {}
        self._down: set[str] = set()  # by a fault

    async def prepare(self) -> None:
        """Lay the cables, mount the disks, and write both into the replicas' settings."""
        targets = {}
        for number in range(1, self.count + 1):
            settings = tomllib.loads(self.settings(f"replica-{number}").read_text())
            targets[number] = int(settings["listen"]["peers"].rpartition(":")[2])
        await self.wires.start(targets)
        for number in targets:
            self.disks[number] = await asyncio.to_thread(make_disk, self.root / f"disk-{number}")
            path = self.settings(f"replica-{number}")
            text = path.read_text()
            for other in targets.keys() - {number}:
                text = text.replace(f':{targets[other]}"', f':{self.wires.ports[number, other]}"')
            path.write_text(re.sub(r'(?m)^store = ".*"$', f'store = "{self.disks[number].path}/store.sqlite"', text))

    def log(self, name: str) -> Path:
        return self.root / f"{name}-{self._starts.get(name, 0)}.log"

    def launch(self, name: str) -> None:
        self._starts[name] = self._starts.get(name, 0) + 1
        super().launch(name)

    async def break_it(self, fault: Fault) -> None:
        """Begin a fault. A full disk is waited for until the replica has stopped by itself."""
        name, others = f"replica-{fault.victim}", range(1, self.count + 1)
        pid = self.processes[name].pid
        outward, inward = around(fault.victim, others)
        match fault.kind:
            case Kind.KILL:
                self._down.add(name)
                await asyncio.to_thread(self.kill, fault.victim)
            case Kind.PAUSE:
                self.processes[name].send_signal(signal.SIGSTOP)
            case Kind.ISOLATE | Kind.SEVER | Kind.MUTE | Kind.DEAFEN:
                self.wires.cut(_directions(fault, outward, inward))
            case Kind.LAG:
                self.wires.slow(outward + inward, LAG)
            case Kind.DISK_FULL:
                self._down.add(name)
                await asyncio.to_thread(self.disks[fault.victim].fill, pid)
                await self._stops(fault)
            case Kind.DISK_SLOW:
                await self._slow_disk(fault, pid)

    async def mend(self, fault: Fault) -> None:
        """End a fault, and wait until the replica serves again."""
        name, others = f"replica-{fault.victim}", range(1, self.count + 1)
        outward, inward = around(fault.victim, others)
        match fault.kind:
            case Kind.KILL | Kind.DISK_FULL:
                self.disks[fault.victim].make_room()
                await self._again(name)
            case Kind.PAUSE:
                self.processes[name].send_signal(signal.SIGCONT)
            case Kind.ISOLATE | Kind.SEVER | Kind.MUTE | Kind.DEAFEN:
                self.wires.mend(_directions(fault, outward, inward), resets=fault.resets)
            case Kind.LAG:
                self.wires.slow(outward + inward, 0)

    async def _stops(self, fault: Fault) -> None:
        """Wait for a replica on a full disk to end with its store's error: it must not go on without its memory."""
        name = f"replica-{fault.victim}"
        process = self.processes[name]
        code = await asyncio.to_thread(_ended, process, FULL_DISK_SECONDS)
        # Who cannot write its last words ends with another code: the limit is for the store, not for the log.
        if code is None and self.log(name).stat().st_size < LIMIT // 2:
            limit(process.pid)
            code = await asyncio.to_thread(_ended, process, FULL_DISK_SECONDS)
        elif code is not None:
            self.full_disk_stops += 1
        if code is None:
            lift(process.pid)  # it was not asked for a vote
            return
        self.processes.pop(name)
        if code != STORE_ERROR:
            self.findings.append(f"{name} ended with {code} on a full disk: {self._last_words(name)}")

    async def _slow_disk(self, fault: Fault, pid: int) -> None:
        disk, end = self.disks[fault.victim], time.monotonic() + fault.hold
        while time.monotonic() < end:
            await asyncio.to_thread(disk.hold, pid)
            try:
                await asyncio.sleep(BURST)
            finally:
                await asyncio.to_thread(disk.let_go, pid)
            await asyncio.sleep(BURST / 2)

    async def _again(self, name: str) -> None:
        if not self.is_running(name):
            began = time.monotonic()
            self.launch(name)
            await asyncio.to_thread(self.wait_ready, name)
            self.restarts.append(time.monotonic() - began)
        self._down.discard(name)

    def check_alive(self) -> None:
        """Note every process that is gone although no fault ended it."""
        for name, process in list(self.processes.items()):
            if name not in self._down and process.poll() is not None:
                self.findings.append(f"{name} ended by itself with {process.returncode}: {self._last_words(name)}")
                self.processes.pop(name)

    def check_logs(self) -> None:
        for log in sorted(self.root.glob("*.log")):
            text = log.read_text(errors="replace")
            if found := BUGS.search(text):
                self.findings.append(f"{log.name} shows a bug: {text[found.start() : found.start() + 600]!r}")

    def _last_words(self, name: str) -> str:
        return self.log(name).read_text(errors="replace")[-400:]

    async def close(self) -> None:
        """End the processes, then the cables and disks."""
        for number, disk in self.disks.items():
            name = f"replica-{number}"
            if self.is_running(name):
                disk.let_go(self.processes[name].pid)
        await asyncio.to_thread(self.stop)
        await self.wires.close()
        for disk in self.disks.values():
            await asyncio.to_thread(disk.close)


def _ended(process: subprocess.Popen[bytes], seconds: float) -> int | None:
    """Return how a process ended, or None when it is still there after so many seconds."""
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        return None


def _directions(fault: Fault, outward: list[Direction], inward: list[Direction]) -> list[Direction]:
    match fault.kind:
        case Kind.MUTE:
            return outward
        case Kind.DEAFEN:
            return inward
        case Kind.SEVER:
            return [(fault.victim, fault.other), (fault.other, fault.victim)]
    return outward + inward
