"""`make simulate` and `make mutants`: many seeds, or each deliberate bug until it is found.

The last line is for scripts: `simulate: ok ...` or `simulate: FOUND ...`, and the exit code says the same.
"""

from __future__ import annotations

import argparse
import os
import sys

from tests.simulation.coverage_of_consensus import branch_coverage
from tests.simulation.mutants import MUTANTS, SEEDS, hunt
from tests.simulation.runs import Total, run, run_all


def simulate(arguments: argparse.Namespace) -> int:
    """Run the seeds, print what failed, and then the figures."""
    if arguments.seed is not None:
        story = run(arguments.seed).story
        print(story or f"seed {arguments.seed} finds nothing")
        return 0 if story is None else 1
    total, failed = Total(), []
    for one, seconds in run_all(arguments.first, arguments.seeds, arguments.workers):
        total.add(one)
        total.seconds = seconds
        if one.story is not None:
            failed.append(one.seed)
            print(one.story, flush=True)
        if total.seeds % 500 == 0:
            print(f"{total.seeds} seeds, {total.seeds_per_minute:.0f} a minute", flush=True)
    covered, holes = branch_coverage(min(arguments.seeds, 300))
    for hole in holes:
        print(f"not reached: {hole}")
    figures = (
        f"seeds={total.seeds} first={arguments.first} seeds_per_minute={total.seeds_per_minute:.0f} "
        f"workers={arguments.workers} chosen={total.choices} evaluations={total.evaluations} starts={total.starts} "
        f"refused_starts={total.refused} consensus_branches={covered:.1f}%"
    )
    print(f"simulate: FOUND {len(failed)} seeds={failed[:20]}; {figures}" if failed else f"simulate: ok {figures}")
    return 1 if failed else 0


def mutants(_arguments: argparse.Namespace) -> int:
    """Hunt each mutant, and print a table."""
    survived = []
    print(f"{'mutant':66} {'found by':14} seeds")
    for name in MUTANTS:
        caught = hunt(name)
        print(f"{name:66} {caught.check if caught else 'SURVIVES':14} {caught.seeds if caught else SEEDS}", flush=True)
        if caught is None:
            survived.append(name)
    verdict = f"SURVIVED {', '.join(survived)};" if survived else "ok"
    print(f"mutants: {verdict} caught={len(MUTANTS) - len(survived)} of={len(MUTANTS)} seeds_at_most={SEEDS}")
    return 1 if survived else 0


def main() -> int:
    """Parse and go."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation")
    parser.add_argument("what", choices=["simulate", "mutants"])
    parser.add_argument("--seeds", type=int, default=10_000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seed", type=int, help="run this one only, and print its transcript if it finds something")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    arguments = parser.parse_args()
    return simulate(arguments) if arguments.what == "simulate" else mutants(arguments)


if __name__ == "__main__":
    sys.exit(main())
