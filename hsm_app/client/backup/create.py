"""Make a backup: directory -> tar stream -> age file.

The file appears whole, durable and under its name, or not at all.
"""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pyrage

from hsm_app.client.backup.archive import tar_bytes
from hsm_app.client.backup.identity import identity
from hsm_app.client.backup.streams import Progress, Sink, Source, silent
from hsm_app.client.backup.target import PART, check_new, part_prefix, publish, unwritable
from hsm_app.errors import BackupError


@dataclass(frozen=True, slots=True, kw_only=True)
class Created:
    """A backup that was made: `size` of the age file in bytes, and what was left out, each with its reason."""

    path: Path
    size: int
    skipped: tuple[tuple[str, str], ...]


def create_backup(directory: Path, target: Path, key: bytes, progress: Progress = silent) -> Created:
    """Encrypt everything below `directory` into the new age file `target` under K (32 bytes).

    BackupError when the directory cannot be read, the target exists or lies inside it, or the disk is full. Whatever
    ends this call, `target` is a whole backup or does not exist. `progress` gets bytes of tar.
    """
    recipient = identity(key).to_public()
    _check(directory, target)
    skipped: list[tuple[str, str]] = []
    source = Source(tar_bytes(directory, lambda name, reason: skipped.append((name, reason))), progress)
    try:
        size = _write(target, source, recipient)
    except OSError as error:
        raise unwritable(target, error) from error
    return Created(path=target, size=size, skipped=tuple(skipped))


def _check(directory: Path, target: Path) -> None:
    if not directory.is_dir():
        raise BackupError(f"{directory} is no directory", "Name the directory to back up")
    check_new(target)
    if target.parent.resolve().is_relative_to(directory.resolve()):
        raise BackupError(f"{target} lies inside {directory}", "Put the backup file outside of what it holds")


def _write(target: Path, source: Source, recipient: pyrage.x25519.Recipient) -> int:
    descriptor, part = tempfile.mkstemp(prefix=part_prefix(target), suffix=PART, dir=target.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            sink = Sink(file)
            try:
                pyrage.encrypt_io(source, sink, [recipient])
            except (pyrage.EncryptError, OSError) as error:
                raise (source.error or sink.error or error) from None
            file.flush()
            os.fsync(file.fileno())
            size = file.tell()
        publish(part, target)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(part)
        raise
    return size
