"""How long the records of a replica wait when it is killed: nothing is elected, so the next request finds another."""

from __future__ import annotations

import asyncio
import random
import time

from figures import Goal, figure, percentile
from fleet import REPLICAS
from load import Line, Tally
from measure import Bench

RELAY_SECONDS = 3.0  # the relay dials a replica that was away at least every two seconds


def killed(bench: Bench) -> None:
    """Kill the replica that a record prefers, again and again, and time the next recovery of such a record."""
    waited: list[float] = []
    for turn in range(bench.sizes.kills):
        number = turn % REPLICAS + 1
        waited.append(1000 * asyncio.run(run_over(bench, number, random.uniform(-0.02, 0.02))))
        bench.fleet.restart(number)
        time.sleep(RELAY_SECONDS)
    note = f"{len(waited)} kills, the recovery begun up to 20 ms before or after"
    bench.report.add(
        figure("killed_to_next_success_p50_ms", [percentile(waited, 0.5)], "ms", note=note),
        figure(
            "killed_to_next_success_p99_ms",
            [percentile(waited, 0.99)],
            "ms",
            Goal(relation="<=", bound=100),
            note=note,
        ),
    )


async def run_over(bench: Bench, number: int, later: float) -> float:
    """Recover a record that prefers a replica, and kill that, `later` seconds later; return seconds from the kill.

    A recovery that is faster than the kill counts as none, and another one is begun.
    """
    line = Line(bench.fleet.relay, Tally())
    people = [one for one in bench.people if one.subject.route() % REPLICAS == number - 1]
    first, *others = random.sample(people, 6)
    for _ in range(8):
        await first.recovery(line)()  # all connections stand
    jobs = iter([one.recovery(line) for one in others])
    began: list[float] = []
    killing = asyncio.create_task(kill(bench, number, max(0.0, later), began))
    await asyncio.sleep(max(0.0, -later))
    done = 0.0
    while not began or done < began[0]:
        await next(jobs)()
        done = time.perf_counter()
    await killing
    await line.close()
    return done - began[0]


async def kill(bench: Bench, number: int, later: float, began: list[float]) -> None:
    await asyncio.sleep(later)
    began.append(time.perf_counter())
    await asyncio.to_thread(bench.fleet.kill, number)
