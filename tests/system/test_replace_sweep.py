"""The sweep of a replacement over many records, with the replica that sweeps killed in the middle of it."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.live_fleet import VAULT, LiveFleet, run
from tests.system.filled_store import REST, record

RECORDS = 3000
SECONDS = 60


@pytest.fixture
def five(tmp_path: Path) -> Iterator[LiveFleet]:
    fleet = LiveFleet.create(tmp_path / "f", 5, "--maintained")
    for name in fleet.replicas:
        words = [sys.executable, "-m", "tests.system.filled_store", str(fleet.settings(name)), str(RECORDS)]
        subprocess.run(words, check=True, cwd=Path(__file__).parents[2])
    yield fleet
    fleet.stop()


def test_a_sweep_that_was_cut_short_is_finished_and_every_record_is_at_a_majority(five: LiveFleet) -> None:
    """VAULT-MEMBERSHIP-SWEPT: what the dead replica and two others chose is at three of four in the end."""
    five.start(*(f"replica-{number}" for number in REST))
    words = ["fleet", "replace-replica", str(five.root), "--replica", "3"]
    with subprocess.Popen([VAULT, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as command:
        wait_for(five.root / "replica-1" / "epochs" / "sweep-2.json")
        five.kill(1)
        _, said = command.communicate(timeout=SECONDS)
    assert command.returncode == 7
    assert "replica-1/door is away" in said
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


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + SECONDS
    while not path.exists():
        assert time.monotonic() < deadline, f"no {path}"
        time.sleep(0.01)
