"""The files that SoftHSM keeps its objects in, and how they are made durable: SoftHSM 2.6.1 contains no fsync.

Each token has a directory below `directories.tokendir`; an object is a file in it, written once when it is created. So
it is enough to sync the files that have changed since the last time, and then the directory that names them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from hsm_app.errors import TokenError

TOKENDIR = "directories.tokendir"


class SoftHsmFiles:
    """The token files of one SoftHSM configuration."""

    def __init__(self, configuration: Path) -> None:
        """TokenError when the configuration cannot be read or names no directory."""
        self._root = _token_directory(configuration)
        self._synced: dict[Path, set[tuple[str, int, int]]] = {}  # name, inode, time of the last change in nanoseconds

    def sync(self) -> None:
        """Make all that SoftHSM has written so far survive a loss of power. TokenError when that fails."""
        try:
            for directory in self._directories():
                self._sync_directory(directory)
        except OSError as error:
            raise TokenError(
                f"the files of SoftHSM below {self._root} cannot be synced: {error.strerror}",
                "Check the disk; what the token was told last may be lost with the power",
            ) from error

    def _directories(self) -> Iterator[Path]:
        yield self._root
        yield from (Path(entry.path) for entry in os.scandir(self._root) if entry.is_dir())

    def _sync_directory(self, directory: Path) -> None:
        before, seen = self._synced.get(directory, set()), set()
        for entry in os.scandir(directory):
            if not entry.name.endswith(".object"):
                continue
            status = entry.stat()
            seen.add(known := (entry.name, status.st_ino, status.st_mtime_ns))
            if known not in before:
                _fsync(entry.path, os.O_RDONLY)
        _fsync(directory, os.O_RDONLY | os.O_DIRECTORY)
        self._synced[directory] = seen


def _fsync(path: str | Path, flags: int) -> None:
    descriptor = os.open(path, flags | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _token_directory(configuration: Path) -> Path:
    try:
        lines = configuration.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise TokenError(f"cannot read {configuration}: {error}", "Correct the path of softhsm2_conf") from error
    named = [value.strip() for key, _, value in (line.partition("=") for line in lines) if key.strip() == TOKENDIR]
    if not named:
        raise TokenError(f"{configuration} names no {TOKENDIR}", "Say where the tokens lie: they have to be synced")
    return Path(named[-1])
