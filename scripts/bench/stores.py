"""What a replica costs with ten thousand records and with a million: CPU, memory, start-up; and single votes."""

from __future__ import annotations

import json
import random
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import processes
from figures import Goal, figure
from fleet import REPLICAS
from measure import MANY, Bench

FILL_BATCH = 4096  # votes: the anchor costs nothing then


def stores(bench: Bench, between: Callable[[Bench], None]) -> None:
    """Measure cost, memory and start-up with small and large stores, each in freshly started processes.

    `between` is measured on the small ones, and leaves the fleet stopped.

    Nobody recovers twice, as among a million people: what a replica keeps in memory of a record helps nobody.
    """
    small, large = bench.sizes.records
    bench.registrations(MANY, bench.sizes.registered - len(bench.people), f"_up_to_{bench.sizes.registered}")
    bench.fleet.stop()
    single_votes(bench)
    fill(bench, small)
    before = with_records(bench, small)
    between(bench)
    fill(bench, large)
    after = with_records(bench, large)
    bench.fleet.start()
    bench.report.add(
        figure(
            f"recovery_cpu_growth_{short(small)}_to_{short(large)}",
            [one / statistics.median(before) for one in after],
            "times",
            Goal(relation="<=", bound=1.1),
            note="of the ratio to the bound, each run with its own bound beside it",
        )
    )


def with_records(bench: Bench, records: int) -> list[float]:
    bench.fleet.start()
    name, which = short(records), f"{bench.sizes.registered} registered, the others their values under other ids"
    everybody = random.sample(bench.people, len(bench.people))
    share = len(everybody) // (bench.sizes.runs + 1)
    groups = (everybody[first : first + share] for first in range(0, len(everybody), share))
    runs, ratios = bench.beside_bound(MANY, share, groups)
    memory = max(processes.resident_mb(pid) for pid in bench.fleet.replica_pids)
    store = max(bench.fleet.files(number).store.stat().st_size for number in range(1, REPLICAS + 1)) / (1 << 20)
    goal = Goal(relation="<=", bound=500)
    bench.report.add(
        figure(f"replica_memory_{name}_mb", [memory], "MiB", goal, f"resident, the largest of five; {which}"),
        figure(f"replica_store_{name}_mb", [store], "MiB"),
        figure(f"recoveries_per_second_{name}", [run.count / run.wall for run in runs], "1/s"),
        figure(f"recovery_cpu_ms_{name}", [run.replicas / run.count for run in runs], "ms"),
        figure(f"recovery_cpu_ratio_{name}", ratios, "of bound", note="nobody twice"),
    )
    starts = []
    for number in range(1, REPLICAS + 1):
        bench.fleet.end(number)
        starts.append(bench.fleet.restart(number))
    bench.report.add(figure(f"start_seconds_{name}", starts, "s", note="one replica, until it is ready"))
    bench.fleet.stop()
    return ratios


def single_votes(bench: Bench) -> None:
    """Vote in batches of several sizes on one replica, whose fleet stands still."""
    for size in (1, 8, 64):
        said = rows_of(bench.fleet.files(1).settings, "vote", min(64 * size, bench.sizes.votes), size)
        bench.report.add(
            figure(f"vote_cpu_ms_batch_{size}", [said["cpu_ms"]], "ms", note="an accept of a new record, anchored"),
            figure(f"votes_per_second_batch_{size}", [said["per_second"]], "1/s", note="one replica, alone"),
        )


def fill(bench: Bench, records: int, others: Iterable[int] = range(2, REPLICAS + 1)) -> None:
    """Vote rows into replica 1, which is stopped, up to `records`, and give the others copies, each anchored."""
    rows_of(bench.fleet.files(1).settings, "fill", records, FILL_BATCH)
    for number in others:
        rows_of(bench.fleet.files(number).settings, "adopt", bench.fleet.files(1).store)


def short(number: int) -> str:
    return f"{number // 1_000_000}m" if number >= 1_000_000 else f"{number // 1000}k" if number >= 1000 else str(number)


def rows_of(settings: Path, what: str, *words: object) -> dict[str, float]:
    """Run `rows.py` on a stopped replica, in a process of its own: each has its own token module."""
    command = [sys.executable, str(Path(__file__).with_name("rows.py")), what, str(settings), *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"bench: {' '.join(command)} ended with {done.returncode}:\n{done.stderr}")
    said: dict[str, float] = json.loads(done.stdout)
    return said
