"""Where the files of a fleet made by `fleet create` lie, and how they are written.

| file | holds | if it leaks | if it is lost |
|---|---|---|---|
| `manifest.json` | public keys and policy; each replica has its own copy | public | others hold copies |
| `epochs/` | manifests of epochs, their certificates and bundles | public | other replicas hold copies |
| `root-of-trust.json` | whom the replicas believe; their tokens remember its hash | public | copy another's |
| `fleet-keys.bin` | fleet keys under `fleet-root` | useless without a token | copy another replica's |
| `replica-N/pin` | the user PIN of token N | with its host: uncounted use of the keys | the token is lost |
| `replica-N/tokens/` | SoftHSM's inside of a token | as the PIN, once that is guessed | the token is lost |
| `replica-N/store.sqlite` | sealed records and votes | how many records there are | that replica stays out |
| `tenant/` | a development tenant's key | its holder can name any account | make a new manifest |
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hsm_app.durable import create_file
from hsm_app.errors import ConfigError

SOFTHSM2_CONF = """\
directories.tokendir = {tokens}
objectstore.backend = file
objectstore.umask = 0077
log.level = ERROR
slots.removable = false
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaFiles:
    """The files of one replica below the fleet's directory."""

    root: Path
    number: int

    @property
    def directory(self) -> Path:
        return self.root / f"replica-{self.number}"

    @property
    def softhsm2_conf(self) -> Path:
        return self.directory / "softhsm2.conf"

    @property
    def pin(self) -> Path:
        return self.directory / "pin"

    @property
    def settings(self) -> Path:
        return self.directory / "replica.toml"

    @property
    def manifest(self) -> Path:
        """The replica's own copy: replicas enter an epoch one after the other."""
        return self.directory / "manifest.json"

    @property
    def operator(self) -> Path:
        """The socket of the operator's door."""
        return self.directory / "door"

    @property
    def store(self) -> Path:
        return self.directory / "store.sqlite"


def make_directory(path: Path) -> None:
    """Create a directory that only its owner can enter. ConfigError when it exists and holds something."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        occupied = any(path.iterdir())
    except OSError as error:
        raise ConfigError(f"cannot create {path}: {error.strerror}", "Choose a directory you may write to") from error
    if occupied:
        raise ConfigError(f"{path} is not empty", "Choose a new directory; nothing is overwritten")


def write_new(path: Path, data: bytes, mode: int = 0o644) -> None:
    """Write a file that must not exist yet, durably. ConfigError when it cannot be written."""
    try:
        create_file(path, data, mode)
    except OSError as error:
        raise ConfigError(
            f"cannot write {path}: {error.strerror}", "Check free space and rights, then start anew"
        ) from error


def prepare_softhsm(files: ReplicaFiles) -> None:
    """Give one replica a SoftHSM of its own: configuration and token directory that no other replica uses."""
    tokens = files.directory / "tokens"
    tokens.mkdir(mode=0o700, parents=True)
    write_new(files.softhsm2_conf, SOFTHSM2_CONF.format(tokens=tokens).encode())
