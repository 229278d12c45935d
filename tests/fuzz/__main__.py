"""`make fuzz`: coverage-guided fuzzing of each harness in turn, with atheris.

The last line is for scripts: `fuzz: ok ...` or `fuzz: FOUND ...`, and the exit code says the same. A finding is left as
a file in build/fuzz/HARNESS; `make fuzz ARGS="--harness HARNESS --replay FILE"` shows it again.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from pathlib import Path
from random import SystemRandom

from tests.fuzz.harnesses import HARNESSES

EXECUTED = re.compile(r"number_of_executed_units:\s*(\d+)")


def fuzz_all(names: list[str], seconds: int, seed: int) -> int:
    """Fuzz each harness for its share of the time, and print what came of it."""
    share = max(1, seconds // len(names))
    executed: dict[str, int] = {}
    found: list[str] = []
    for name in names:
        print(f"{name}: {share} s from seed {seed}", flush=True)
        said, is_clean = fuzz_one(name, share, seed)
        runs = EXECUTED.search(said)
        executed[name] = int(runs[1]) if runs else 0
        print(f"{name}: {executed[name]} executions, {executed[name] // share} a second", flush=True)
        if not is_clean or not executed[name]:
            found.append(name)
            print(said, flush=True)
    each = " ".join(f"{name}={count}" for name, count in executed.items())
    figures = f"seconds={share * len(names)} seed={seed} executions={sum(executed.values())} {each}"
    print(f"fuzz: FOUND {len(found)} in={found}; {figures}" if found else f"fuzz: ok {figures}")
    return 1 if found else 0


def fuzz_one(name: str, seconds: int, seed: int) -> tuple[str, bool]:
    command = [sys.executable, "-m", "tests.fuzz.guided", name, str(seconds), str(seed)]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    return done.stdout.decode(errors="replace"), done.returncode == 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="fuzz", description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, default=300, help="for all harnesses together")
    parser.add_argument("--seed", type=int, help="where the mutations begin")
    parser.add_argument("--harness", choices=HARNESSES, help="this one only")
    parser.add_argument("--replay", type=Path, metavar="FILE", help="run one input through --harness, and no other")
    arguments = parser.parse_args()
    if arguments.replay and not arguments.harness:
        parser.error("--replay needs --harness: the folder that the file was left in")
    if arguments.replay:
        HARNESSES[arguments.harness].check(arguments.replay.read_bytes())
        print("nothing is found with this input")
        return 0
    names = [arguments.harness] if arguments.harness else list(HARNESSES)
    return fuzz_all(names, arguments.seconds, arguments.seed or SystemRandom().randrange(1, 1 << 31))


if __name__ == "__main__":
    sys.exit(main())
