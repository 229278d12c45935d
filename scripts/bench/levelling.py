"""How long a replica takes that missed many records, and what people notice of it meanwhile."""

from __future__ import annotations

import time

from figures import Goal, figure, percentile
from fleet import REPLICAS
from hsm_app.operator.fleet_status import look_at
from hsm_app.wire.operator_status import StatusReport
from measure import Bench, Run
from stores import fill, short

CLIENTS = 16  # in flight: about half of what this load does at 64, so that there is something to take away
RECOVERIES = 128  # a run


def levelling(bench: Bench) -> None:
    """Let the last replica miss `sizes.missed` records, and time how it is brought level under load."""
    missed = bench.sizes.missed
    bench.fleet.start()
    bench.recoveries(CLIENTS, RECOVERIES)  # warm
    undisturbed = [p99(bench.recoveries(CLIENTS, RECOVERIES)) for _ in range(bench.sizes.runs)]
    bench.fleet.stop()
    fill(bench, bench.sizes.records[0] + missed, others=range(2, REPLICAS))
    bench.fleet.start()
    began, meanwhile = (
        time.perf_counter(),
        [p99(bench.recoveries(CLIENTS, RECOVERIES))],
    )  # it may be level before a first look
    while not (standing := last(bench)).is_level:
        meanwhile.append(p99(bench.recoveries(CLIENTS, RECOVERIES)))
        if len(meanwhile) % 10 == 2:
            print(f"  {standing.installed} of {missed} records level, {standing.to_go} to go", flush=True)
    seconds = time.perf_counter() - began
    bench.fleet.stop()
    note = f"{CLIENTS} clients in flight"
    bench.report.add(
        figure(f"level_seconds_{short(missed)}_missed", [seconds], "s", note=f"{note}, {RECOVERIES} recoveries a look"),
        figure("levelled_per_second", [standing.installed / seconds], "1/s", note=note),
        figure("recover_p99_ms_level", undisturbed, "ms", note=note),
        figure("recover_p99_ms_levelling", meanwhile, "ms", note=note),
        figure(
            "recover_p99_levelling_to_level",
            [percentile(meanwhile, 0.5) / percentile(undisturbed, 0.5)],
            "times",
            Goal(relation="<=", bound=2),
            note="medians of the runs' p99",
        ),
    )


def last(bench: Bench) -> StatusReport:
    """Return how the last replica stands. SystemExit when it does not say."""
    seen = look_at(bench.fleet.directory)[-1]
    if seen.report is None:
        raise SystemExit(f"bench: replica {seen.replica} does not say how it stands: {seen.error}")
    return seen.report


def p99(run: Run) -> float:
    """Return a run's 99th percentile in milliseconds."""
    return percentile(run.tally.seconds, 0.99) * 1000
