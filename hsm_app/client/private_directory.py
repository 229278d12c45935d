"""A directory of secrets: only its owner can enter it, and each file is replaced in one durable step.

Files have mode 0600: temporary file, fsync, rename, fsync of the directory. What others may read or write is refused.
"""

from __future__ import annotations

import os
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

from hsm_app.errors import ConfigError

FILE_LIMIT = 64 * 1024  # bytes, as a bundle may have


class PrivateDirectory:
    """Files by name. Every method raises ConfigError when the directory or a file cannot be used."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def read_hex(self, name: str, length: int) -> bytes | None:
        text = self.read_text(name)
        if text is None:
            return None
        if len(text) != 2 * length or not set(text) <= set("0123456789abcdef"):
            raise ConfigError(f"{self._directory / name} is damaged", "Move it away and recover with the code")
        return bytes.fromhex(text)

    def read_text(self, name: str) -> str | None:
        raw = self.read(name)
        return None if raw is None else raw.decode("ascii", "replace").strip()

    def read(self, name: str) -> bytes | None:
        path = self._directory / name
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            with os.fdopen(descriptor, "rb") as file:
                check_private(path, os.fstat(descriptor))
                return file.read(FILE_LIMIT)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise ConfigError(f"cannot read {path}: {error.strerror}", "Check its rights and its owner") from error

    def write_text(self, name: str, text: str) -> None:
        self.write(name, f"{text}\n".encode())

    def write(self, name: str, data: bytes) -> None:
        self._prepare()
        try:
            write_private(self._directory / name, data)
        except OSError as error:
            raise ConfigError(
                f"cannot write {self._directory / name}: {error.strerror}", "Check free space and rights"
            ) from error

    def remove(self, name: str) -> None:
        try:
            os.unlink(self._directory / name)
        except FileNotFoundError:
            return
        except OSError as error:
            raise ConfigError(
                f"cannot remove {self._directory / name}: {error.strerror}", "Check its rights"
            ) from error

    def _prepare(self) -> None:
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            check_private(self._directory, os.stat(self._directory))
        except OSError as error:
            raise ConfigError(
                f"state_directory: cannot use {self._directory}: {error.strerror}", "Name a directory you may write to"
            ) from error


def check_private(path: Path, status: os.stat_result) -> None:
    """Raise ConfigError when others than the owner may use a file or directory that holds secrets."""
    if stat.S_IMODE(status.st_mode) & 0o077:
        wanted = "700" if stat.S_ISDIR(status.st_mode) else "600"
        raise ConfigError(f"others may use {path}", f"It holds secrets: chmod {wanted} {path}")


def write_private(path: Path, data: bytes) -> None:
    """Replace the file at `path`, mode 0600, in one durable step. OSError when that fails; the old file stays then."""
    descriptor, part = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.rename(part, path)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(part)
        raise
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
