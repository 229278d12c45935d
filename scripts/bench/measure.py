"""The measurements, one function each: bring the fleet into a state, run the load, say the figures."""

from __future__ import annotations

import asyncio
import math
import os
import random
import sqlite3
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import bound
import processes
from figures import Figure, Goal, Report, figure, percentile
from fleet import REPLICAS, Fleet
from hsm_app.fleet.manifest import Argon2Costs
from hsm_app.vault.profile import stretch
from load import Job, Line, Tally, in_flight
from people import Person, World

MANY = 64  # clients in flight
ARGON2 = Argon2Costs(iterations=3, memory_kib=65_536, lanes=4)  # what `fleet create` sets by default
COPY = "INSERT INTO slots SELECT randomblob(32), promised, accepted, value FROM slots LIMIT ?"
Jobs = Sequence[Sequence[Job]]
During = Callable[[Tally], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """How much is measured. `records` are the store sizes, of which the first is filled through the protocol."""

    people: int
    runs: int
    recoveries: int  # a run, with many clients
    alone: int  # a run, with one client
    bound: int
    records: tuple[int, int]


FULL = Sizes(people=256, runs=5, recoveries=1536, alone=200, bound=300, records=(10_000, 100_000))
SMOKE = Sizes(people=64, runs=1, recoveries=64, alone=5, bound=5, records=(80, 200))


@dataclass(frozen=True, slots=True)
class Run:
    """One run of the load: wall seconds, and CPU milliseconds of replicas, relay and load."""

    tally: Tally
    wall: float
    replicas: float
    relay: float
    load: float

    @property
    def count(self) -> int:
        return len(self.tally.seconds)


class Bench:
    """Holds the fleet, the people and the report through the measurements."""

    def __init__(self, report: Report, fleet: Fleet, sizes: Sizes) -> None:
        self.report, self.fleet, self.sizes = report, fleet, sizes
        self.world = World(fleet.directory)
        self.people: list[Person] = []

        self._token: bound.FreshToken | None = None
        self._bounds: list[float] = []

    def bound(self, module: Path, directory: Path) -> None:
        """Measure the token operations that a recovery cannot avoid. They are measured again between the runs."""
        self._token = bound.fresh_token(module, directory / "bound")
        self.report.texts["recovery_bound"] = {"operations": bound.OPERATIONS, "definitions": bound.DEFINITIONS}
        for name, cost in bound.costs(self._token, repeats=self.sizes.bound).items():
            self.report.add(figure(f"token_{name}_ms", [cost], "ms"))

    def argon2(self) -> None:
        """Measure what the device itself spends on stretching the code; no other figure holds it."""
        ksf, runs = stretch(ARGON2), []
        for _ in range(self.sizes.runs):
            began = time.perf_counter()
            ksf(os.urandom(32))
            runs.append((time.perf_counter() - began) * 1000)
        note = f"t={ARGON2.iterations} m={ARGON2.memory_kib} KiB p={ARGON2.lanes}, on the device"
        self.report.add(figure("argon2id_ms", runs, "ms", note=note))

    def registrations(self, clients: int, count: int, suffix: str = "") -> None:
        """Register `count` new people, each with start, finish and activate."""
        first = len(self.people)
        people = [Person(self.world, f"person-{number}") for number in range(first, first + count)]
        run = self._run(clients, lambda line: [[one.registration(line)] for one in people])
        self.people += people
        self.report.add(
            figure(f"register_p50_ms{suffix}", [percentile(run.tally.seconds, 0.5) * 1000], "ms"),
            figure(f"register_p99_ms{suffix}", [percentile(run.tally.seconds, 0.99) * 1000], "ms"),
            figure(f"registrations_per_second{suffix}", [run.count / run.wall], "1/s"),
            figure(f"registration_cpu_ms{suffix}", [run.replicas / run.count], "ms"),
        )

    def bounds(self) -> None:
        """Report the bound as it was measured beside all the runs it was held against."""
        self.report.add(figure("recovery_bound_ms", self._bounds, "ms", note="before and after each run"))

    def alone(self) -> None:
        """Recover with one client: nothing waits, and nothing is batched."""
        runs, ratios = self._beside_bound(1, self.sizes.alone)
        cpu = [run.replicas / run.count for run in runs]
        self.report.add(
            figure("recovery_cpu_ms_one_client", cpu, "ms"),
            figure("recovery_cpu_ratio_one_client", ratios, "of bound"),
            *latencies(runs, "_one_client"),
        )

    def together(self) -> None:
        """Recover with many clients in flight: the figures that have goals."""
        runs, ratios = self._beside_bound(MANY, self.sizes.recoveries)
        cpu = [run.replicas / run.count for run in runs]
        relay = [run.relay / run.count for run in runs]
        cores = len(os.sched_getaffinity(0))
        self.report.add(
            figure("recovery_cpu_ms", cpu, "ms"),
            figure("recovery_cpu_ratio", ratios, "of bound", Goal(relation="<=", bound=2.5)),
            figure(
                "recoveries_per_second", [run.count / run.wall for run in runs], "1/s", Goal(relation=">=", bound=240)
            ),
            figure(
                "recoveries_per_second_without_load",
                [cores * 1000 / (a + b) for a, b in zip(cpu, relay, strict=True)],
                "1/s",
                note="cores / CPU time of replicas and relay: what these cores do when the clients run elsewhere",
            ),
            *latencies(runs),
            figure("relay_cpu_ms", relay, "ms"),
            figure("load_cpu_ms", [run.load / run.count for run in runs], "ms"),
        )

    def _beside_bound(self, clients: int, count: int) -> tuple[list[Run], list[float]]:
        """Warm up, then recover `runs` times; return the runs and each one's CPU time in terms of the bound.

        The bound is taken right before and right after each run: a shared machine does not stay equally fast.
        """
        self._recoveries(clients, count)
        runs: list[Run] = []
        ratios: list[float] = []
        before = self._bound_now()
        for _ in range(self.sizes.runs):
            runs.append(self._recoveries(clients, count))
            after = self._bound_now()
            ratios.append(runs[-1].replicas / runs[-1].count / ((before + after) / 2))
            before = after
        return runs, ratios

    def _bound_now(self) -> float:
        if self._token is None:
            raise RuntimeError("measure the bound's parts first")
        (now,) = bound.measure(self._token, recoveries=self.sizes.bound, runs=1)
        self._bounds.append(now)
        return now

    def two_killed(self) -> None:
        """Kill two of five replicas a third into the run; every operation has to succeed, after its retries."""
        count = self.sizes.recoveries

        async def kill(tally: Tally) -> None:
            while len(tally.seconds) < count // 3:
                await asyncio.sleep(0.01)
            self.fleet.kill(1)
            self.fleet.kill(2)

        runs = [self._recoveries(MANY, count, kill), self._recoveries(MANY, count)]
        names = ("two_killed_during_run", "two_dead")
        for run, name in zip(runs, names, strict=True):
            self.report.add(
                *latencies([run], f"_{name}"),
                figure(f"recoveries_per_second_{name}", [run.count / run.wall], "1/s"),
                figure(f"messages_sent_again_{name}", [run.tally.retries], "messages"),
                figure(f"operations_failed_{name}", [count - run.count], "operations", Goal(relation="<=", bound=0)),
            )
        self.fleet.stop()
        self.fleet.start()

    def stores(self) -> None:
        """Measure memory and speed with small and large stores, each in freshly started processes."""
        small, large = self.sizes.records
        self.registrations(MANY, small - len(self.people), f"_up_to_{short(small)}")
        self.fleet.stop()
        self.fleet.start()
        self._with_records(small, f"{small} registered")
        self.fleet.stop()
        for number in range(1, REPLICAS + 1):
            fill(self.fleet.files(number).store, large - small)
        self.fleet.start()
        self._with_records(large, f"{small} registered, the others copies of their rows under other ids")

    def _with_records(self, records: int, which: str) -> None:
        name = short(records)
        runs = [self._recoveries(MANY, self.sizes.recoveries) for _ in range(max(1, self.sizes.runs // 2))]
        memory = max(processes.resident_mb(pid) for pid in self.fleet.replica_pids)
        store = max(self.fleet.files(number).store.stat().st_size for number in range(1, REPLICAS + 1)) / (1 << 20)
        self.report.add(
            figure(f"replica_memory_{name}_mb", [memory], "MiB", note=f"resident, the largest of five; {which}"),
            figure(f"replica_store_{name}_mb", [store], "MiB"),
            figure(f"recoveries_per_second_{name}", [run.count / run.wall for run in runs], "1/s"),
            figure(f"recovery_cpu_ms_{name}", [run.replicas / run.count for run in runs], "ms"),
        )

    def _recoveries(self, clients: int, count: int, during: During | None = None) -> Run:
        """Let people recover in turn: nobody twice at the same time, everybody about as often."""
        chosen = random.sample(self.people, min(count, len(self.people)))
        shares = [count // len(chosen) + (index < count % len(chosen)) for index in range(len(chosen))]
        return self._run(
            clients,
            lambda line: [
                [one.recovery(line) for _ in range(share)] for one, share in zip(chosen, shares, strict=True)
            ],
            during,
        )

    def _run(self, clients: int, prepare: Callable[[Line], Jobs], during: During | None = None) -> Run:
        return asyncio.run(self._measured(clients, prepare, during))

    async def _measured(self, clients: int, prepare: Callable[[Line], Jobs], during: During | None) -> Run:
        tally = Tally()
        line = Line(self.fleet.relay, tally)
        jobs = prepare(line)
        pids, relay = self.fleet.replica_pids, self.fleet.relay_pid
        before = processes.cpu_ms(pids), processes.cpu_ms([relay]), time.process_time()
        meanwhile = asyncio.ensure_future(during(tally)) if during else None
        wall = await in_flight(clients, jobs, tally)
        if meanwhile:
            await meanwhile
        alive = pids == self.fleet.replica_pids
        run = Run(
            tally=tally,
            wall=wall,
            replicas=processes.cpu_ms(pids) - before[0] if alive else math.nan,
            relay=processes.cpu_ms([relay]) - before[1],
            load=(time.process_time() - before[2]) * 1000,
        )
        await line.close()
        return run


def short(number: int) -> str:
    return f"{number // 1000}k" if number >= 1000 else str(number)


def latencies(runs: Sequence[Run], suffix: str = "") -> tuple[Figure, Figure]:
    """Return p50 and p99 of each run's recoveries, recover-start and recover-finish together."""
    return (
        figure(f"recover_p50_ms{suffix}", [percentile(run.tally.seconds, 0.5) * 1000 for run in runs], "ms"),
        figure(f"recover_p99_ms{suffix}", [percentile(run.tally.seconds, 0.99) * 1000 for run in runs], "ms"),
    )


def fill(store: Path, rows: int) -> None:
    """Add rows to a stopped replica's store: copies of real ones under ids of nobody.

    A replica looks at a row only when asked for it, so to its memory and its disk these are records like the others.
    Registering as many people would take an hour and show the same.
    """
    with closing(sqlite3.connect(store)) as database, database:
        while rows > 0:
            rows -= database.execute(COPY, (rows,)).rowcount
