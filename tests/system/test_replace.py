"""A replica is replaced for good, on real processes and tokens, by the command line alone.

Covered: a token that died; a store that was wiped, with two others cut off; the ten guesses across all of it; the
command killed at each of its steps; the old token that comes back, as it was and with the new manifest; a replica that
was away; a sealed fleet with a dead token and with a living one; a client that pins the old manifest. Not covered:
power loss (nothing here cuts it), and an operator who runs other software than this.
"""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hsm_app.epochs import Epochs, read_manifest
from tests.live_fleet import ROOT, VAULT, LiveFleet, run, well

WRONG = "a wrong guess"
# What the command says when a step is done, in order. It is killed after each of them.
STEPS = (
    "replica 3 is no member",
    "entered epoch 2",
    "replica 1 sweeps",
    "certificate of epoch 2",
    "was moved to",
    "fresh token initialised",
    "fleet root carried",
    "the fresh token opens",
    "replica 3 is a member again",
    "has anchored an empty store",
    "entered epoch 3",
)


@pytest.fixture
def five(tmp_path: Path) -> Iterator[LiveFleet]:
    fleet = LiveFleet.create(tmp_path / "f", 5, "--maintained")
    yield fleet
    fleet.stop()


@pytest.fixture
def sealed(tmp_path: Path) -> Iterator[LiveFleet]:
    fleet = LiveFleet.create(tmp_path / "f", 3, "--sealed")
    yield fleet
    fleet.stop()


def register(fleet: LiveFleet, account: str, home: Path) -> tuple[str, str]:
    """Register; return the code, and the key as 64 digits."""
    config = fleet.client_config(account, home)
    code = json.loads(well("client", "register", "--config", str(config), "--json"))["code"]
    return code, well("client", "recover", "--config", str(config), "--print-key", code=code).strip()


def guess(fleet: LiveFleet, account: str, home: Path, code: str) -> tuple[int, str]:
    """One try on a device with the client configuration that the fleet gives out now."""
    done = run("client", "recover", "--config", str(fleet.client_config(account, home)), "--print-key", code=code)
    return done.returncode, done.stdout.strip() or done.stderr


def left(fleet: LiveFleet, account: str, home: Path) -> int:
    found = json.loads(well("client", "status", "--config", str(fleet.client_config(account, home)), "--json"))
    return int(found["attempts_left"])


def replace(fleet: LiveFleet, replica: int, *options: str) -> subprocess.CompletedProcess[str]:
    return run("fleet", "replace-replica", str(fleet.root), "--replica", str(replica), *options)


def killed_after(fleet: LiveFleet, replica: int, said: str, *options: str) -> bool:
    """Run the command and have it killed as soon as it has said this; return whether it came so far."""
    words = [sys.executable, "-m", "tests.system.killed", said, "fleet", "replace-replica", str(fleet.root)]
    words += ["--replica", str(replica), *options]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, check=False)
    return done.returncode == -signal.SIGKILL


def old_one_elsewhere(fleet: LiveFleet, home: Path) -> Path:
    """Copy replica 3, token and store and all, to where it does not lie in its successor's way; return its settings."""
    shutil.copytree(fleet.root / "replica-3", home, ignore=shutil.ignore_patterns("door"))  # a socket
    for name in ("replica.toml", "softhsm2.conf"):
        text = (home / name).read_text().replace(str(fleet.root / "replica-3"), str(home))
        (home / name).write_text(text)
    return home / "replica.toml"


def old_one_started(fleet: LiveFleet, settings: Path) -> Path:
    """Start what `old_one_elsewhere` copied, in the place of replica 3; return its log."""
    log = settings.parent / "log"
    with log.open("wb") as sink:
        old = subprocess.Popen(
            [VAULT, "replica", "serve", "--config", str(settings)], stdout=sink, stderr=subprocess.STDOUT
        )
    fleet.processes["replica-3"] = old
    fleet.log("replica-3").unlink()
    fleet.log("replica-3").symlink_to(log)
    fleet.wait_ready("replica-3")
    return log


def test_a_dead_token_is_replaced_and_nothing_is_lost_or_won(five: LiveFleet, tmp_path: Path) -> None:
    """VAULT-MEMBERSHIP-SWEPT, VAULT-MEMBERSHIP-NEW-INCARNATION: with the command killed at each of its steps."""
    five.start()
    victim, key = register(five, "victim", tmp_path / "victim")
    safe, safe_key = register(five, "safe", tmp_path / "safe")
    register(five, "attacked", tmp_path / "attacked")
    for _ in range(4):
        assert guess(five, "attacked", tmp_path / "attacker", WRONG)[0] == 21
    stale = five.client_config("victim", tmp_path / "stale")

    assert "is running" in replace(five, 3).stderr
    five.kill(3)
    old_settings = old_one_elsewhere(five, tmp_path / "old")
    five.kill(5)  # away for the first epoch
    came_so_far = [killed_after(five, 3, said) for said in STEPS]
    assert all(came_so_far), dict(zip(STEPS, came_so_far, strict=True))
    five.start("replica-5")
    done = replace(five, 3)
    assert done.returncode == 0, done.stderr
    assert "entered epoch 3: replicas 1, 2, 4, 5" in done.stdout
    assert "clients need the manifest of epoch 3" in done.stdout
    five.start("replica-3")

    refused = run("client", "recover", "--config", str(stale), "--print-key", code=victim)
    assert refused.returncode == 3
    assert "manifest" in refused.stderr
    assert left(five, "attacked", tmp_path / "attacked") == 6
    five.kill(1)
    five.kill(2)
    assert guess(five, "victim", tmp_path / "new", victim) == (0, key)
    assert guess(five, "safe", tmp_path / "newer", safe) == (0, safe_key)
    for _ in range(5):
        assert guess(five, "attacked", tmp_path / "attacker", WRONG)[0] == 21
    last = [guess(five, "attacked", tmp_path / "attacker", WRONG)[0] for _ in range(2)]
    assert last == [21, 22]

    the_old_token_is_refused(five, old_settings)


def the_old_token_is_refused(fleet: LiveFleet, settings: Path) -> None:
    """As it was, it finds nobody in its epoch; with the new manifest, its keys are not those of replica 3."""
    fleet.kill(3)
    log = old_one_started(fleet, settings)
    fleet.wait_said("replica-3", "in epoch 3, which is another epoch than 1")
    fleet.wait_said("replica-3", "who was replaced stays out")
    assert "no majority of the group can be reached" in log.read_text()
    fleet.wait_said("replica-4", "replica 3 is in epoch 1")
    fleet.kill(3)
    shutil.copy(fleet.root / "replica-3" / "manifest.json", settings.parent / "manifest.json")
    done = run("replica", "serve", "--config", str(settings))
    assert done.returncode == 6
    assert "replica-identity" in done.stderr


def test_a_wiped_store_with_two_others_cut_off_gains_no_guess(five: LiveFleet, tmp_path: Path) -> None:
    """VAULT-MEMBERSHIP-NEW-INCARNATION: it does not vote before it was replaced, and then as somebody new."""
    five.start()
    code, key = register(five, "owner", tmp_path / "owner")
    five.kill(4)
    five.kill(5)
    for _ in range(9):
        assert guess(five, "owner", tmp_path / "attacker", WRONG)[0] == 21
    five.kill(1)
    five.kill(2)
    five.kill(3)
    for part in (five.root / "replica-3").glob("store.sqlite*"):
        part.unlink()
    five.start("replica-4", "replica-5")
    five.launch("replica-3")
    status, said = five.ended("replica-3")
    assert status == 8
    assert "wiped" in said
    assert guess(five, "owner", tmp_path / "attacker", WRONG)[0] == 7
    five.start("replica-1", "replica-2")
    done = replace(five, 3, "--same-token")
    assert done.returncode == 0, done.stderr
    five.start("replica-3")
    five.kill(1)
    five.kill(2)
    assert left(five, "owner", tmp_path / "owner") == 1
    assert guess(five, "owner", tmp_path / "new", code) == (0, key)


def test_a_sealed_fleet_stops_without_the_dead_token_and_takes_a_living_one_back(
    sealed: LiveFleet, tmp_path: Path
) -> None:
    sealed.start()
    code, key = register(sealed, "owner", tmp_path / "owner")
    sealed.kill(3)
    stopped = replace(sealed, 3)
    assert stopped.returncode == 0, stopped.stderr
    assert "the fleet is sealed" in stopped.stdout
    assert "certificate of epoch 2" in stopped.stdout
    assert guess(sealed, "owner", tmp_path / "new", code) == (0, key)
    assert "is certified already" in replace(sealed, 3).stdout
    for part in (sealed.root / "replica-3").glob("store.sqlite*"):
        part.unlink()
    back = replace(sealed, 3, "--same-token")
    assert back.returncode == 0, back.stderr
    sealed.start("replica-3")
    sealed.kill(1)
    assert guess(sealed, "owner", tmp_path / "newer", code) == (0, key)


def test_one_at_a_time(five: LiveFleet) -> None:
    """VAULT-MEMBERSHIP-ONE-AT-A-TIME: another one waits, no epoch is issued twice, and a minority does nothing."""
    five.start("replica-1", "replica-2", "replica-4")
    assert killed_after(five, 3, "entered epoch 2")
    a_manifest_found_at_start_is_judged_like_any(five)
    issued = five.root / "epochs" / "manifest-2.json"
    issued.rename(five.root / "lost")
    anew = replace(five, 3)
    assert (anew.returncode, "is in epoch 2, which this directory has not issued" in anew.stderr) == (3, True)
    (five.root / "lost").rename(issued)
    other = replace(five, 5)
    assert other.returncode == 3
    assert "another replica is under way" in other.stderr
    five.kill(1)
    few = replace(five, 3)
    assert few.returncode == 7
    assert "it takes 3" in few.stderr


def a_manifest_found_at_start_is_judged_like_any(fleet: LiveFleet) -> None:
    """What a crash leaves between the files of an entry and its anchor is entered; the file alone is not."""
    own = fleet.root / "replica-5" / "manifest.json"
    first, second = own.read_bytes(), read_manifest(fleet.root / "epochs" / "manifest-2.json")
    own.write_bytes(second.raw)
    fleet.launch("replica-5")
    status, said = fleet.ended("replica-5")
    assert status == 8
    assert "nothing proves" in said
    own.write_bytes(first)
    Epochs(own).enter(second, [])
    fleet.start("replica-5")
    fleet.wait_said("replica-5", "link to replica 1 is up")
    own.write_bytes(first)
    fleet.kill(5)
    fleet.launch("replica-5")
    status, said = fleet.ended("replica-5")
    assert status == 8
    assert "the manifest was rolled back" in said
