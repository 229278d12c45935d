"""What a device keeps: rights, durability in one step, and what it never loses or takes back."""

from __future__ import annotations

import os
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from hsm_app.client.state import DeviceState
from hsm_app.errors import BackupError, ConfigError
from hsm_app.fleet.manifest_json import parse_manifest
from tests.fleet.example import example_bytes

MANIFEST = parse_manifest(example_bytes())


@pytest.fixture
def state(tmp_path: Path) -> DeviceState:
    return DeviceState(tmp_path / "deep" / "state")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "state"


def test_a_new_device_holds_nothing_and_makes_nothing(state: DeviceState, place: Path) -> None:
    assert state.key() is None
    assert state.owner_key() is None
    assert not place.exists()


def test_keys_are_kept_for_the_owner_only(state: DeviceState, place: Path) -> None:
    state.keep_key(bytes(range(32)))
    state.keep_owner_key(b"\x07" * 32)
    state.pin(MANIFEST)
    assert (state.key(), state.owner_key()) == (bytes(range(32)), b"\x07" * 32)
    assert stat.S_IMODE(place.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in place.iterdir()} == {0o600}
    assert sorted(file.name for file in place.iterdir()) == ["key", "manifest", "owner-key"]


def test_another_key_never_takes_the_place_of_one(state: DeviceState) -> None:
    state.keep_key(b"\x01" * 32)
    state.keep_key(b"\x01" * 32)
    with pytest.raises(BackupError, match="another backup key"):
        state.keep_key(b"\x02" * 32)
    assert state.key() == b"\x01" * 32


def test_an_owner_key_is_replaced_and_forgotten(state: DeviceState) -> None:
    state.keep_owner_key(b"\x01" * 32)
    state.keep_owner_key(b"\x02" * 32)
    assert state.owner_key() == b"\x02" * 32
    state.forget_owner_key()
    state.forget_owner_key()
    assert state.owner_key() is None


def test_a_write_that_fails_leaves_the_old_key(
    state: DeviceState, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state.keep_owner_key(b"\x01" * 32)

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ConfigError, match="No space left"):
        state.keep_owner_key(b"\x02" * 32)
    assert state.owner_key() == b"\x01" * 32
    assert [file.name for file in place.iterdir()] == ["owner-key"]


class TestManifests:
    def test_a_newer_manifest_takes_over(self, state: DeviceState) -> None:
        state.pin(MANIFEST)
        newer = replace(MANIFEST, epoch=2, digest=b"\x02" * 32)
        state.pin(newer)
        state.pin(newer)
        with pytest.raises(ConfigError, match="has worked with manifest 2"):
            state.pin(MANIFEST)

    def test_two_manifests_of_one_epoch(self, state: DeviceState) -> None:
        state.pin(MANIFEST)
        with pytest.raises(ConfigError, match="has worked with manifest 1"):
            state.pin(replace(MANIFEST, digest=b"\x02" * 32))

    @pytest.mark.parametrize("kept", ["1 0a", "1", "one " + "0" * 64])
    def test_a_memory_that_is_damaged_is_no_alarm(self, state: DeviceState, place: Path, kept: str) -> None:
        state.pin(MANIFEST)
        (place / "manifest").write_text(kept)
        with pytest.raises(ConfigError, match="is damaged"):
            state.pin(MANIFEST)
        assert (place / "manifest").read_text() == kept


class TestRights:
    def test_a_directory_that_others_enter(self, state: DeviceState, place: Path) -> None:
        place.mkdir(parents=True, mode=0o755)
        place.chmod(0o755)
        with pytest.raises(ConfigError, match=r"others may use .*chmod 700"):
            state.keep_key(bytes(32))

    def test_a_key_that_others_read(self, state: DeviceState, place: Path) -> None:
        state.keep_key(bytes(32))
        (place / "key").chmod(0o640)
        with pytest.raises(ConfigError, match=r"others may use .*chmod 600"):
            state.key()

    def test_a_key_that_is_a_link(self, state: DeviceState, place: Path) -> None:
        state.keep_owner_key(bytes(32))
        (place / "key").symlink_to("owner-key")
        with pytest.raises(ConfigError, match="cannot read"):
            state.key()

    def test_a_state_directory_that_is_a_file(self, state: DeviceState, place: Path) -> None:
        place.parent.mkdir()
        place.write_text("")
        with pytest.raises(ConfigError, match="cannot"):
            state.keep_key(bytes(32))


@pytest.mark.parametrize("text", ["", "zz" * 32, "00" * 31, "00" * 33])
def test_a_damaged_key_is_named(state: DeviceState, place: Path, text: str) -> None:
    state.keep_key(bytes(32))
    (place / "key").write_text(text)
    with pytest.raises(ConfigError, match="is damaged"):
        state.key()


def test_former_keys_are_told_apart_by_number_whatever_their_count(state: DeviceState) -> None:
    keys = [bytes([number]) * 32 for number in range(1, 12)]
    for key in keys:
        kept = state.keep_former_key(key)
    assert state.former_key() == kept
    assert kept.name.endswith("-11")
    assert state.keep_former_key(keys[2]).name.endswith("-3")
