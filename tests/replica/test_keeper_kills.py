"""SIGKILL on a real process with a real SQLite file and a real SoftHSM token, at each point between two durable writes.

And what an operator with both disks can do: copies, twins, old backups. Every refusal is by the case's name. What
`test_keeper_crashes.py` does with many faults in one life, this does once for each point on the real thing. A loss of
power is not here: what is synced, and when, is in `tests/token/test_anchor.py`.
"""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from hsm_app.merkle.anchor import first_anchor
from hsm_app.token.initialise import initialise_token
from tests.replica.keeper_process import BATCHES, open_anchor
from tests.replica.memory_store import IDENTITY
from tests.token.fresh import SO_PIN, USER_PIN, blank

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Machine:
    """A replica's disk and token, and its processes."""

    directory: Path

    @property
    def store(self) -> Path:
        return self.directory / "store.sqlite"

    def start(self, point: str = "nowhere", turn: int = 1) -> subprocess.Popen[str]:
        words = [str(self.directory), str(self.store), point, str(turn)]
        return subprocess.Popen(
            [sys.executable, "-m", "tests.replica.keeper_process", *words],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self) -> list[str]:
        """Run a process to its end, and return what it said."""
        with self.start() as process:
            return process.communicate()[0].splitlines()

    def killed_at(self, point: str, turn: int) -> list[str]:
        """Run a process up to a point, kill it there, and return what it said before."""
        with self.start(point, turn) as process:
            said = read_until(process, f"at {point}")
            process.send_signal(signal.SIGKILL)
        return said

    def copied_disk(self) -> dict[Path, bytes]:
        return {path: path.read_bytes() for path in self.directory.glob("store.sqlite*")}

    def put_back(self, disk: dict[Path, bytes]) -> None:
        for path in self.directory.glob("store.sqlite*"):
            path.unlink()
        for path, content in disk.items():
            path.write_bytes(content)


def read_until(process: subprocess.Popen[str], last: str) -> list[str]:
    assert process.stdout is not None
    said: list[str] = []
    for line in process.stdout:
        said.append(line.strip())
        if said[-1] == last:
            return said
    raise AssertionError(f"it ended without {last!r}: {said}")


def told(said: list[str], word: str) -> int:
    """The last number that a process said after `word`. A kill may have cut the last line short: that was not said."""
    words = [line.split() for line in said]
    return max((int(both[1]) for both in words if len(both) == 2 and both[0] == word), default=0)


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A token with its first anchor and nothing else, made once."""
    directory = tmp_path_factory.mktemp("pristine") / "token"
    location = blank(directory)
    initialise_token(location, SO_PIN, USER_PIN)
    owner, anchor = open_anchor(location)
    first = first_anchor(
        fleet=IDENTITY.fleet,
        group=IDENTITY.group,
        replica=IDENTITY.replica,
        incarnation=IDENTITY.incarnation,
        epoch=IDENTITY.epoch,
        manifest=IDENTITY.manifest,
    )
    anchor.first(first.to_bytes())
    owner.close()
    return directory


@pytest.fixture
def machine(pristine: Path, tmp_path: Path) -> Machine:
    directory = tmp_path / "replica"
    blank(directory)
    shutil.rmtree(directory / "tokens")
    shutil.copytree(pristine / "tokens", directory / "tokens")
    return Machine(directory)


# The first time at each point belongs to the start's own batch, the third one to the second vote.
POINTS = {
    "before the store's commit": ("before commit", False),
    "between commit and the new anchor": ("after commit", False),
    "before the new anchor": ("before create", False),
    "between the new anchor and the old one's end": ("after create", True),
    "before the old anchor's end": ("before destroy", True),
    "after the old anchor's end": ("after destroy", True),
}


@pytest.mark.parametrize(("point", "is_kept"), POINTS.values(), ids=POINTS.keys())
def test_a_kill_during_a_vote(machine: Machine, point: str, is_kept: bool) -> None:
    """VAULT-ANCHOR-ANSWERED-IS-KEPT"""
    said = machine.killed_at(point, 3)
    assert told(said, "answered") == 1
    after = machine.run()
    assert told(after, "holds") == (2 if is_kept else 1)
    assert told(after, "boot") == 2
    assert told(after, "answered") == told(after, "holds") + BATCHES


@pytest.mark.parametrize(("point", "is_kept"), POINTS.values(), ids=POINTS.keys())
def test_a_kill_during_a_start(machine: Machine, point: str, is_kept: bool) -> None:
    assert told(machine.run(), "answered") == BATCHES
    machine.killed_at(point, 1)
    after = machine.run()
    assert told(after, "holds") == BATCHES
    assert told(after, "boot") == (3 if is_kept else 2)  # the number of a start that nobody saw may come again


RECOVERIES = {
    "before the undo": ("after commit", "before undo"),
    "after the undo": ("after commit", "after undo"),
    "before the leftover anchor's end": ("after create", "before destroy"),
    "after the leftover anchor's end": ("after create", "after destroy"),
}


@pytest.mark.parametrize(("first", "second"), RECOVERIES.values(), ids=RECOVERIES.keys())
def test_a_kill_during_the_recovery_from_a_kill(machine: Machine, first: str, second: str) -> None:
    assert told(machine.killed_at(first, 3), "answered") == 1
    machine.killed_at(second, 1)
    after = machine.run()
    assert told(after, "holds") == (2 if first == "after create" else 1)
    assert told(after, "answered") == told(after, "holds") + BATCHES


@pytest.mark.parametrize("seed", range(3))
def test_kills_at_any_moment(machine: Machine, seed: int) -> None:
    moments = random.Random(seed)
    answered, boots = 0, [0]
    for _ in range(5):
        with machine.start() as process:
            said = [process.stdout.readline()] if process.stdout else []
            time.sleep(moments.uniform(0, 0.03))
            process.send_signal(signal.SIGKILL)
            said += process.stdout.readlines() if process.stdout else []
        assert not said[0].startswith("refused"), said
        held = told(said, "holds") if any(line.startswith("holds") for line in said) else answered
        assert held in (answered, answered + 1)
        assert told(said, "boot") > boots[-1]
        boots.append(told(said, "boot"))
        answered = max(held, told(said, "answered"))
    assert told(machine.run(), "holds") in (answered, answered + 1)


# -- the operator with both disks


def rolled_back(machine: Machine) -> None:
    disk = machine.copied_disk()
    machine.run()
    machine.put_back(disk)


def wiped(machine: Machine) -> None:
    machine.put_back({})


def truncated(machine: Machine) -> None:
    machine.store.write_bytes(machine.store.read_bytes()[:9000])


def token_put_back(machine: Machine) -> None:
    shutil.copytree(machine.directory / "tokens", machine.directory / "old-tokens")
    machine.run()
    shutil.rmtree(machine.directory / "tokens")
    (machine.directory / "old-tokens").rename(machine.directory / "tokens")


def anchor_destroyed(machine: Machine) -> None:
    for path in machine.directory.glob("tokens/*/*.object"):
        if path.name != "token.object":
            path.unlink()


def both_gone(machine: Machine) -> None:
    wiped(machine)
    anchor_destroyed(machine)


DEEDS: dict[str, tuple[Callable[[Machine], None], str]] = {
    "an older store is put back": (rolled_back, "the store was rolled back"),
    "the store is wiped": (wiped, "the store is new or was wiped"),
    "the store's file is cut": (truncated, "it is damaged"),
    "an older token is put back": (token_put_back, "the token was rolled back"),
    "the anchor is destroyed": (anchor_destroyed, "anchor missing"),
    "store and anchor are gone": (both_gone, "anchor missing"),
}


@pytest.mark.parametrize(("deed", "says"), DEEDS.values(), ids=DEEDS.keys())
def test_the_start_refuses_when(machine: Machine, deed: Callable[[Machine], None], says: str) -> None:
    machine.run()
    deed(machine)
    for _ in range(2):
        (said,) = machine.run()
        assert said.startswith("refused")
        assert says in said


def test_a_process_that_was_stopped_while_its_twin_voted_answers_nothing_and_the_twin_goes_on(machine: Machine) -> None:
    """VAULT-ANCHOR-BEFORE-ANSWER"""
    with machine.start("before create", 3) as stopped:
        assert told(read_until(stopped, "at before create"), "answered") == 1
        twin = Machine(machine.directory.parent / "twin")  # a copy of the disk, and the same token
        twin.directory.mkdir()
        twin.put_back({twin.directory / path.name: content for path, content in machine.copied_disk().items()})
        shutil.copy(machine.directory / "softhsm2.conf", twin.directory)
        said = twin.run()
        assert told(said, "holds") == 1  # the batch under way was copied too, and taken back
        assert told(said, "answered") == 1 + BATCHES
        rest = stopped.communicate("")[0]  # goes on where it stood
    assert "answered" not in rest
    assert "refused the anchor to be destroyed is not in the token" in rest
    assert told(twin.run(), "holds") == 1 + BATCHES
    (refused,) = machine.run()  # the other disk is the old one now
    assert "the store was rolled back" in refused
