"""Files that commands read whole and write once."""

from __future__ import annotations

import os
from pathlib import Path

from hsm_app.durable import replace_file
from hsm_app.errors import ConfigError

LIMIT = 1 << 20  # bytes: nearly all that these commands read is smaller


def read_whole(path: Path, limit: int = LIMIT) -> bytes:
    """Return a file's bytes. ConfigError when it cannot be read or has more than `limit` bytes."""
    try:
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}", "Check the path and its rights") from error
    if len(data) > limit:
        raise ConfigError(f"{path} has more than {limit} bytes", "Check that it is the right file")
    return data


def check_place(path: Path) -> None:
    """ConfigError when there is no directory for a file that is to be written, before anything is done for it."""
    if not path.parent.is_dir():
        raise ConfigError(f"there is no directory {path.parent} for {path.name}", "Make it, or choose another place")


def write_once(path: Path, data: bytes) -> None:
    """Write a new file durably. ConfigError when it has other content, or no directory to be in."""
    if os.path.lexists(path):
        if read_whole(path) == data:
            return
        raise ConfigError(f"{path} exists, with other content", "Choose another file")
    check_place(path)
    replace_file(path, data)
