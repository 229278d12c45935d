"""How long the records of a replica wait when it is killed: nothing is elected, so the next request finds another."""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import dataclass

from figures import Goal, figure, percentile
from fleet import REPLICAS
from load import Line, Tally
from measure import Bench

RELAY_SECONDS = 3.0  # the relay dials a replica that was away at least every two seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Waited:
    """Milliseconds of one kill: of a recovery before it; and from the kill to the next answer and the next recovery."""

    before: float
    answer: float
    recovery: float


def killed(bench: Bench) -> None:
    """Kill the replica that a record prefers, again and again, and time the next recovery of such a record."""
    waits: list[Waited] = []
    for turn in range(bench.sizes.kills):
        number = turn % REPLICAS + 1
        waits.append(asyncio.run(run_over(bench, number, random.uniform(-0.02, 0.02))))
        bench.fleet.restart(number)
        time.sleep(RELAY_SECONDS)
    note = f"{len(waits)} kills, the recovery begun up to 20 ms before or after"
    for name, share in (("p50", 0.5), ("p99", 0.99)):
        goal = Goal(relation="<=", bound=100) if name == "p99" else None
        before, answer, recovery = (
            percentile([getattr(one, which) for one in waits], share) for which in ("before", "answer", "recovery")
        )
        bench.report.add(
            figure(f"recover_{name}_ms_before_kill", [before], "ms", note="with all replicas"),
            figure(f"killed_to_next_answer_{name}_ms", [answer], "ms", goal, note),
            figure(f"killed_to_next_recovery_{name}_ms", [recovery], "ms", goal, "two operations; " + note),
        )


async def run_over(bench: Bench, number: int, later: float) -> Waited:
    """Recover a record that prefers a replica, and kill that, `later` seconds later.

    A recovery that is faster than the kill counts as none, and another one is begun.
    """
    tally = Tally()
    line = Line(bench.fleet.relay, tally)
    people = [one for one in bench.people if one.subject.route() % REPLICAS == number - 1]
    first, *others = random.choices(people, k=6)  # one after the other: it may be somebody again, where there are few
    for _ in range(8):  # all connections stand after that
        begun = time.perf_counter()
        await first.recovery(line)()
    before = time.perf_counter() - begun
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
    answered = min(moment for moment in tally.answers if moment > began[0])
    return Waited(before=1000 * before, answer=1000 * (answered - began[0]), recovery=1000 * (done - began[0]))


async def kill(bench: Bench, number: int, later: float, began: list[float]) -> None:
    await asyncio.sleep(later)
    began.append(time.perf_counter())
    await asyncio.to_thread(bench.fleet.kill, number)
