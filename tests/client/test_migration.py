"""A migration that is cut off at any write on the device, or loses any answer: run again, it ends where it should.

Two vaults in memory stand for the fleets. What real fleets do is in `tests/system/test_migration.py`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from hsm_app.client import patience
from hsm_app.client.config import read_client_settings
from hsm_app.client.device import Device
from hsm_app.client.migration import Migrated, migrate
from hsm_app.client.private_directory import PrivateDirectory
from hsm_app.errors import BackupError, ConfigError, Denied, DenyReason, VaultError
from hsm_app.fleet.manifest import FleetState, Manifest
from hsm_app.fleet.manifest_encoding import encode_manifest
from hsm_app.fleet.manifest_json import parse_manifest
from hsm_app.net.connection import FrameConnection
from hsm_app.vault.record import State
from hsm_app.wire import messages as m
from hsm_app.wire.envelopes import REQUEST_LIMIT, decode_request
from tests.client.software_vault import CHEAP, PATIENCE, SoftwareVault, running, write_client
from tests.fleet.example import example_fleet

CODE, KEY = "correct horse", bytes(range(32))
OLD, NEW = "fleet-1", "fleet-2"


class PulledError(Exception):
    """The plug, pulled."""


def manifest(old: FleetState = FleetState.RECOVER_ONLY, new: FleetState = FleetState.ACTIVE) -> Manifest:
    now = int(time.time())
    fleets = [replace(example_fleet(fleet=name), argon2=CHEAP, state=state) for name, state in ((OLD, old), (NEW, new))]
    raw = encode_manifest(
        namespace="vault.example/fleets", epoch=1, previous_sha256=None, issued_at=now - 60, not_before=now - 60,
        not_after=now + 3600, fleets=tuple(fleets),
    )  # fmt: skip
    return parse_manifest(raw)


class TwoFleets(SoftwareVault):
    """The old fleet's vault; what is for the new one goes there. One that is away hangs up."""

    def __init__(self) -> None:
        super().__init__(manifest(), OLD)
        self.new = SoftwareVault(self.manifest, NEW)
        self.away: set[str] = set()

    def protocol(self) -> FrameConnection:
        return FrameConnection(limit=REQUEST_LIMIT, idle_seconds=None, on_frame=self._sort, on_close=lambda *_: None)

    def _sort(self, connection: FrameConnection, frame: bytes) -> None:
        fleet = decode_request(frame).fleet
        if fleet in self.away:
            connection.abort("away")
        else:
            {OLD: self._frame, NEW: self.new._frame}[fleet](connection, frame)


@dataclass
class World:
    fleets: TwoFleets
    config: Path

    def device(self, fleet: str = "") -> Device:
        text = self.config.read_text()
        lines = [line for line in text.splitlines() if not line.startswith(("fleet", "patience"))]
        self.config.write_text(
            "\n".join([*lines, f'fleet = "{fleet}"' if fleet else "", f"patience_seconds = {PATIENCE}"])
        )
        return Device(read_client_settings(self.config), lambda _: None)

    def run(self) -> Migrated | None:
        return migrate(self.device(), CODE)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setattr(patience, "PAUSES", (0.01, 0.01))
    with running(TwoFleets()) as fleets:
        assert isinstance(fleets, TwoFleets)
        made = World(fleets, write_client(tmp_path, fleets))
        fleets.enter(manifest(old=FleetState.ACTIVE, new=FleetState.RECOVER_ONLY), b"")
        made.config.with_name("manifest.json").write_bytes(fleets.manifest.raw)
        pinned = made.config.read_text()
        made.config.write_text(_pin(pinned, fleets.manifest))
        device = made.device(OLD)
        device.state.keep_key(KEY)
        device.keep_registered(device.vault(OLD).register(CODE, KEY), OLD)
        fleets.enter(manifest(), b"")
        fleets.new.enter(fleets.manifest, b"")
        made.config.with_name("manifest.json").write_bytes(fleets.manifest.raw)
        made.config.write_text(_pin(pinned, fleets.manifest))
        (tmp_path / "state" / "manifest").unlink()  # both of its first epoch, which no operator would do
        yield made


def _pin(text: str, pinned: Manifest) -> str:
    return "\n".join(
        f'manifest_sha256 = "{pinned.digest.hex()}"' if line.startswith("manifest_sha256") else line
        for line in text.splitlines()
    )


def check_done(world: World, key: bytes = KEY) -> None:
    device = world.device()
    assert world.fleets.record.state is State.DELETED
    assert device.state.migration() is None
    assert device.state.fleet() == NEW
    recovery, fleet = device.recover(CODE)
    assert (recovery.secret, fleet, device.state.key()) == (key, NEW, key)
    assert device.state.owner_key() == recovery.owner_key


def test_the_straight_way(world: World) -> None:
    migrated = world.run()
    assert migrated is not None
    assert (migrated.old, migrated.new, migrated.former_key) == (OLD, NEW, None)
    assert migrated.receipt is not None
    assert migrated.receipt.body.state == State.DELETED
    check_done(world)
    assert world.run() is None


def test_the_old_record_lives_until_the_new_one_does(world: World) -> None:
    states: list[tuple[State, State]] = []

    def note(answer: object) -> object:
        states.append((world.fleets.record.state, world.fleets.new.record.state))
        return answer

    world.fleets.twist = world.fleets.new.twist = note
    world.run()
    assert (State.ACTIVE, State.ACTIVE) in states
    assert all(State.ACTIVE in both for both in states)


def pull_at(write: int, monkeypatch: pytest.MonkeyPatch, *, applied: bool) -> None:
    """Pull the plug at the n-th change of the device's files: before it took effect, or right after."""
    changes = 0
    real = {name: getattr(PrivateDirectory, name) for name in ("write", "remove")}

    def pulling(name: str) -> object:
        def change(self: PrivateDirectory, *words: object) -> None:
            nonlocal changes
            changes += 1
            if changes != write or applied:
                real[name](self, *words)
            if changes == write:
                raise PulledError

        return change

    for name in real:
        monkeypatch.setattr(PrivateDirectory, name, pulling(name))


def changes_of_a_run(world: World, monkeypatch: pytest.MonkeyPatch, *, applied: bool) -> int:
    """Run until no plug is left to pull; return how many there were."""
    for write in range(1, 60):
        with monkeypatch.context() as patched:
            pull_at(write, patched, applied=applied)
            try:
                world.run()
            except PulledError:
                continue
            return write - 1
    raise AssertionError("this never ends")


@pytest.mark.parametrize("applied", [False, True], ids=["before it took effect", "right after"])
def test_the_plug_is_pulled_at_each_write(world: World, monkeypatch: pytest.MonkeyPatch, applied: bool) -> None:
    assert changes_of_a_run(world, monkeypatch, applied=applied) >= 4
    check_done(world)


@pytest.mark.parametrize("applied", [False, True], ids=["before it took effect", "right after"])
def test_the_plug_is_pulled_at_each_write_without_a_receipt(
    world: World, monkeypatch: pytest.MonkeyPatch, applied: bool
) -> None:
    world.fleets.twist = lambda answer: answer
    world.device()
    _begun(world)
    world.fleets.away.add(OLD)
    assert changes_of_a_run(world, monkeypatch, applied=applied) >= 4
    fresh = world.device().state.key()
    assert fresh not in (None, KEY)
    former = [path.read_text().strip() for path in (world.config.parent / "state").glob("former-key-*")]
    assert KEY.hex() in former
    world.fleets.away.clear()
    assert world.run() is not None
    check_done(world, key=fresh or b"")


def _begun(world: World) -> None:
    """Cut a run off where it has proved the code and asked nothing of the new fleet."""
    world.fleets.away.add(NEW)
    with pytest.raises(VaultError):
        world.run()
    world.fleets.away.clear()
    assert world.device().state.migration() is not None


LOST = (m.RecoverStart, m.RecoverFinish, m.RegisterStart, m.RegisterFinish, m.Activate, m.Delete, m.Status)


@pytest.mark.parametrize("lost", LOST, ids=[each.__name__ for each in LOST])
def test_an_answer_is_lost(world: World, lost: type) -> None:
    world.fleets.lose.add(lost)
    world.fleets.new.lose.add(lost)
    world.run()
    check_done(world)


def test_another_key_under_the_same_name_in_the_new_fleet_stops_it(world: World) -> None:
    _begun(world)
    state = world.device().state
    device = world.device(NEW)
    device.vault(NEW).register(CODE, bytes(32))
    with pytest.raises(BackupError, match="another key"):
        world.run()
    assert (world.fleets.record.state, state.key()) == (State.ACTIVE, KEY)


def test_an_old_fleet_that_is_revoked_meanwhile_gives_no_receipt(world: World) -> None:
    _begun(world)
    revoked = manifest(old=FleetState.REVOKED)
    world.fleets.new.enter(revoked, b"")
    (world.config.parent / "manifest.json").write_bytes(revoked.raw)
    (world.config.parent / "state" / "manifest").unlink()
    world.config.write_text(_pin(world.config.read_text(), revoked))
    migrated = world.run()
    assert migrated is not None
    assert migrated.receipt is None
    assert migrated.former_key is not None
    assert migrated.former_key.read_text().strip() == KEY.hex()


def test_a_wrong_code_begins_nothing(world: World) -> None:
    with pytest.raises(Denied) as caught:
        migrate(world.device(), "wrong horse")
    assert caught.value.reason is DenyReason.WRONG_CODE
    assert world.device().state.migration() is None


def test_a_configuration_that_names_the_old_fleet_stops_it(world: World) -> None:
    with pytest.raises(ConfigError, match="names no other fleet"):
        migrate(world.device(OLD), CODE)
    assert world.fleets.record.state is State.ACTIVE
