"""Files that survive a crash: replaced in one step, or not at all. And one owner for a directory at a time."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from hsm_app.errors import StoreError


def replace_file(path: Path, data: bytes, mode: int = 0o644) -> None:
    """Give a file this content in one step: whoever looks, also after power loss, finds the old content or the new.

    StoreError when it cannot be written; nothing is left `beside` it then. What a crash leaves there goes with the next
    write. The caller sees to it that nobody else writes the same file at the same time (`owning`).
    """
    new = beside(path)
    try:
        new.unlink(missing_ok=True)  # not written over: its mode may be another, and it may be a link
        create_file(new, data, mode)
        try:
            os.rename(new, path)
        except BaseException:
            with suppress(OSError):
                new.unlink()
            raise
        sync_directory(path.parent)
    except OSError as error:
        raise StoreError(f"cannot write {path}: {error.strerror}", "Check free space and rights") from error


def beside(path: Path) -> Path:
    """Return where the next content of a file is written, before it takes the file's place."""
    return path.with_name(f".{path.name}.new")


def create_file(path: Path, data: bytes, mode: int) -> None:
    """Write a file that must not exist yet, durably. OSError when that fails; nothing is left behind then."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        with suppress(OSError):
            path.unlink()
        raise


def make_directories(path: Path, root: Path) -> None:
    """Make `path` below `root`, which exists, and make each new name durable. StoreError when it cannot be made."""
    missing = [directory for directory in (path, *path.parents) if directory != root and root in directory.parents]
    try:
        for directory in reversed(missing):
            if not directory.is_dir():
                directory.mkdir()
                sync_directory(directory.parent)
    except OSError as error:
        raise StoreError(f"cannot create {path}: {error.strerror}", "Check free space and rights") from error


def sync_directory(path: Path) -> None:
    """Make the names in a directory durable. OSError when the device fails."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def own_directory(path: Path) -> int:
    """Take a directory for this process until it ends or closes the descriptor. StoreError when another one has it."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise StoreError(f"cannot open {path}: {error.strerror}", "Check the path and its rights") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise StoreError(f"another process works in {path}", "Wait until it has ended") from None
    return descriptor


@contextmanager
def owning(path: Path) -> Iterator[None]:
    """Keep a directory for this process meanwhile. StoreError when another one has it."""
    descriptor = own_directory(path)
    try:
        yield
    finally:
        os.close(descriptor)
