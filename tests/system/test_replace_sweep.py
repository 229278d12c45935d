"""The sweep of a replacement over many records, with the replica that sweeps killed in the middle of it."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.live_fleet import ROOT, LiveFleet, run
from tests.system.filled_store import REST, record
from tests.system.killed import SWEPT

RECORDS = 1200  # three pages


@pytest.fixture
def five(tmp_path: Path) -> Iterator[LiveFleet]:
    fleet = LiveFleet.create(tmp_path / "f", 5, "--maintained")
    for name in fleet.replicas:
        words = [sys.executable, "-m", "tests.system.filled_store", str(fleet.settings(name)), str(RECORDS)]
        subprocess.run(words, check=True, cwd=ROOT)
    yield fleet
    fleet.stop()


def test_a_sweep_that_was_cut_short_is_finished_and_every_record_is_at_a_majority(five: LiveFleet) -> None:
    """VAULT-MEMBERSHIP-SWEPT: what the dead replica and two others chose is at three of four in the end."""
    five.launch("replica-1", (sys.executable, "-m", "tests.system.killed", SWEPT))
    five.start(*(f"replica-{number}" for number in REST[1:]))
    five.wait_ready("replica-1")
    words = ["fleet", "replace-replica", str(five.root), "--replica", "3"]
    stopped = run(*words)
    assert five.ended("replica-1")[0] == -signal.SIGKILL
    assert (stopped.returncode, "replica-1/door is away" in stopped.stderr) == (7, True), stopped.stderr
    assert min(holders(five).values()) < 3, "it was finished before it was killed"
    done = run(*words)
    assert done.returncode == 0, done.stderr
    assert f"swept: {RECORDS} records" in done.stdout
    five.start("replica-1", "replica-3")
    assert run("fleet", "enter", str(five.root)).returncode == 0
    assert min(holders(five).values()) >= 3


def holders(fleet: LiveFleet) -> Counter[bytes]:
    """Count, for each record, the stores of the old members that hold its value."""
    found: Counter[bytes] = Counter({record(number): 0 for number in range(RECORDS)})
    for number in REST:
        path = fleet.root / f"replica-{number}" / "copy"
        for part in fleet.root.joinpath(f"replica-{number}").glob("store.sqlite*"):
            path.with_name(part.name.replace("store", "copy")).write_bytes(part.read_bytes())
        with closing(sqlite3.connect(path.with_name("copy.sqlite"))) as copy:
            rows = copy.execute("SELECT record FROM contents WHERE value = ?", (b"sealed",)).fetchall()
        found.update(bytes(row[0]) for row in rows)
    return found
