"""What a replacement brings in dies before the replacement is done, on real processes and tokens.

Covered: a new token that dies before any epoch lists it, between the epoch that lists it and its first anchor, and when
one of the others has entered that epoch; the ten guesses across all of it; the old member that runs again meanwhile; a
new machine that loses its files or its store while its token lives; a command that is run with the wrong option; and
what is refused: giving up a token that lives, with too few others, or where nothing is under way; a sealed fleet whose
group is even in size. Not covered: a root of trust (`tests/system/test_delivery.py`), evidence
(`tests/ceremony/test_upkeep.py`).
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from hsm_app.epochs import read_manifest
from tests.live_fleet import FLEET, LiveFleet, run
from tests.system.test_replace import (
    WRONG,
    guess,
    killed_after,
    left,
    old_one_elsewhere,
    old_one_started,
    register,
    replace,
)

DIED = "--new-token-died"
SHORT = "patience_seconds = 2\n"
NOBODY_SERVES = {3, 7}  # no majority, or who answered is in another epoch than the client


@pytest.fixture
def three(tmp_path: Path) -> Iterator[LiveFleet]:
    fleet = LiveFleet.create(tmp_path / "f", 3, "--maintained")
    yield fleet
    fleet.stop()


def lose_token(fleet: LiveFleet) -> None:
    shutil.rmtree(fleet.root / "replica-3" / "tokens")


def incarnations(fleet: LiveFleet) -> dict[int, int]:
    """Return the members of the manifest that clients get, with their incarnations."""
    group = read_manifest(fleet.root / "manifest.json").fleet(FLEET).groups[0]
    return {int(member.replica): member.incarnation for member in group.replicas}


def refused(done: subprocess.CompletedProcess[str], code: int, says: str) -> None:
    assert (done.returncode, says in done.stderr) == (code, True), done.stdout + done.stderr


def test_a_new_token_that_dies_once_it_is_listed_is_replaced_and_no_guess_is_won(
    three: LiveFleet, tmp_path: Path
) -> None:
    """VAULT-MEMBERSHIP-ISSUED-STAYS: a wrong guess in each epoch, and each is still counted in the last one."""
    three.start()
    code, key = register(three, "owner", tmp_path / "owner")
    assert guess(three, "owner", tmp_path / "attacker", WRONG)[0] == 21
    refused(replace(three, 3, DIED), 3, "epoch 1 does not wait for a new token of replica 3")
    three.kill(3)
    old_settings = old_one_elsewhere(three, tmp_path / "old")
    assert killed_after(three, 3, "replica 3 is a member again")
    (three.root / "epochs" / "manifest-3.json").unlink()  # as one line earlier: the token is made, and nobody lists it
    lose_token(three)
    unlisted = replace(three, 3)
    refused(unlisted, 6, DIED)
    assert not (three.root / "epochs" / "manifest-3.json").exists(), "a token that cannot sign was listed"
    well = replace(three, 3, DIED)
    assert (well.returncode, "was set aside; no epoch lists it" in well.stdout) == (0, True), well.stderr
    refused(replace(three, 3, DIED), 3, "no fresh token of replica 3 was made")
    assert guess(three, "owner", tmp_path / "attacker", WRONG)[0] == 21

    old_one_started(three, old_settings)  # and it runs on until epoch 5
    assert killed_after(three, 3, "replica 3 is a member again")
    refused(replace(three, 3, DIED), 3, "the new token of replica 3 lives")
    lose_token(three)
    refused(replace(three, 3), 6, DIED)
    refused(replace(three, 3, "--same-token"), 3, "was issued for another token")
    three.kill(2)
    refused(replace(three, 3, DIED), 7, "1 replicas run, and epoch 3 serves with 2")
    assert read_manifest(three.root / "replica-1" / "manifest.json").epoch == 2, "too few of them entered it"
    three.start("replica-2")
    done = replace(three, 3, DIED)
    assert (done.returncode, "epoch 3 is complete" in done.stdout) == (0, True), done.stderr
    three.wait_said("replica-3", "in epoch 3, which is another epoch than 1")
    assert incarnations(three) == {1: 1, 2: 1, 3: 2}
    assert guess(three, "owner", tmp_path / "attacker", WRONG)[0] == 21

    shutil.rmtree(three.root / "replica-3")
    done = replace(three, 3)
    assert done.returncode == 0, done.stderr
    assert incarnations(three) == {1: 1, 2: 1, 3: 3}
    three.wait_said("replica-3", "in epoch 5, which is another epoch than 1")
    three.kill(3)
    three.log("replica-3").unlink()
    three.start("replica-3")
    three.kill(1)
    assert left(three, "owner", tmp_path / "owner") == 7
    assert guess(three, "owner", tmp_path / "new", code) == (0, key)


def test_a_new_machine_is_lost_while_its_token_lives_and_then_the_token_too(three: LiveFleet, tmp_path: Path) -> None:
    """VAULT-MEMBERSHIP-ISSUED-STAYS: each time when one of the others has entered the epoch, and the other has not."""
    three.start()
    code, key = register(three, "owner", tmp_path / "owner")
    three.kill(3)
    assert killed_after(three, 3, "replica 3 is a member again")
    here = three.root / "replica-3"
    for name in ("keys.json", "replica.toml", "so-pin"):
        (here / name).unlink()
    refused(replace(three, 3, "--same-token"), 3, "was issued for another token")
    assert not (three.root / "retired" / "replica-3-incarnation-2").exists()
    one_enters(three, 3)
    listing = three.root / "epochs" / "manifest-3.json"
    listing.rename(tmp_path / "listing")
    refused(replace(three, 3), 3, "replica 1 is in epoch 3 under another manifest")
    (tmp_path / "listing").rename(listing)
    (here / "manifest.json").unlink()
    shutil.rmtree(here / "epochs")  # what it was told before its anchor is lost after it
    refused(replace(three, 3), 7, "1 replicas have entered epoch 3, and it takes 2")
    three.start("replica-3")
    assert guess_in(three, 3, "owner", tmp_path / "attacker") == 21  # counted by replica 1, and by the one to be lost
    three.kill(3)
    for part in here.glob("store.sqlite*"):
        part.unlink()
    three.launch("replica-3")
    status, said = three.ended("replica-3")
    assert (status, "wiped" in said) == (8, True), said
    three.start("replica-2")
    assert guess_in(three, 3, "owner", tmp_path / "attacker", SHORT) in NOBODY_SERVES
    refused(replace(three, 3, DIED), 3, "the new token of replica 3 lives")
    assert replace(three, 3).returncode == 0
    assert guess(three, "owner", tmp_path / "attacker", WRONG)[0] == 21
    done = replace(three, 3, "--same-token")
    assert done.returncode == 0, done.stderr
    assert incarnations(three) == {1: 1, 2: 1, 3: 3}

    assert killed_after(three, 3, "fleet root carried")
    refused(replace(three, 3, "--same-token"), 6, "is not the one that incarnation 4 has")
    assert killed_after(three, 3, "replica 3 is a member again")
    one_enters(three, 7)
    lose_token(three)
    three.start("replica-2")
    assert guess_in(three, 7, "owner", tmp_path / "attacker", SHORT) in NOBODY_SERVES
    assert replace(three, 3, DIED).returncode == 0
    assert guess(three, "owner", tmp_path / "attacker", WRONG)[0] == 21
    assert replace(three, 3).returncode == 0
    assert incarnations(three) == {1: 1, 2: 1, 3: 5}
    three.start("replica-3")
    three.kill(1)
    assert left(three, "owner", tmp_path / "owner") == 7
    assert guess(three, "owner", tmp_path / "new", code) == (0, key)


def test_a_sealed_fleet_of_even_size_goes_on_without_a_token_that_died_as_it_came_back(tmp_path: Path) -> None:
    """VAULT-MEMBERSHIP-ISSUED-STAYS, VAULT-MEMBERSHIP-SWEPT: four members serve with three, and leave with a sweep."""
    fleet = LiveFleet.create(tmp_path / "f", 5, "--sealed")
    try:
        fleet.start("replica-1", "replica-2", "replica-3", "replica-4", "relay")
        assert "the fleet is sealed" in replace(fleet, 5).stdout
        code, key = register(fleet, "owner", tmp_path / "owner")
        fleet.kill(4)
        assert killed_after(fleet, 4, "replica 4 is a member again", "--same-token")
        shutil.rmtree(fleet.root / "replica-4" / "tokens")
        refused(replace(fleet, 4, "--same-token"), 6, DIED)
        refused(replace(fleet, 4), 3, "was issued for another token")
        fleet.kill(3)
        refused(replace(fleet, 4, DIED), 7, "2 replicas run, and epoch 4 serves with 3")
        assert read_manifest(fleet.root / "replica-1" / "manifest.json").epoch == 3
        fleet.start("replica-3")
        assert replace(fleet, 4, DIED).returncode == 0
        done = replace(fleet, 4)
        said = [f"certificate of epoch {epoch}" in done.stdout for epoch in (4, 5)]
        assert (done.returncode, said, incarnations(fleet)) == (0, [True, True], {1: 1, 2: 1, 3: 1}), done.stderr
        fleet.kill(1)
        assert guess(fleet, "owner", tmp_path / "new", code) == (0, key)
    finally:
        fleet.stop()


def one_enters(fleet: LiveFleet, epoch: int) -> None:
    """Have replica 1 enter the epoch that lists the new token, while replica 2 is away in the one before."""
    fleet.kill(2)
    refused(replace(fleet, 3), 7, f"1 replicas have entered epoch {epoch}, and it takes 2")


def guess_in(fleet: LiveFleet, epoch: int, account: str, home: Path, patience: str = "") -> int:
    """One wrong try by a client that has an epoch's manifest before the command gives it to clients."""
    config, early = fleet.client_config(account, home), fleet.root / "epochs" / f"manifest-{epoch}.json"
    text = config.read_text().replace(str(fleet.root / "manifest.json"), str(early))
    now = read_manifest(fleet.root / "manifest.json").digest.hex()
    config.write_text(patience + text.replace(now, read_manifest(early).digest.hex()))
    return run("client", "recover", "--config", str(config), "--print-key", code=WRONG).returncode
