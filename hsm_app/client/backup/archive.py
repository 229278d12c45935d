"""A directory as a stream of tar bytes (POSIX.1-2001 pax), made while it is read: no temporary file, no second copy."""

from __future__ import annotations

import os
import stat
import tarfile
from collections.abc import Iterator
from pathlib import Path

from hsm_app.client.backup.contents import Entry, Skipped, entries, printable, unreadable
from hsm_app.errors import BackupError

CHUNK = 1 << 18  # bytes read from a file at once
END = b"\0" * (2 * tarfile.BLOCKSIZE)


def tar_bytes(directory: Path, skipped: Skipped) -> Iterator[bytes]:
    """Yield the tar of everything below `directory`. BackupError names what cannot be read or changed meanwhile."""
    length = 0
    for entry in entries(directory, skipped):
        for piece in _member(entry):
            length += len(piece)
            yield piece
    yield END + b"\0" * (-(length + len(END)) % tarfile.RECORDSIZE)


def tar_size(directory: Path) -> int:
    """Return the bytes of file contents below `directory`, for a progress bar."""
    kept = entries(directory, lambda _name, _reason: None)
    return sum(entry.status.st_size for entry in kept if stat.S_ISREG(entry.status.st_mode))


def _member(entry: Entry) -> Iterator[bytes]:
    if not stat.S_ISREG(entry.status.st_mode):
        yield _header(entry, entry.status)
        return
    try:
        # Not blocking: what is a pipe by now would wait for a writer for ever.
        descriptor = os.open(entry.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb", buffering=0) as file:
            yield from _file(entry, file.fileno())
    except OSError as error:
        raise unreadable(entry.path, error) from error


def _file(entry: Entry, descriptor: int) -> Iterator[bytes]:
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        raise _changed(entry)
    yield _header(entry, status)
    left = status.st_size
    while left:
        data = os.read(descriptor, min(CHUNK, left))
        if not data:
            raise _changed(entry)
        left -= len(data)
        yield data
    yield b"\0" * (-status.st_size % tarfile.BLOCKSIZE)


def _header(entry: Entry, status: os.stat_result) -> bytes:
    info = tarfile.TarInfo(entry.name)
    info.mode = stat.S_IMODE(status.st_mode) & 0o777
    info.mtime = int(status.st_mtime)
    if stat.S_ISREG(status.st_mode):
        info.size = status.st_size
    elif stat.S_ISDIR(status.st_mode):
        info.type = tarfile.DIRTYPE
    else:
        info.type, info.linkname = tarfile.SYMTYPE, entry.target
    return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")


def _changed(entry: Entry) -> BackupError:
    return BackupError(f"{printable(entry.path)} changed while it was read", "Start the backup again when it is quiet")
