"""Check the model of one record's register exhaustively: `make model`, or `python scripts/model`.

`register.pml` is what is checked, and says what it leaves out. Two searches look at every state within their bounds and
have to find nothing; then each deliberate bug has to be found, since a model without teeth proves nothing. Needs spin
and a C compiler. Ends with one line for scripts, and with 1 when anything is not as it should be.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

MODEL = Path(__file__).with_name("register.pml")
DEPTH = 1_000_000  # steps of one path: far above what any search here reaches, and spin says when it is not
TABLE = 26  # two to this many slots of 8 bytes


@dataclass(frozen=True, slots=True)
class Search:
    """One run of spin. `bug` is the macro of a deliberate bug, which has to be found, or empty."""

    name: str
    bounds: dict[str, int]
    bug: str = ""


@dataclass(frozen=True, slots=True)
class Result:
    """What a run said: states stored, depth of the longest path, seconds, MiB, and the assertion that failed."""

    search: Search
    states: int
    depth: int
    seconds: float
    memory: float
    violated: str
    is_whole: bool

    @property
    def is_well(self) -> bool:
        return bool(self.violated) if self.search.bug else self.is_whole and not self.violated


WHOLE = (
    Search("two proposers in each other's way", {"PROPOSERS": 2, "ROUNDS": 3}),
    Search("one proposer and its older selves, a longer story", {"PROPOSERS": 1, "ROUNDS": 5}),
)
BUGS = (
    Search("the next ballot is used twice after a time-out", {"ROUNDS": 4}, "BUG_NEXT_REUSED"),
    Search("an accept below the promise is taken", {"ROUNDS": 3}, "BUG_BELOW_PROMISE"),
    Search("a promise is not durable", {"ROUNDS": 3}, "BUG_PROMISE_NOT_DURABLE"),
    Search("an answer leaves that only a minority holds", {"ROUNDS": 3}, "BUG_MINORITY_READ"),
    Search("the evaluation comes before the charge is chosen", {"ROUNDS": 3}, "BUG_EVALUATE_FIRST"),
    Search("a repeated finish gives back once more", {"PROPOSERS": 1, "ROUNDS": 7}, "BUG_REFUND_AGAIN"),
    Search("one replica counts twice", {"ROUNDS": 3}, "BUG_COUNT_TWICE"),
    Search("a promise at equality, a ballot issued again", {"ROUNDS": 3}, "BUG_EQUALITY_AND_REUSE"),
)


class ModelError(Exception):
    """Spin or the compiler could not do its part."""


def check(search: Search) -> Result:
    """Make the verifier of one search in a folder of its own and run it to its end."""
    macros = [f"-D{name}={number}" for name, number in search.bounds.items()]
    macros += [f"-D{search.bug}"] if search.bug else []
    with tempfile.TemporaryDirectory(prefix="hsm-vault-model-") as name:
        folder = Path(name)
        _run(folder, "spin", "-a", *macros, str(MODEL))
        # No reduction: a statement here is one atomic step of the protocol, so there is nothing to leave out.
        _run(folder, "gcc", "-O2", "-w", "-DSAFETY", "-DCOLLAPSE", "-DNOREDUCE", "-DVECTORSZ=512", "-o", "pan", "pan.c")
        began = time.monotonic()
        said = _run(folder, "./pan", f"-m{DEPTH}", f"-w{TABLE}")
        return read(search, said, time.monotonic() - began)


def _run(folder: Path, *words: str) -> str:
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ModelError(f"{words[0]} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


def read(search: Search, said: str, seconds: float) -> Result:
    """Read what the verifier printed. ModelError when it is not a verifier's report."""
    violated = re.search(r"assertion violated (.*) \(at depth", said)
    return Result(
        search=search,
        states=int(_number(r"([\d.e+]+) states, stored", said)),
        depth=int(_number(r"depth reached (\d+)", said)),
        seconds=seconds,
        memory=_number(r"([\d.]+)\s+total actual memory usage", said),
        violated=violated.group(1) if violated else "",
        is_whole="errors: 0" in said and "max search depth too small" not in said and "out of memory" not in said,
    )


def _number(pattern: str, said: str) -> float:
    found = re.search(pattern, said)
    if found is None:
        raise ModelError(f"spin did not say {pattern!r}:\n{said}")
    return float(found.group(1))


def tell(result: Result) -> None:
    verdict = "found" if result.search.bug else "holds"
    print(
        f"{verdict if result.is_well else 'NOT ' + verdict:9}  {result.search.name:52}"
        f" {result.states:>10,} states  depth {result.depth:>6}  {result.seconds:6.1f} s  {result.memory:6.0f} MiB",
        flush=True,
    )


def main() -> int:
    """Run all searches, as many at once as there are cores."""
    results: list[Result] = []
    try:
        with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
            for result in pool.map(check, (*WHOLE, *BUGS)):
                tell(result)
                results.append(result)
    except ModelError as error:
        print(f"model: {error}", file=sys.stderr)
        return 1
    states = sum(result.states for result in results if not result.search.bug)
    found = sum(result.is_well for result in results if result.search.bug)
    is_well = all(result.is_well for result in results)
    print(f"model: {'ok' if is_well else 'FAILED'} states={states} bugs_found={found}/{len(BUGS)}")
    return 0 if is_well else 1


if __name__ == "__main__":
    sys.exit(main())
