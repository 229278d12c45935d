"""`hsm-vault backup` as a person uses it. What a backup holds and withstands is in `tests/client/test_backup.py`."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import click
import pytest

from hsm_app.client.backup.create import create_backup
from hsm_app.errors import BackupError, ConfigError
from tests.cli.command import run, told, well
from tests.client.software_vault import SoftwareVault, manifest_now, write_client
from tests.client.trees import plant, snapshot
from tests.patience import PATIENCE

VAULT = str(Path(sys.executable).parent / "hsm-vault")
DIGITS = "0123456789abcdef" * 4


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return plant(tmp_path / "tree")


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A device that holds nothing yet; its relay is nowhere, since backups need none."""
    vault = SoftwareVault(manifest_now())
    path = write_client(tmp_path / "device", vault)
    path.write_text(path.read_text().replace('relay = ":0"', 'relay = "127.0.0.1:9"'))
    monkeypatch.setenv("HSM_VAULT_CONFIG", str(path))
    return path


def test_a_backup_with_the_key_of_the_device_comes_back(config: Path, tree: Path, tmp_path: Path) -> None:
    assert "fresh key" in well("backup", "key", "--new")
    assert "bytes, encrypted" in well("backup", "create", tree, tmp_path / "b.age")
    answer = told("backup", "restore", tmp_path / "b.age", tmp_path / "new")
    assert snapshot(tmp_path / "new") == snapshot(tree)
    assert answer["files"] > 5
    assert answer["directory"] == str(tmp_path / "new")


def test_a_backup_needs_no_configuration_when_the_key_is_given(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HSM_VAULT_CONFIG", "/nonexistent")
    well("backup", "create", tree, tmp_path / "b.age", key_fd=DIGITS)
    well("backup", "restore", tmp_path / "b.age", tmp_path / "new", key_fd=DIGITS.upper())
    assert snapshot(tmp_path / "new") == snapshot(tree)


def test_the_age_program_opens_it_with_the_identity(tree: Path, tmp_path: Path) -> None:
    well("backup", "create", tree, tmp_path / "b.age", key_fd=DIGITS)
    (tmp_path / "identity").write_text(well("backup", "key", "--age", key_fd=DIGITS))
    (tmp_path / "new").mkdir()
    pipeline = f"age --decrypt -i {tmp_path}/identity {tmp_path}/b.age | tar -x -C {tmp_path}/new"
    subprocess.run(["bash", "-o", "pipefail", "-c", pipeline], check=True)
    assert snapshot(tmp_path / "new") == snapshot(tree)


def test_what_is_left_out_is_said(config: Path, tree: Path, tmp_path: Path) -> None:
    (tree / "out").symlink_to("/etc/passwd")
    result = run("backup", "create", tree, tmp_path / "b.age", key_fd=DIGITS)
    assert "left out out: a symbolic link that may lead out of the directory" in result.stderr
    answer = told("backup", "create", tree, tmp_path / "c.age", key_fd=DIGITS)
    assert [one["name"] for one in answer["left_out"]] == ["out"]


class TestKey:
    def test_is_shown_in_groups_and_taken_back(self, config: Path) -> None:
        shown = well("backup", "key", key_fd=DIGITS).strip()
        assert shown.split() == ["0123", "4567", "89ab", "cdef"] * 4
        assert "kept on this device" in well("backup", "key", "--import", key_fd=shown)
        assert told("backup", "key")["key"] == DIGITS
        assert stat.S_IMODE((config.parent / "state" / "key").stat().st_mode) == 0o600

    def test_never_takes_the_place_of_another(self, config: Path) -> None:
        well("backup", "key", "--new")
        with pytest.raises(BackupError, match="another backup key"):
            well("backup", "key", "--import", key_fd=DIGITS)
        with pytest.raises(BackupError, match="another backup key"):
            well("backup", "key", "--new")

    def test_with_a_digit_missing_is_refused(self, config: Path) -> None:
        with pytest.raises(ConfigError, match="63 digits instead of 64"):
            well("backup", "key", "--import", key_fd=DIGITS[1:])

    def test_is_not_made_and_given_at_once(self, config: Path) -> None:
        with pytest.raises(click.UsageError):
            well("backup", "key", "--new", key_fd=DIGITS)

    def test_that_is_not_there(self, config: Path) -> None:
        with pytest.raises(ConfigError, match="holds no backup key"):
            well("backup", "key")


def test_another_key_is_told_apart(tree: Path, tmp_path: Path) -> None:
    well("backup", "create", tree, tmp_path / "b.age", key_fd=DIGITS)
    with pytest.raises(BackupError, match="this key does not open"):
        well("backup", "restore", tmp_path / "b.age", tmp_path / "new", key_fd="ff" * 32)


def test_a_directory_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(BackupError, match="is no directory"):
        well("backup", "create", tmp_path / "none", tmp_path / "b.age", key_fd=DIGITS)


def is_pending(pid: int, number: signal.Signals) -> bool:
    """Say whether a process that was sent a signal has not taken it yet (proc(5))."""
    lines = (Path("/proc") / str(pid) / "status").read_text().splitlines()
    masks = [int(line.split()[1], 16) for line in lines if line.startswith(("SigPnd:", "ShdPnd:"))]
    return any(mask >> (number - 1) & 1 for mask in masks)


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_an_interrupted_restore_leaves_nothing(tmp_path: Path, end: signal.Signals) -> None:
    """In a process of its own: the backup comes through a pipe that never ends, so the restore is surely under way."""
    (tmp_path / "large").mkdir()
    (tmp_path / "large" / "file").write_bytes(os.urandom(1 << 20))
    backup = create_backup(tmp_path / "large", tmp_path / "b.age", bytes.fromhex(DIGITS)).path.read_bytes()
    room = tmp_path / "room"
    room.mkdir()
    os.mkfifo(tmp_path / "pipe")
    read_end, write_end = os.pipe()
    os.write(write_end, DIGITS.encode() + b"\n")
    restoring = subprocess.Popen(
        [VAULT, "backup", "restore", str(tmp_path / "pipe"), str(room / "new"), "--key-fd", str(read_end)],
        pass_fds=(read_end,), stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    with (tmp_path / "pipe").open("wb", buffering=0) as pipe:
        pipe.write(backup[:500_000])
        deadline = time.monotonic() + PATIENCE
        while not any(file.stat().st_size for file in room.rglob("file")):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        restoring.send_signal(end)
        while is_pending(restoring.pid, end):  # or the end of the pipe could come first, and be what is told
            assert time.monotonic() < deadline
            time.sleep(0.02)
    _, said = restoring.communicate(timeout=PATIENCE)
    os.close(read_end)
    os.close(write_end)
    assert restoring.returncode == 130
    assert "stopped" in said
    assert os.listdir(room) == []


COMMANDS = ["create", "restore", "key"]


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_an_example(command: str) -> None:
    result = run("backup", command, "--help")
    assert f"hsm-vault backup {command}" in result.stdout
    assert "--key-fd" in result.stdout
