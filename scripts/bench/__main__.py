"""Measure the vault on this machine: `make bench`, or `python scripts/bench --module libsofthsm2.so`.

Brings up a fleet of five on SoftHSM tokens, loads it as clients would, prints each figure as it is known, ends with a
table and writes build/bench.json: the machine, what the figures mean, and each figure with its goal, runs and spread.
With --smoke everything is done once and briefly: that shows that the benchmark works, and nothing about speed.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from figures import Report, describe_machine, heading
from fleet import Fleet
from kills import killed
from levelling import levelling
from measure import FULL, MANY, SMOKE, Bench, Sizes
from stores import stores
from transparency import transparency


def measure_all(report: Report, module: Path, first_port: int, sizes: Sizes) -> None:
    with tempfile.TemporaryDirectory(prefix="hsm-vault-bench-") as name, Fleet(Path(name), module, first_port) as fleet:
        bench = Bench(report, fleet, sizes)
        bench.bound(module, Path(name))
        bench.argon2()
        transparency(report, fleet.manifest, Path(name) / "log", entries=sizes.log_entries, runs=sizes.runs)
        fleet.start()
        bench.registrations(1, sizes.people // 4)
        bench.registrations(MANY, sizes.people - len(bench.people), f"_{MANY}_clients")
        bench.alone()
        bench.together()
        bench.bounds()
        bench.two_killed()
        killed(bench)
        stores(bench, between=levelling)
        fleet.stop()


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench", description=__doc__.splitlines()[0])
    parser.add_argument("--module", type=Path, required=True, help="SoftHSM's PKCS#11 module")
    parser.add_argument("--output", type=Path, default=Path("build/bench.json"), help="where the figures go")
    parser.add_argument("--first-port", type=int, default=17700, help="eleven free ports from here on")
    parser.add_argument("--smoke", action="store_true", help="everything once and briefly; the figures mean nothing")
    arguments = parser.parse_args()
    report = Report(kind="smoke" if arguments.smoke else "full", machine=describe_machine())
    print(heading())
    measure_all(report, arguments.module, arguments.first_port, SMOKE if arguments.smoke else FULL)
    report.write(arguments.output)
    print(f"\n{report.table()}\n\nwritten to {arguments.output}")


if __name__ == "__main__":
    main()
