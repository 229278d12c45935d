"""Break a real fleet for a while, under load, and see whether it keeps its promises: `make chaos SECONDS=600 SEED=1`.

Five replicas, a relay and their SoftHSM tokens run as processes; `schedule` says what is broken when. It ends with a
report and one line of JSON, and exits with 1 when something was found. The directory of a run that found something is
kept. The same seed gives the same faults in the same order; what the processes make of them is up to the machine.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

from tests.chaos.disks import may_mount
from tests.chaos.report import line, text
from tests.chaos.run import Run


async def until_told(run: Run, seconds: float) -> None:
    """Run, and end early by way of the clean-up when told so by SIGTERM (asyncio does the same for SIGINT)."""
    going = asyncio.ensure_future(run.go(seconds))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, going.cancel)
    await going


def main() -> int:
    parser = argparse.ArgumentParser(prog="chaos", description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=180, help="for how long faults are injected")
    parser.add_argument("--seed", type=int, default=None, help="of the schedule; drawn when it is not given")
    parser.add_argument("--owners", type=int, default=16, help="people with a record of their own")
    parser.add_argument("--sieges", type=int, default=2, help="records that four devices guess at together")
    arguments = parser.parse_args()
    seed = random.randrange(1 << 32) if arguments.seed is None else arguments.seed
    print(
        f"seed {seed}; disks are {'ext4 images' if may_mount() else 'limits and signals of the processes'}", flush=True
    )
    directory = Path(tempfile.mkdtemp(prefix="hsm-vault-chaos-"))
    began = time.monotonic()
    run = Run(directory / "fleet", seed, owners=arguments.owners, sieges=arguments.sieges,
              say=lambda what: print(f"{time.monotonic() - began:7.1f}  {what}", flush=True))  # fmt: skip
    try:
        asyncio.run(until_told(run, arguments.seconds))
    except asyncio.CancelledError:
        print(f"told to end before its time; what it left is in {directory}")
        return 1
    print(f"\n{text(run.story, run.tally)}")
    if run.story.findings:
        print(f"kept for a look: {directory}")
    else:
        shutil.rmtree(directory)
    print(line(run.story, run.tally))
    return 1 if run.story.findings else 0


if __name__ == "__main__":
    sys.exit(main())
