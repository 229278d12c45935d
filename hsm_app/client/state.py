"""What this device keeps between two commands, in a directory that only its owner can enter.

| file | holds | if it leaks | if it is lost |
|---|---|---|---|
| `key` | the backup key K, 64 hexadecimal digits | every backup is open | recover it with the code |
| `owner-key` | the key that signs delete, replace, cancel | its holder can delete the record | recover with the code |
| `waiting` | id and owner's key of a replacement that waits | as `owner-key`, once it is live | register again |
| `manifest` | epoch and digest of the newest manifest used here | public | an older one is taken again |

Files have mode 0600 and are replaced in one durable step: temporary file, fsync, rename, fsync of the directory.
"""

from __future__ import annotations

import os
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

from hsm_app.errors import BackupError, ConfigError
from hsm_app.fleet.manifest import Manifest

KEY, OWNER_KEY, WAITING, MANIFEST = "key", "owner-key", "waiting", "manifest"
KEY_LENGTH = 32  # bytes, of both keys
ID_LENGTH = 16  # bytes of a registration id
FILE_LIMIT = 4096  # bytes


class DeviceState:
    """The state directory. Every method raises ConfigError when the directory or a file cannot be used."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def __repr__(self) -> str:
        return f"DeviceState({str(self._directory)!r})"

    def key(self) -> bytes | None:
        """Return the backup key, or None when this device holds none."""
        return self._read_hex(KEY, KEY_LENGTH)

    def owner_key(self) -> bytes | None:
        return self._read_hex(OWNER_KEY, KEY_LENGTH)

    def keep_key(self, key: bytes) -> None:
        """Keep the backup key, durably. BackupError when another one is here: it may be the only copy."""
        held = self.key()
        if held is not None and held != key:
            raise BackupError(
                f"{self._directory} holds another backup key",
                "Existing backups may need that one: write it down with `hsm-vault backup key`, "
                f"then move {self._directory / KEY} away",
            )
        self._write(KEY, key.hex())

    def keep_owner_key(self, owner_key: bytes) -> None:
        self._write(OWNER_KEY, owner_key.hex())

    def forget_owner_key(self) -> None:
        """Remove the owner's key: the record that it belonged to is gone."""
        self._remove(OWNER_KEY)

    def waiting(self) -> tuple[bytes, bytes] | None:
        """Return registration id (16 bytes) and owner's key of a replacement that waits, or None."""
        both = self._read_hex(WAITING, ID_LENGTH + KEY_LENGTH)
        return None if both is None else (both[:ID_LENGTH], both[ID_LENGTH:])

    def keep_waiting(self, registration_id: bytes, owner_key: bytes) -> None:
        self._write(WAITING, (registration_id + owner_key).hex())

    def forget_waiting(self) -> None:
        self._remove(WAITING)

    def pin(self, manifest: Manifest) -> None:
        """Refuse a manifest that is older than one used before, or another of the same epoch; keep a newer one."""
        pinned = (self._read(MANIFEST) or "").split()
        now = [str(manifest.epoch), manifest.digest.hex()]
        if pinned == now:
            return
        if pinned and (len(pinned) != 2 or not pinned[0].isdecimal() or int(pinned[0]) >= manifest.epoch):
            raise ConfigError(
                f"this device has worked with manifest {' '.join(pinned)}, and the configured one is {' '.join(now)}",
                "Get the current manifest. Somebody may be trying to bring back old keys",
            )
        self._write(MANIFEST, " ".join(now))

    def _read_hex(self, name: str, length: int) -> bytes | None:
        text = self._read(name)
        if text is None:
            return None
        if len(text) != 2 * length or not set(text) <= set("0123456789abcdef"):
            raise ConfigError(f"{self._directory / name} is damaged", "Move it away and recover with the code")
        return bytes.fromhex(text)

    def _read(self, name: str) -> str | None:
        path = self._directory / name
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            with os.fdopen(descriptor, "rb") as file:
                check_private(path, os.fstat(descriptor))
                return file.read(FILE_LIMIT).decode("ascii", "replace").strip()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise ConfigError(f"cannot read {path}: {error.strerror}", "Check its rights and its owner") from error

    def _write(self, name: str, text: str) -> None:
        self._prepare()
        try:
            write_private(self._directory / name, text + "\n")
        except OSError as error:
            raise ConfigError(
                f"cannot write {self._directory / name}: {error.strerror}", "Check free space and rights"
            ) from error

    def _remove(self, name: str) -> None:
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


def write_private(path: Path, text: str) -> None:
    """Replace the file at `path`, mode 0600, in one durable step. OSError when that fails; the old file stays then."""
    descriptor, part = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
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
