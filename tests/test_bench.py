"""The arithmetic of the benchmark: a wrong median or a process that is not counted would be believed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import bound
import counted
from figures import Goal, Report, figure, percentile
from processes import cpu_ms, resident_mb
from tests.patience import PATIENCE

SPIN = "import time\nwhile time.process_time() < 0.5: pass\nprint(time.process_time(), flush=True)\ninput()"
PERCENTILES = {
    "the median of an odd number": ([3, 1, 2], 0.5, 2),
    "the lower middle of an even number": ([4, 1, 3, 2], 0.5, 2),
    "one slow operation in a hundred is beyond p99": ([1] * 99 + [9], 0.99, 1),
    "two are not": ([1] * 98 + [9, 9], 0.99, 9),
    "a single value is every percentile": ([7], 0.99, 7),
}


@pytest.mark.parametrize(("values", "share", "expected"), PERCENTILES.values(), ids=PERCENTILES.keys())
def test_percentile(values: list[float], share: float, expected: float) -> None:
    assert percentile(values, share) == expected


def test_a_figure_is_the_median_of_its_runs_and_says_their_spread() -> None:
    made = figure("x", [3.0, 1.0, 8.0], "ms")
    assert (made.value, made.spread, made.runs, made.met) == (3.0, (1.0, 8.0), (3.0, 1.0, 8.0), None)


@pytest.mark.parametrize(
    ("relation", "value", "met"), [("<=", 2.5, True), ("<=", 2.6, False), (">=", 240, True), (">=", 9, False)]
)
def test_a_goal_is_met_or_missed(relation: str, value: float, met: bool) -> None:
    bound_value = 2.5 if relation == "<=" else 240
    assert figure("x", [value], "", Goal(relation=relation, bound=bound_value)).met is met


def test_the_report_is_json_with_what_each_figure_needs(tmp_path: Path) -> None:
    report = Report(kind="smoke", machine={"cores": 2})
    report.add(figure("x", [1.0], "ms", Goal(relation="<=", bound=2)))
    report.write(tmp_path / "deep" / "bench.json")
    read = json.loads((tmp_path / "deep" / "bench.json").read_text())
    assert {"name", "value", "unit", "goal", "runs", "spread"} <= read["figures"][0].keys()


def test_cpu_time_and_memory_of_a_child_and_its_children_are_counted() -> None:
    """The child says itself how much it took, however slow this machine is: counted twice it would be twice that."""
    command = ["sh", "-c", f"{sys.executable} -c '{SPIN}'; true"]
    shell = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert shell.stdout is not None
        own = 1000 * float(shell.stdout.readline())
        assert 0.9 * own <= cpu_ms([shell.pid]) < 1.5 * own
        assert resident_mb(shell.pid) > 5
        assert resident_mb(os.getpid()) > 10
    finally:
        shell.communicate("\n", timeout=PATIENCE)


def test_the_bound_does_the_operations_that_it_lists() -> None:
    """Counted on a stand-in for the token: the list is what a reader sees, the calls are what is measured."""
    calls: dict[str, int] = {"derive": 0, "unwrap": 0, "HMAC": 0, "random": 0}

    class Counted(bound.Operations):
        def __init__(self) -> None:
            self.fleet_kem = self.fleet_opaque = self.fleet_id = self.fleet_seal = self

        def derive(self, key: object) -> bytes:
            calls["derive"] += 1
            return b""

        def hmac(self, key: object) -> bytes:
            calls["HMAC"] += 1
            return b""

        def random(self) -> bytes:
            calls["random"] += 1
            return b""

        def unwrap(self) -> Counted:
            calls["unwrap"] += 1
            return self

        def destroy(self) -> None:
            """Counted with the unwrap."""

    Counted().one_recovery()
    listed = dict.fromkeys(calls, 0)
    for message in bound.OPERATIONS.values():
        for text, count in message.items():
            listed["random" if "random" in text else text.split()[0]] += count
    assert calls == listed


def test_counters_are_read_from_the_last_line_summed_and_subtracted() -> None:
    told = {"votes": 4, "anchors": 1, "batches": [1, 1], "one_round": 2, "two_rounds": 1, "more_rounds": 0}
    log = f'counters {{"votes": 1}}\n12:00 INFO x: counters {json.dumps(told)}\nmore\n'
    both = counted.total([counted.parse(log), told])
    assert (both.votes, both.anchors, both.batches, both.operations) == (8, 2, (2, 2), 6)
    assert (both - counted.total([told])).batches == (1, 1)


def test_batch_sizes_are_told_as_ranges() -> None:
    assert counted.sizes([5, 4, 0, 2]) == {"1": 5, "2": 4, "5 to 8": 2}
