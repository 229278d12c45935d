"""What a benchmark says: figures with their goal, runs and spread, and the machine they were measured on.

A figure's value is the median of its runs; its spread is the least and the greatest run. A goal is `<= x` or `>= x`;
a figure without a goal is there to be known. A missed goal is reported like a met one, and changes no exit code.
"""

from __future__ import annotations

import json
import math
import os
import platform
import ssl
import statistics
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path

LIBRARIES = ("cryptography", "msgpack", "python-pkcs11")


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """A bound that the value should keep: `relation` is `<=` or `>=`."""

    relation: str
    bound: float

    def met(self, value: float) -> bool:
        return value <= self.bound if self.relation == "<=" else value >= self.bound

    def __str__(self) -> str:
        return f"{self.relation} {self.bound:g}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One measured figure: `value` is the median of `runs`, `spread` the least and the greatest of them."""

    name: str
    value: float
    unit: str
    goal: str | None
    met: bool | None
    runs: tuple[float, ...]
    spread: tuple[float, float]
    note: str


def figure(name: str, runs: Sequence[float], unit: str, goal: Goal | None = None, note: str = "") -> Figure:
    """Make a figure of one or more runs."""
    rounded = tuple(float(f"{run:.5g}") for run in runs)
    value = float(f"{statistics.median(rounded):.5g}")
    return Figure(
        name=name,
        value=value,
        unit=unit,
        goal=str(goal) if goal else None,
        met=goal.met(value) if goal else None,
        runs=rounded,
        spread=(min(rounded), max(rounded)),
        note=note,
    )


def percentile(values: Iterable[float], share: float) -> float:
    """Return the nearest-rank percentile: the least value that `share` (0..1) of all values do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


@dataclass(slots=True)
class Report:
    """The figures of one run of the benchmark, in the order they were measured."""

    kind: str  # "full", or "smoke": too short to be believed
    machine: dict[str, object]
    texts: dict[str, object] = field(default_factory=dict)  # what the figures mean, fixed lists included
    figures: list[Figure] = field(default_factory=list)

    def add(self, *figures: Figure) -> None:
        """Keep figures and say each at once: a long run shows that it lives. ValueError for a name that is taken."""
        for one in figures:
            if any(one.name == other.name for other in self.figures):
                raise ValueError(f"two figures are called {one.name}")
            self.figures.append(one)
            print(row(one), flush=True)

    def write(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(asdict(self), indent=2) + "\n")

    def table(self) -> str:
        return "\n".join([heading(), *(row(one) for one in self.figures)])


def heading() -> str:
    return f"{'figure':<44} {'value':>10} {'unit':<12} {'goal':<9} {'':<6} {'runs':>4}  spread"


def row(one: Figure) -> str:
    verdict = {None: "", True: "met", False: "missed"}[one.met]
    low, high = one.spread
    spread = f"{low:g} .. {high:g}" if len(one.runs) > 1 else ""
    return (
        f"{one.name:<44} {one.value:>10g} {one.unit:<12} {one.goal or '':<9} {verdict:<6} {len(one.runs):>4}  {spread}"
    )


def describe_machine() -> dict[str, object]:
    """Say what was measured on, and how busy it was before the benchmark began."""
    return {
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_mb": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20,
        "kernel": platform.release(),
        "python": platform.python_version(),
        "openssl": ssl.OPENSSL_VERSION,
        "softhsm": _first_line("softhsm2-util", "--version"),
        **{name: version(name) for name in LIBRARIES},
        "commit": _first_line("git", "rev-parse", "HEAD"),
        "load_before": os.getloadavg()[0],
    }


def _cpu_model() -> str:
    names = [
        line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line
    ]
    return names[0] if names else platform.machine()


def _first_line(*command: str) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[0]
    except (OSError, subprocess.CalledProcessError, IndexError):
        return "unknown"
