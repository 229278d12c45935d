"""Moving from one fleet to the next: the operator's way and a person's, with a receipt and without one.

Each person here has a record in the old fleet from before the move, except where the test says otherwise.
"""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from hsm_app.client.state import BEGUN, DeviceState, Migration
from tests.live_fleet import FLEET, VAULT, LiveFleet, run, well
from tests.patience import PATIENCE
from tests.ports import free_ports
from tests.system.published_fleet import CODE, World, client, kept, published_world

NEW = "next-fleet"
PEOPLE = ("anna", "berta", "clara", "dora", "emil", "fritz")


@dataclass
class Moved:
    """Both fleets, published: the old one only recovers."""

    world: World
    new: LiveFleet
    root: Path
    too_early: subprocess.CompletedProcess[str]  # `namespace publish`, while no replica of the new fleet ran

    def phone(self, account: str, home: Path) -> Path:
        """A device that has nothing but what the app ships and a token for every fleet."""
        self.world.fleet.client_config(account, home)
        return self.tokened(account, home)

    def tokened(self, account: str, home: Path) -> Path:
        token = home / "account-token"
        token.unlink(missing_ok=True)
        files = ("--key", str(self.world.fleet.root / "tenant" / "demo.pem"), "--out", str(token))
        well("tenant", "token", *files, "--manifest", str(self.new.root / "manifest.json"), "--tenant", "demo",
             "--account", account)  # fmt: skip
        return home / "client.toml"

    @contextmanager
    def without_old(self) -> Iterator[None]:
        """Two of the old fleet's three replicas are away."""
        self.world.fleet.kill(1)
        self.world.fleet.kill(2)
        try:
            yield
        finally:
            self.world.fleet.start()


@pytest.fixture(scope="module")
def moved(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Moved]:
    root = tmp_path_factory.mktemp("migration")
    with published_world(root) as world:
        assert world.publish(world.bundle_of(world.manifest.raw)).returncode == 0
        for person in PEOPLE:
            config = world.fleet.client_config(person, root / person)
            done = client("register", config, "--choose-code", code=CODE)
            assert done.returncode == 0, done.stderr
        new = _join(world, root)
        try:
            bundle = world.bundle_of((new.root / "manifest.json").read_bytes())
            too_early = world.publish(bundle, new)
            new.start(*new.replicas)
            for fleet in (new, world.fleet):
                done = world.publish(bundle, fleet)
                assert done.returncode == 0, done.stderr
            _tell_the_relay(world, new)
            yield Moved(world, new, root, too_early)
        finally:
            new.stop()


def test_a_bundle_that_no_replica_took_is_not_published(moved: Moved) -> None:
    said = moved.too_early.stderr
    assert (moved.too_early.returncode, "no replica runs" in said, "run the same command again" in said) == (
        7,
        True,
        True,
    )


def _join(world: World, root: Path) -> LiveFleet:
    ports = ",".join(map(str, free_ports(7)))
    well("fleet", "create", str(root / "new"), "--replicas", "3", "--fleet-id", NEW, "--ports", ports, "--argon2",
         "1,64,1", "--waits", "0", "--after", str(world.fleet.root))  # fmt: skip
    return LiveFleet(root / "new", 3)


def _tell_the_relay(world: World, new: LiveFleet) -> None:
    """One relay for both fleets, so that the app needs no new address."""
    groups = next(line for line in (new.root / "relay.toml").read_text().splitlines() if line.startswith("groups"))
    relay = world.fleet.root / "relay.toml"
    relay.write_text(f"{relay.read_text()}\n[fleets]\n{groups.replace('groups', NEW)}\n")
    process = world.fleet.processes.pop("relay")
    process.terminate()
    process.wait(timeout=PATIENCE)
    world.fleet.start("relay")


def test_a_device_moves_its_record_and_holds_a_receipt(moved: Moved) -> None:
    config = moved.tokened("anna", moved.root / "anna")
    key = kept(config, "key")
    done = client("migrate", config, code=CODE)
    assert done.returncode == 0, done.stderr
    assert f"live in fleet {NEW}, with the same code" in done.stdout
    assert f"of fleet {FLEET}" in done.stdout
    receipt = json.loads(kept(config, f"receipt-{FLEET}"))
    assert len(bytes.fromhex(receipt["signature"])) == 64
    assert not (config.parent / "state" / "migration").exists()
    assert (kept(config, "key"), kept(config, "fleet")) == (key, f"{NEW}\n".encode())
    shown = json.loads(client("status", config, "--json").stdout)
    assert (shown["fleet"], shown["state"], shown["attempts_left"]) == (NEW, "active", 10)
    again = client("migrate", config, code=CODE)
    assert (again.returncode, "nothing to do" in again.stdout) == (0, True)
    config.write_text(f'fleet = "{FLEET}"\n' + config.read_text())
    assert json.loads(client("status", config, "--json").stdout)["state"] == "deleted"


def test_a_new_phone_finds_the_record_in_the_fleet_that_is_being_left(moved: Moved, tmp_path: Path) -> None:
    phone = moved.phone("berta", tmp_path)
    assert json.loads(client("status", phone, "--json").stdout)["fleet"] == FLEET
    done = client("recover", phone, code=CODE)
    assert (done.returncode, "hsm-vault client migrate" in done.stdout) == (0, True), done.stderr
    assert kept(phone, "key") == kept(moved.root / "berta" / "client.toml", "key")
    assert kept(phone, "fleet") == f"{FLEET}\n".encode()
    refused = client("register", phone, "--choose-code", code=CODE)
    assert (refused.returncode, "live record in fleet" in refused.stderr) == (3, True), refused.stderr
    assert client("migrate", phone, code=CODE).returncode == 0
    assert json.loads(client("status", phone, "--json").stdout)["fleet"] == NEW


def at_a_terminal(words: list[str], answers: dict[str, str]) -> tuple[int, str]:
    """Run a command on a terminal of its own; give each answer when its question is asked. Returns code and screen."""
    child, terminal = pty.fork()
    if child == 0:
        os.execv(VAULT, [VAULT, *words])
    screen, asked = b"", dict(answers)
    while select.select([terminal], [], [], PATIENCE)[0]:
        try:
            screen += os.read(terminal, 4096)
        except OSError:  # it has ended
            break
        for question in [each for each in asked if each.encode() in screen]:
            os.write(terminal, asked.pop(question).encode() + b"\n")
    else:
        os.kill(child, signal.SIGKILL)
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), screen.decode()


@pytest.mark.parametrize(("answer", "fleet"), [("n", FLEET), ("y", NEW)])
def test_a_person_at_a_terminal_is_offered_the_move_after_a_recovery(
    moved: Moved, tmp_path: Path, answer: str, fleet: str
) -> None:
    phone = moved.phone("fritz", tmp_path)
    code, screen = at_a_terminal(
        ["client", "recover", "--config", str(phone)], {"ecovery code": CODE, "to the active fleet now?": answer}
    )
    assert (code, "is being left" in screen) == (0, True), screen
    assert (f"live in fleet {NEW}" in screen) == (answer == "y")
    assert ("with: hsm-vault client migrate" in screen) == (answer == "n")
    assert kept(phone, "fleet") == f"{fleet}\n".encode()


def test_nobody_is_registered_anew_when_no_fleet_has_the_record(moved: Moved, tmp_path: Path) -> None:
    phone = moved.phone("nobody", tmp_path)
    done = client("recover", phone, code=CODE)
    assert (done.returncode, "no active record" in done.stderr) == (23, True), done.stderr
    assert json.loads(client("status", phone, "--json").stdout)["state"] == "empty"


def test_the_fleet_that_is_being_left_takes_no_new_record(moved: Moved, tmp_path: Path) -> None:
    phone = moved.phone("franz", tmp_path)
    kept_text = phone.read_text()
    phone.write_text(f'fleet = "{FLEET}"\n' + kept_text)
    done = client("register", phone, "--choose-code", code=CODE)
    assert (done.returncode, "takes no new registrations" in done.stderr) == (3, True), done.stderr
    phone.write_text(kept_text)
    assert client("register", phone, "--choose-code", code=CODE).returncode == 0
    assert kept(phone, "fleet") == f"{NEW}\n".encode()


def test_without_a_receipt_there_is_a_warning_and_a_new_key(moved: Moved) -> None:
    config = moved.tokened("clara", moved.root / "clara")
    state = DeviceState(config.parent / "state")
    key, owner_key = state.key(), state.owner_key()
    assert key is not None
    assert owner_key is not None
    # As after a run that was cut off once the code had been proved; what is left does not need the old fleet.
    state.keep_migration(Migration(fleet=FLEET, owner_key=owner_key, stage=BEGUN))
    with moved.without_old():
        done = client("migrate", config, code=CODE)
    assert (done.returncode, "gave no receipt" in done.stderr) == (7, True), done.stderr
    fresh = state.key()
    assert fresh not in (None, key)
    assert (config.parent / "state" / "former-key-1").read_text().strip() == key.hex()
    phone = moved.phone("clara", moved.root / "clara-new")
    assert client("recover", phone, code=CODE).returncode == 0
    assert DeviceState(phone.parent / "state").key() == fresh
    moved.tokened("clara", config.parent)
    again = client("migrate", config, code=CODE)
    assert (again.returncode, "the old one is gone" in again.stdout) == (0, True), again.stderr
    assert state.key() == fresh
    assert state.migration() is None


@pytest.mark.parametrize("person", ["dora"])
def test_a_run_that_was_cut_off_after_registering_goes_on(moved: Moved, person: str) -> None:
    config = moved.tokened(person, moved.root / person)
    state = DeviceState(config.parent / "state")
    owner_key, key = state.owner_key(), state.key()
    assert owner_key is not None
    config.write_text(f'fleet = "{NEW}"\n' + config.read_text())
    registered = run("client", "register", "--config", str(config), "--choose-code", code=CODE)
    assert registered.returncode == 3, "a live record elsewhere has to be in the way"
    state.forget_fleet()
    assert client("register", config, "--choose-code", code=CODE).returncode == 0  # the registration arrived,
    config.write_text(config.read_text().replace(f'fleet = "{NEW}"\n', ""))
    state.keep_migration(Migration(fleet=FLEET, owner_key=owner_key, stage=BEGUN))  # and its answer was lost
    state.keep_fleet(FLEET)
    done = client("migrate", config, code=CODE)
    assert (done.returncode, "the old one is gone" in done.stdout) == (0, True), done.stderr
    assert (state.key(), state.fleet()) == (key, NEW)


def test_a_migration_with_the_wrong_code_changes_nothing(moved: Moved) -> None:
    config = moved.tokened("emil", moved.root / "emil")
    done = client("migrate", config, code="another code")
    assert done.returncode == 21, done.stderr
    assert DeviceState(config.parent / "state").migration() is None
    assert json.loads(client("status", config, "--json").stdout)["fleet"] == FLEET
