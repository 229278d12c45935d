"""Manifests of epochs as files: what proves a step, and what a crash at each write leaves."""

from __future__ import annotations

from pathlib import Path

import pytest

from hsm_app import epochs
from hsm_app.durable import replace_file
from hsm_app.epochs import Epochs, read_manifest
from hsm_app.errors import ConfigError
from tests.fleet.test_membership import CERTIFICATE, FIRST, WITH, WITHOUT


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "manifest.json"
    path.write_bytes(FIRST.raw)
    return path


def test_the_steps_of_a_replacement_are_entered_and_proven_by_what_lies_there(path: Path) -> None:
    """VAULT-MEMBERSHIP-ONE-AT-A-TIME: as a start finds it."""
    files = Epochs(path)
    assert files.proven_predecessor() is None
    files.check(WITHOUT, [])
    files.enter(WITHOUT, [])
    assert (files.current(), files.proven_predecessor()) == (WITHOUT, FIRST.digest)
    with pytest.raises(ConfigError, match="without a certificate"):
        files.check(WITH, [])
    files.check(WITH, [CERTIFICATE])
    files.enter(WITH, [CERTIFICATE.to_bytes()])
    assert (files.current(), files.proven_predecessor()) == (WITH, WITHOUT.digest)
    assert files.certificates(2) == (CERTIFICATE,)
    assert files.past(1) == FIRST


def test_a_manifest_put_there_by_hand_proves_nothing(path: Path) -> None:
    path.write_bytes(WITHOUT.raw)
    assert Epochs(path).proven_predecessor() is None


def test_a_manifest_put_there_with_its_history_is_judged_by_the_rules(path: Path) -> None:
    """VAULT-MEMBERSHIP-SWEPT: found at start, without the certificate, it is not entered."""
    files = Epochs(path)
    files.enter(WITHOUT, [])
    files.record(WITH)
    path.write_bytes(WITH.raw)
    with pytest.raises(ConfigError, match="without a certificate"):
        files.proven_predecessor()
    files.record_certificates(2, [CERTIFICATE.to_bytes()])
    assert files.proven_predecessor() == WITHOUT.digest


class KilledError(Exception):
    """Stands for the end of the process."""


@pytest.mark.parametrize("writes", range(5))
def test_a_crash_before_any_write_leaves_the_old_epoch_and_the_entry_can_be_repeated(
    path: Path, monkeypatch: pytest.MonkeyPatch, writes: int
) -> None:
    files = Epochs(path)
    files.enter(WITHOUT, [])
    done = 0

    def kill_after(target: Path, raw: bytes, mode: int = 0o644) -> None:
        nonlocal done
        if done == writes:
            raise KilledError
        done += 1
        replace_file(target, raw, mode)

    monkeypatch.setattr(epochs, "replace_file", kill_after)
    try:
        files.enter(WITH, [CERTIFICATE.to_bytes()])
    except KilledError:
        assert files.current() == WITHOUT
        assert files.proven_predecessor() == FIRST.digest
        files.check(WITH, [CERTIFICATE])
    else:
        assert writes == 4
    monkeypatch.undo()
    if files.current() == WITHOUT:
        files.enter(WITH, [CERTIFICATE.to_bytes()])
    assert files.proven_predecessor() == WITHOUT.digest


def test_a_missing_manifest_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read"):
        read_manifest(tmp_path / "none.json")
