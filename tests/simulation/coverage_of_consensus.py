"""How much of `hsm_app/consensus` the simulator reaches: branches, measured by running seeds in a process of its own.

Measured from outside the modules' import, so a fresh process is needed: `coverage` has to be there first.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
PROGRAM = "import sys; from tests.simulation.runs import run\nfor seed in range(int(sys.argv[1])): run(seed)\n"


def branch_coverage(seeds: int) -> tuple[float, list[str]]:
    """Return per cent of statements and branches of `hsm_app/consensus` that this many seeds reach, and the others."""
    with tempfile.TemporaryDirectory(prefix="simulate-coverage-") as place:
        program, report = Path(place, "run_seeds.py"), Path(place, "report.json")
        program.write_text(PROGRAM)
        common = [f"--data-file={place}/data"]
        measure = ["run", *common, "--branch", "--source=hsm_app/consensus", str(program), str(seeds)]
        _coverage(*measure)
        _coverage("json", *common, "-q", "-o", str(report))
        return read_report(json.loads(report.read_text()))


def read_report(report: dict[str, dict[str, dict[str, list[object]]]]) -> tuple[float, list[str]]:
    """Return the total and the holes of coverage's own report."""
    holes = []
    for name, file in sorted(report["files"].items()):
        holes += [f"{name}:{line}" for line in file["missing_lines"]]
        holes += [f"{name}: the branch {branch}" for branch in file["missing_branches"]]
    total: object = report["totals"]["percent_covered"]
    return float(str(total)), holes


def _coverage(*arguments: str) -> None:
    environment = {"PYTHONPATH": str(ROOT), "PATH": "", "COVERAGE_RCFILE": ""}
    subprocess.run([sys.executable, "-m", "coverage", *arguments], cwd=ROOT, check=True, env=environment)
