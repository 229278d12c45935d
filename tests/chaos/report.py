"""What a run tells people, and the one line that it tells scripts."""

from __future__ import annotations

import itertools
import json
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from tests.chaos.device import Tally
from tests.chaos.schedule import Fault, Kind

LINE = "CHAOS"


@dataclass(slots=True)
class Story:
    """What happened apart from the clients' operations. Seconds throughout."""

    seed: int
    faults: Counter[Kind] = field(default_factory=Counter)
    rounds: int = 0
    records: int = 0  # looked at in the end
    outages: int = 0
    refusals: list[float] = field(default_factory=list)  # until an operation was refused in an outage
    after_outage: list[float] = field(default_factory=list)  # from the majority's return to the next answer
    restarts: list[float] = field(default_factory=list)  # from the start of a killed replica until it is ready
    full_disk_stops: int = 0  # without a limit beside it (`disks`)
    verified: float = 0  # from the end of the last fault until every record was looked at
    seconds: float = 0
    findings: list[str] = field(default_factory=list)

    def broke(self, fault: Fault) -> None:
        self.faults[fault.kind] += 1


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that at least `share` of the values do not exceed; 0 of none."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)] if values else 0.0


def longest_gap(moments: Sequence[float]) -> float:
    """Return the longest time between two neighbours."""
    ordered = sorted(moments)
    return max((late - early for early, late in itertools.pairwise(ordered)), default=0.0)


def text(story: Story, tally: Tally) -> str:
    """Return the report for people."""
    operations = sum(map(len, tally.seconds.values()))
    every = [one for kind, many in tally.seconds.items() if kind not in ("siege", "exhaust") for one in many]
    lines = [
        f"seed {story.seed}, {story.seconds:.0f} s, {story.records} records, {story.rounds} rounds of faults",
        f"operations  {operations}: " + _counts({kind: len(many) for kind, many in tally.seconds.items()}),
        f"latency     {_spread(every)}, longest time without any answer {longest_gap(tally.successes):.1f} s",
        f"refusals    {_counts(tally.refusals)}",
        f"retries     {_counts(tally.retries)}",
        f"faults      {sum(story.faults.values())}: {_counts(story.faults)}",
        f"outages     {story.outages}: refused after {_spread(story.refusals)}; "
        f"answering again after {_spread(story.after_outage)}",
        f"restarts    {len(story.restarts)}: ready after {_spread(story.restarts)}; "
        f"stopped by lack of blocks alone {story.full_disk_stops}",
        f"the end     every record looked at {story.verified:.1f} s after the last fault",
        *(f"FOUND       {finding}" for finding in story.findings),
    ]
    return "\n".join(lines)


def line(story: Story, tally: Tally) -> str:
    """Return the line for scripts: a word and JSON."""
    values = {
        "seed": story.seed,
        "seconds": round(story.seconds),
        "operations": sum(map(len, tally.seconds.values())),
        "answers": len(tally.successes),
        "records": story.records,
        "faults": sum(story.faults.values()),
        "outages": story.outages,
        "retries": sum(tally.retries.values()),
        "findings": len(story.findings),
    }
    return f"{LINE} {json.dumps(values)}"


def _counts(counted: dict[str, int] | Counter[str] | Counter[Kind]) -> str:
    return (
        ", ".join(f"{kind} {number}" for kind, number in sorted(counted.items(), key=lambda item: -item[1])) or "none"
    )


def _spread(seconds: Iterable[float]) -> str:
    values = list(seconds)
    if not values:
        return "none"
    return f"p50 {percentile(values, 0.5):.3f}, p99 {percentile(values, 0.99):.3f}, max {max(values):.3f} s"
