"""The files that SoftHSM keeps its objects in, and how they are made durable: SoftHSM 2.6.1 contains no fsync.

Each token has a directory below `directories.tokendir`. An object is a file in it that is written when the object is
created, and never again unless an attribute is changed, which this project never does. So it is enough to sync the
files that were not there the last time, and then the directory that names them.
"""

from __future__ import annotations

import os
from pathlib import Path

from hsm_app.errors import TokenError

TOKENDIR = "directories.tokendir"


class SoftHsmFiles:
    """The token files of one SoftHSM configuration."""

    def __init__(self, configuration: Path) -> None:
        """TokenError when the configuration cannot be read or names no directory."""
        self._root = _token_directory(configuration)
        self._synced: dict[str, set[str]] = {}  # the names of the object files of each token's directory

    def sync(self) -> None:
        """Make all that SoftHSM has written so far survive a loss of power. TokenError when that fails."""
        try:
            for token in os.scandir(self._root):
                if token.is_dir():
                    self._sync_directory(token.path)
        except OSError as error:
            raise TokenError(
                f"the files of SoftHSM below {self._root} cannot be synced: {error.strerror}",
                "Check the disk; what the token was told last may be lost with the power",
            ) from error

    def _sync_directory(self, directory: str) -> None:
        names = {name for name in os.listdir(directory) if name.endswith(".object")}
        for name in names - self._synced.get(directory, set()):
            _fsync(os.path.join(directory, name), os.O_RDONLY)
        _fsync(directory, os.O_RDONLY | os.O_DIRECTORY)
        if directory not in self._synced:
            _fsync(str(self._root), os.O_RDONLY | os.O_DIRECTORY)  # the token itself may be new
        self._synced[directory] = names


def _fsync(path: str, flags: int) -> None:
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
