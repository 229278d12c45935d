"""Files that are replaced in one step: what a failure at each call leaves, and what an earlier crash may have left."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from hsm_app.durable import owning, replace_file
from hsm_app.epochs import Epochs
from hsm_app.errors import StoreError, VaultError
from hsm_app.model import FleetId
from hsm_app.operator.fleet_directory import FleetDirectory
from hsm_app.operator.publication import Publishing
from tests.fleet.test_membership import FIRST, WITHOUT

FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "file"
    file.write_bytes(b"old")
    return file


@pytest.mark.parametrize("error", [FULL, KeyboardInterrupt()], ids=["a full disk", "somebody stops it"])
@pytest.mark.parametrize("call", ["open", "fsync", "rename"])
def test_a_write_that_fails_changes_nothing_and_leaves_nothing(
    file: Path, monkeypatch: pytest.MonkeyPatch, call: str, error: BaseException
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(os, call, fails)
    with pytest.raises(StoreError if error is FULL else KeyboardInterrupt):
        replace_file(file, b"new")
    monkeypatch.undo()
    assert [(each.name, each.read_bytes()) for each in file.parent.iterdir()] == [("file", b"old")]


def test_what_a_crash_left_goes_with_the_next_write(file: Path) -> None:
    """Nothing of it gets into the file: neither its bytes, nor its mode, nor the file that it is a link to."""
    for make in (lambda left: left.write_bytes(b"much longer"), lambda left: left.symlink_to(file.parent / "other")):
        (file.parent / "other").write_bytes(b"untouched")
        left = file.with_name(".file.new")
        make(left)
        left.chmod(0o600)
        replace_file(file, b"new", 0o644)
        assert (file.read_bytes(), file.is_symlink(), stat.S_IMODE(file.stat().st_mode)) == (b"new", False, 0o644)
        assert (file.parent / "other").read_bytes() == b"untouched"
        assert sorted(each.name for each in file.parent.iterdir()) == ["file", "other"]


def test_a_manifest_that_the_disk_does_not_take_is_an_error_of_the_disk(tmp_path: Path) -> None:
    """README, exit codes: 8 is store or output. What is in the way stays."""
    manifest = tmp_path / "manifest.json"
    manifest.write_bytes(FIRST.raw)
    (tmp_path / "epochs/manifest-2.json/inside").mkdir(parents=True)
    with pytest.raises(VaultError, match=r"cannot write .*manifest-2\.json") as caught:
        Epochs(manifest).enter(WITHOUT, [])
    assert caught.value.exit_code == 8
    assert Epochs(manifest).current() == FIRST
    assert sorted(each.name for each in (tmp_path / "epochs").iterdir()) == ["manifest-1.json", "manifest-2.json"]


def test_one_command_at_a_time_publishes_to_a_fleet(tmp_path: Path) -> None:
    directory = FleetDirectory(root=tmp_path, fleet_id=FleetId("fleet-1"), trusted=None)
    with owning(tmp_path), pytest.raises(StoreError, match="another process works in"):
        Publishing(directory=directory, now=0, say=print).run(b"")
