"""What this device keeps between two commands, in a directory that only its owner can enter.

| file | holds | if it leaks | if it is lost |
|---|---|---|---|
| `key` | the backup key K, 64 hexadecimal digits | every backup is open | recover it with the code |
| `owner-key` | the key that signs delete, replace, cancel | its holder can delete the record | recover with the code |
| `waiting` | id and owner's key of a replacement that waits | as `owner-key`, once it is live | register again |
| `manifest` | epoch and digest of the newest manifest used here | public | an older one is taken again |
| `bundle` | the bundle that proved the newest manifest (`fleet.bundle`) | public | it is asked for again |
| `fleet` | the fleet that has the record | public | the fleets are asked |
| `migration` | the fleet with the old record, and its owner's key | as `owner-key` | delete it with the code |
| `receipt-FLEET` | the signed status that says that the old record is gone | public | ask that fleet again |
| `former-key-N` | a backup key that another one took the place of | older backups are open | they stay closed |
| `next-key` | a key on its way into the vault, to take the place of `key` | as `key` | the migration makes another |

"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from hsm_app.client.private_directory import PrivateDirectory
from hsm_app.errors import BackupError, ConfigError
from hsm_app.fleet.manifest import Manifest

KEY, OWNER_KEY, WAITING, MANIFEST, BUNDLE = "key", "owner-key", "waiting", "manifest", "bundle"
FLEET, MIGRATION, RECEIPT, FORMER_KEY, NEXT_KEY = "fleet", "migration", "receipt", "former-key", "next-key"
KEY_LENGTH = 32  # bytes, of both keys
ID_LENGTH = 16  # bytes of a registration id
# A new record is wanted; is live; is to get another key; has it.
BEGUN, MOVED, RENEWING, RENEWED = "begun", "moved", "renewing", "renewed"
HEXADECIMAL = re.compile(rf"[0-9a-f]{{{2 * KEY_LENGTH}}}")
STAGES = (BEGUN, MOVED, RENEWING, RENEWED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Migration:
    """An old record that is to be deleted in `fleet`, with its owner's key. `stage` is one of `STAGES`."""

    fleet: str
    owner_key: bytes = field(repr=False)
    stage: str


class DeviceState:
    """The state directory. Every method raises ConfigError when the directory or a file cannot be used."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._files = PrivateDirectory(directory)

    def __repr__(self) -> str:
        return f"DeviceState({str(self._directory)!r})"

    def key(self) -> bytes | None:
        """Return the backup key, or None when this device holds none."""
        return self._files.read_hex(KEY, KEY_LENGTH)

    def owner_key(self) -> bytes | None:
        return self._files.read_hex(OWNER_KEY, KEY_LENGTH)

    def keep_key(self, key: bytes) -> None:
        """Keep the backup key, durably. BackupError when another one is here: it may be the only copy."""
        held = self.key()
        if held is not None and held != key:
            raise BackupError(
                f"{self._directory} holds another backup key",
                "Existing backups may need that one: write it down with `hsm-vault backup key`, "
                f"then move {self._directory / KEY} away",
            )
        self._files.write_text(KEY, key.hex())

    def keep_owner_key(self, owner_key: bytes) -> None:
        self._files.write_text(OWNER_KEY, owner_key.hex())

    def forget_owner_key(self) -> None:
        """Remove the owner's key: the record that it belonged to is gone."""
        self._files.remove(OWNER_KEY)

    def waiting(self) -> tuple[bytes, bytes] | None:
        """Return registration id (16 bytes) and owner's key of a replacement that waits, or None."""
        both = self._files.read_hex(WAITING, ID_LENGTH + KEY_LENGTH)
        return None if both is None else (both[:ID_LENGTH], both[ID_LENGTH:])

    def keep_waiting(self, registration_id: bytes, owner_key: bytes) -> None:
        self._files.write_text(WAITING, (registration_id + owner_key).hex())

    def forget_waiting(self) -> None:
        self._files.remove(WAITING)

    def pin(self, manifest: Manifest) -> None:
        """Refuse a manifest that is older than one used before, or another of the same epoch; keep a newer one."""
        pinned = (self._files.read_text(MANIFEST) or "").split()
        now = [str(manifest.epoch), manifest.digest.hex()]
        if pinned == now:
            return
        if pinned and (len(pinned) != 2 or not pinned[0].isdecimal() or len(pinned[1]) != len(now[1])):
            raise ConfigError(
                "the file `manifest` of the state directory, which says what this device has worked with, is damaged",
                "Put it back from a copy; take it away only if you are sure of the configured manifest",
            )
        if pinned and int(pinned[0]) >= manifest.epoch:
            raise ConfigError(
                f"this device has worked with manifest {' '.join(pinned)}, and the configured one is {' '.join(now)}",
                "Get the current manifest. Somebody may be trying to bring back old keys",
            )
        self._files.write_text(MANIFEST, " ".join(now))

    def bundle(self) -> bytes | None:
        """Return the last bundle that was believed here, None when there is none."""
        return self._files.read(BUNDLE)

    def keep_bundle(self, raw: bytes, manifest: Manifest) -> None:
        """Keep a bundle, durably, and that its manifest was seen. ConfigError when a newer one was seen."""
        self.pin(manifest)
        self._files.write(BUNDLE, raw)

    def fleet(self) -> str | None:
        """Return which fleet has the record, None when this device does not know."""
        return self._files.read_text(FLEET)

    def keep_fleet(self, fleet: str) -> None:
        if fleet != self.fleet():
            self._files.write_text(FLEET, fleet)

    def migration(self) -> Migration | None:
        """Return the migration that was begun here and has no receipt yet, or None."""
        words = (self._files.read_text(MIGRATION) or "").split()
        if not words:
            return None
        if len(words) != 3 or words[2] not in STAGES or not HEXADECIMAL.fullmatch(words[1]):
            raise ConfigError(f"{self._directory / MIGRATION} is damaged", "Move it away, and delete the old record")
        return Migration(fleet=words[0], owner_key=bytes.fromhex(words[1]), stage=words[2])

    def keep_migration(self, migration: Migration) -> None:
        self._files.write_text(MIGRATION, f"{migration.fleet} {migration.owner_key.hex()} {migration.stage}")

    def finish_migration(self, fleet: str, receipt: str) -> None:
        """Keep the receipt that a fleet's record is gone, then forget that it has to be deleted."""
        self._files.write_text(f"{RECEIPT}-{fleet.replace('/', '_')}", receipt)
        self._files.remove(MIGRATION)

    def keep_former_key(self, key: bytes) -> Path:
        """Keep a key that another one is about to replace; return its file. Done again, it keeps it once."""
        files = self._former_keys()
        for path in files.values():
            if self._files.read_hex(path.name, KEY_LENGTH) == key:
                return path
        name = f"{FORMER_KEY}-{max(files, default=0) + 1}"
        self._files.write_text(name, key.hex())
        return self._directory / name

    def former_key(self) -> Path | None:
        """Return the file of the key that was replaced last, None when none was."""
        files = self._former_keys()
        return files[max(files)] if files else None

    def _former_keys(self) -> dict[int, Path]:
        """The files by their number: a later key has a higher one."""
        named = {path.name.removeprefix(f"{FORMER_KEY}-"): path for path in self._directory.glob(f"{FORMER_KEY}-*")}
        return {int(number): path for number, path in named.items() if number.isdecimal()}

    def next_key(self) -> bytes | None:
        """Return the key that is about to take the present one's place, or None."""
        return self._files.read_hex(NEXT_KEY, KEY_LENGTH)

    def keep_next_key(self, key: bytes) -> None:
        self._files.write_text(NEXT_KEY, key.hex())

    def take_next_key(self) -> None:
        """Hold the next key from now on: the vault has it, and the one before was kept."""
        key = self.next_key()
        if key is not None:
            self._files.write_text(KEY, key.hex())
            self._files.remove(NEXT_KEY)

    def forget_fleet(self) -> None:
        """No fleet has the record any more."""
        self._files.remove(FLEET)
