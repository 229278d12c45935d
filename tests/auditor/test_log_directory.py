"""The log on disk: judged by another program, killed at every durable step, damaged, filled up, and opened twice."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tlog_scales import signing
from tlog_scales.backend import LocalBackend
from tlog_scales.reader import TilesReader

from hsm_app.auditor.log_directory import SIGNED, LogDirectory
from hsm_app.errors import LogError, StoreError, VaultError
from hsm_app.tlog.checkpoint import Checkpoint, signed_checkpoint
from hsm_app.tlog.merkle import leaf_hash, verify_consistency, verify_inclusion
from hsm_app.tlog.note import Note
from tests.tlog import trees
from tests.tlog.keys import LOG, ORIGIN, private, signed

ROOT = Path(__file__).parents[2]


def create(path: Path) -> LogDirectory:
    path.mkdir()
    return LogDirectory.create(path, LOG, private(1).sign)


def reopened(log: LogDirectory, path: Path) -> LogDirectory:
    log.close()
    return LogDirectory(path, LOG, private(1).sign)


def judged(path: Path) -> Checkpoint:
    """What another program makes of the public files."""
    reader = TilesReader(LocalBackend(path / "public"))
    checkpoint = reader.get_checkpoint()
    checkpoint.verify(signing.Vkey.from_string(LOG.text))
    assert reader.calculate_root_hash() == checkpoint.root_hash
    return Checkpoint(checkpoint.origin, checkpoint.size, checkpoint.root_hash)


@pytest.mark.parametrize("steps", [[1] * 5, [255, 1, 1], [256, 256], [700, 1, 300], [65_700, 3]])
def test_a_log_grows_and_another_program_reads_it(tmp_path: Path, steps: list[int]) -> None:
    log, entries, before = create(tmp_path / "log"), list[bytes](), None
    for count in steps:
        new = [trees.entry(len(entries) + number) for number in range(count)]
        log.publish(log.append(new))
        entries += new
        log = reopened(log, tmp_path / "log")
        checkpoint = judged(tmp_path / "log")
        assert (checkpoint, checkpoint.size) == (log.checkpoint, len(entries))
        if before is not None:
            proof = log.prove_growth(before.size)
            verify_consistency(before.size, checkpoint.size, before.root, checkpoint.root, proof)
        before = checkpoint
        for index in {0, len(entries) // 2, len(entries) - 1}:
            assert log.entry(index) == entries[index]
            verify_inclusion(leaf_hash(entries[index]), index, len(entries), log.prove(index), checkpoint.root)
    if len(entries) < 2000:
        assert log.checkpoint.root == trees.mth(entries)
    log.close()


def killed(path: Path, step: int, first: int, count: int) -> int | None:
    """Append in a process that is killed at a step; return its number of steps when it came to the end."""
    command = [sys.executable, str(Path(__file__).with_name("killed.py")), str(path), str(step), str(first), str(count)]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    assert done.returncode in (0, -9), done.stderr
    return int(done.stdout) if done.returncode == 0 else None


def test_a_log_killed_at_any_step_opens_and_never_contradicts_itself(tmp_path: Path) -> None:
    """Two entries over a tile's border, then other ones after each kill: what was signed once is continued."""
    for step in range(20):
        path = tmp_path / str(step)
        log = create(path)
        log.publish(log.append([trees.entry(number) for number in range(255)]))
        log.close()
        ended = killed(path, step, first=1000, count=2)
        public, _ = signed_checkpoint((path / "public" / "checkpoint").read_bytes(), LOG, ORIGIN)
        log = LogDirectory(path, LOG, private(1).sign)
        signed_before = log.checkpoint
        log.publish(log.append([b"after the kill"]))
        for older in (Checkpoint.parse(public.text), signed_before):
            proof = log.prove_growth(older.size)
            verify_consistency(older.size, log.checkpoint.size, older.root, log.checkpoint.root, proof)
        assert judged(path) == log.checkpoint
        log.close()
        if ended is not None:
            assert step == ended >= 6, "not every step was killed"
            return
    raise AssertionError("no run came to the end")


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def swap(path: Path) -> None:
    path.write_bytes(bytes(len(path.read_bytes())))


DAMAGE: dict[str, tuple[str, Callable[[Path], None]]] = {
    "a tile is missing": ("public/tile/0/001.p/44", Path.unlink),
    "a tile is cut short": ("public/tile/0/001.p/44", cut),
    "a tile was swapped": ("public/tile/0/001.p/44", swap),
    "a tile above was swapped": ("public/tile/1/000.p/1", swap),
    "the signed checkpoint is missing": (SIGNED, Path.unlink),
    "the signed checkpoint is cut short": (SIGNED, cut),
    "the signed checkpoint is another log's": (SIGNED, lambda path: path.write_bytes(signed_by_another())),
}


def signed_by_another() -> bytes:
    text = Checkpoint("log.example/other", 300, bytes(32)).to_text()
    return signed(Checkpoint.parse(text)).to_bytes()


@pytest.mark.parametrize(("file", "damage"), DAMAGE.values(), ids=DAMAGE.keys())
def test_a_log_does_not_open_when(tmp_path: Path, file: str, damage: Callable[[Path], None]) -> None:
    log = create(tmp_path / "log")
    log.publish(log.append([trees.entry(number) for number in range(300)]))
    log.close()
    damage(tmp_path / "log" / file)
    with pytest.raises(VaultError) as refused:
        LogDirectory(tmp_path / "log", LOG, private(1).sign)
    assert isinstance(refused.value, LogError | StoreError)


@pytest.mark.parametrize("damage", [Path.unlink, cut, swap])
def test_an_entry_that_is_not_the_logged_one_is_noticed(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    log = create(tmp_path / "log")
    log.append([trees.entry(number) for number in range(300)])
    damage(tmp_path / "log" / "public/tile/entries/001.p/44")
    with pytest.raises(LogError):
        log.entry(299)
    with pytest.raises(LogError):
        log.append([b"more"])  # which would have to write the damaged bundle once more


def test_a_second_process_is_refused(tmp_path: Path) -> None:
    log = create(tmp_path / "log")
    with pytest.raises(StoreError, match="another process"):
        LogDirectory(tmp_path / "log", LOG, private(1).sign)
    log.close()
    LogDirectory(tmp_path / "log", LOG, private(1).sign).close()


def test_a_full_disk_signs_nothing_and_the_log_goes_on_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = create(tmp_path / "log")
    log.publish(log.append([b"one"]))
    before, sync = log.checkpoint, os.fsync

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreError, match="No space left"):
        log.append([b"two"])
    monkeypatch.setattr(os, "fsync", sync)
    assert log.checkpoint == before
    log = reopened(log, tmp_path / "log")
    log.publish(log.append([b"another two"]))
    assert judged(tmp_path / "log").root == trees.mth([b"one", b"another two"])


def test_only_the_last_signed_checkpoint_is_published(tmp_path: Path) -> None:
    log = create(tmp_path / "log")
    old = log.append([b"one"])
    log.append([b"two"])
    with pytest.raises(LogError, match="signed last"):
        log.publish(old)
    with pytest.raises(LogError, match="signed last"):
        log.publish(Note(b"another\n", old.signatures))


def test_a_log_is_not_made_over_another_one(tmp_path: Path) -> None:
    create(tmp_path / "log").close()
    with pytest.raises(StoreError, match="holds a log already"):
        LogDirectory.create(tmp_path / "log", LOG, private(1).sign)
