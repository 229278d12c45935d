"""The place where a backup or a restored directory will stand: new, and filled in one step from beside it."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from hsm_app.errors import BackupError

FULL = {errno.ENOSPC: "the disk is full", errno.EDQUOT: "the disk quota is used up"}
PART = ".part"  # ending of what is not finished; a crash may leave it, and it may be deleted


def part_prefix(target: Path) -> str:
    """Return how the name of the unfinished thing beside `target` begins; short enough for any file system."""
    return f".{os.fsencode(target.name)[:60].decode(errors='ignore')}."


def check_new(target: Path) -> None:
    """Raise BackupError when `target` exists or its directory does not."""
    if os.path.lexists(target):
        raise BackupError(f"{target} exists already", "Choose another name, or move it away; nothing is overwritten")
    if not target.parent.is_dir():
        raise BackupError(f"{target.parent} is no directory", "Create it or correct the path")


def publish(part: str, target: Path) -> None:
    """Give the finished, synchronised thing at `part` its name, durably. A crash leaves one name or the other."""
    check_new(target)
    os.rename(part, target)
    descriptor = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def unwritable(target: Path, error: OSError) -> BackupError:
    """Return the error for a target that cannot be written; nothing of it is left."""
    reason = FULL.get(error.errno or 0, error.strerror or "the system gives no reason")
    return BackupError(
        f"cannot write {target}: {reason}", "Nothing was left behind. Make room or choose another place, and try again"
    )
