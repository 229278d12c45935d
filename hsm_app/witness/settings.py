"""A witness's directory: `witness.toml`, its key, and what it keeps of each log (`witness.state`)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hsm_app.durable import replace_file
from hsm_app.errors import ConfigError
from hsm_app.key_files import make_key_file, read_key_file
from hsm_app.settings import ExistingFile, read_settings
from hsm_app.tlog.note import COSIGNATURE, ED25519, VerifierKey
from hsm_app.witness.state import Witness

FILE = "witness.toml"


@dataclass(frozen=True, slots=True, kw_only=True)
class WitnessSettings:
    """`name` is the witness's for ever; `logs` are the verifier keys of the logs that it knows."""

    name: str
    key: ExistingFile
    logs: tuple[str, ...] = ()


def create_witness(root: Path, name: str, logs: tuple[VerifierKey, ...]) -> VerifierKey:
    """Make a key and a configuration in a new or empty directory; return the witness's verifier key."""
    try:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        (root / "keys").mkdir(mode=0o700)
    except OSError as error:
        raise ConfigError(f"cannot create {root / 'keys'}: {error.strerror}", "Choose a new directory") from error
    key = VerifierKey(name, COSIGNATURE, make_key_file(root / "keys" / "witness.pem").key.public)
    listed = "".join(f'  "{log.text}",\n' for log in logs)
    replace_file(root / FILE, f'name = "{name}"\nkey = "keys/witness.pem"\nlogs = [\n{listed}]\n'.encode())
    return key


def open_witness(root: Path) -> Witness:
    """Open a witness's directory. VaultError says what is wrong with it."""
    settings = read_settings(root / FILE, WitnessSettings)
    signer = read_key_file(settings.key)
    logs = {key.name: key for key in map(VerifierKey.parse, settings.logs)}
    if any(key.kind != ED25519 for key in logs.values()) or len(logs) != len(settings.logs):
        raise ConfigError(f"{root / FILE}: a log's key is of another kind, or a log stands twice", "Check its logs")
    return Witness(root, VerifierKey(settings.name, COSIGNATURE, signer.key.public), signer.sign, logs)
