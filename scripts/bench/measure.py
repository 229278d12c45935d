"""The measurements, one function each: bring the fleet into a state, run the load, say the figures."""

from __future__ import annotations

import asyncio
import math
import os
import random
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import bound
import processes
from counted import Counted, sizes
from figures import Figure, Goal, Report, figure, percentile
from fleet import Fleet
from hsm_app.fleet.manifest import Argon2Costs
from hsm_app.vault.profile import stretch
from load import Job, Line, Tally, in_flight
from people import Person, World

ANCHORING = "every vote anchored in its token before it is told"
MANY = 64  # clients in flight
ARGON2 = Argon2Costs(iterations=3, memory_kib=65_536, lanes=4)  # what `fleet create` sets by default
Jobs = Sequence[Sequence[Job]]
During = Callable[[Tally], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """How much is measured. `records` are the store sizes, of which `registered` are people who can recover."""

    people: int
    runs: int
    recoveries: int  # a run, with many clients
    alone: int  # a run, with one client
    bound: int
    kills: int
    votes: int  # at most, of each batch size
    registered: int
    records: tuple[int, int]
    missed: int  # records, by a replica that is then brought level
    log_entries: int


FULL = Sizes(
    people=256,
    runs=5,
    recoveries=768,
    alone=100,
    bound=300,
    kills=40,
    votes=4096,
    registered=1536,
    records=(10_000, 1_000_000),
    missed=100_000,
    log_entries=1_000_000,
)
SMOKE = Sizes(
    people=64,
    runs=1,
    recoveries=64,
    alone=5,
    bound=5,
    kills=1,
    votes=64,
    registered=80,
    records=(200, 600),
    missed=300,
    log_entries=2000,
)


@dataclass(frozen=True, slots=True)
class Run:
    """One run of the load: wall seconds, and CPU milliseconds of replicas, relay and load."""

    tally: Tally
    wall: float
    replicas: float
    relay: float
    load: float
    counted: Counted | None  # by the replicas that were alive all the time; None when one was killed meanwhile

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
        runs, ratios = self.beside_bound(1, self.sizes.alone)
        cpu = [run.replicas / run.count for run in runs]
        self.report.add(
            figure("recovery_cpu_ms_one_client", cpu, "ms"),
            figure("recovery_cpu_ratio_one_client", ratios, "of bound"),
            *latencies(runs, "_one_client"),
            *self._votes(runs, "_one_client"),
        )

    def together(self) -> None:
        """Recover with many clients in flight: the figures that have goals."""
        runs, ratios = self.beside_bound(MANY, self.sizes.recoveries)
        cpu = [run.replicas / run.count for run in runs]
        relay = [run.relay / run.count for run in runs]
        cores = len(os.sched_getaffinity(0))
        self.report.add(
            figure("recovery_cpu_ms", cpu, "ms"),
            figure("recovery_cpu_ratio", ratios, "of bound", Goal(relation="<=", bound=3), note=ANCHORING),
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
            *self._votes(runs),
            figure("relay_cpu_ms", relay, "ms"),
            figure("load_cpu_ms", [run.load / run.count for run in runs], "ms"),
        )

    def _votes(self, runs: Sequence[Run], suffix: str = "") -> Iterator[Figure]:
        """Say what the replicas counted during these runs. A recovery is two operations: start and finish."""
        told = [(run.counted, run.wall) for run in runs if run.counted is not None]
        self.report.texts[f"batch_sizes{suffix}"] = [sizes(one.batches) for one, _ in told]
        yield figure(f"votes_per_anchor{suffix}", [one.votes / one.anchors for one, _ in told], "votes")
        yield figure(f"votes_per_second{suffix}", [one.votes / wall for one, wall in told], "1/s", note="five replicas")
        yield figure(f"anchors_per_second{suffix}", [one.anchors / wall for one, wall in told], "1/s", note="likewise")
        for name in ("one_round", "two_rounds", "more_rounds"):
            yield figure(f"share_{name}{suffix}", [getattr(one, name) / one.operations for one, _ in told], "of ops")

    def beside_bound(
        self, clients: int, count: int, groups: Iterator[list[Person]] | None = None
    ) -> tuple[list[Run], list[float]]:
        """Warm up, then recover `runs` times; return the runs and each one's CPU time in terms of the bound.

        `groups`: who recovers in each run; without them it is anybody.

        The bound is taken right before and right after each run: a shared machine does not stay equally fast.
        """
        self.recoveries(clients, count, people=next(groups) if groups else None)
        runs: list[Run] = []
        ratios: list[float] = []
        before = self._bound_now()
        for _ in range(self.sizes.runs):
            runs.append(self.recoveries(clients, count, people=next(groups) if groups else None))
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

        runs = [self.recoveries(MANY, count, kill), self.recoveries(MANY, count)]
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

    def recoveries(
        self, clients: int, count: int, during: During | None = None, people: list[Person] | None = None
    ) -> Run:
        """Let people recover in turn: nobody twice at the same time, everybody about as often."""
        everybody = people or self.people
        chosen = random.sample(everybody, min(count, len(everybody)))
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
        counted = self.fleet.counted()
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
            counted=self.fleet.counted() - counted if alive else None,
        )
        await line.close()
        return run


def latencies(runs: Sequence[Run], suffix: str = "") -> tuple[Figure, Figure]:
    """Return p50 and p99 of each run's recoveries, recover-start and recover-finish together."""
    return (
        figure(f"recover_p50_ms{suffix}", [percentile(run.tally.seconds, 0.5) * 1000 for run in runs], "ms"),
        figure(f"recover_p99_ms{suffix}", [percentile(run.tally.seconds, 0.99) * 1000 for run in runs], "ms"),
    )
