"""A witness's directory: `witness.toml`, its key, and what it keeps of each log (`witness.state`)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from hsm_app.durable import replace_file
from hsm_app.errors import ConfigError
from hsm_app.key_files import make_key_file, read_key_file
from hsm_app.settings import ExistingFile, read_settings
from hsm_app.tlog.note import COSIGNATURE, ED25519, VerifierKey
from hsm_app.witness.state import Witness

FILE = "witness.toml"
_NAME = re.compile(r"[A-Za-z0-9._:/-]{1,200}")  # stands in configuration files and in each line of its signatures


@dataclass(frozen=True, slots=True, kw_only=True)
class WitnessSettings:
    """`name` is the witness's for ever; `logs` are the verifier keys of the logs that it knows."""

    name: str
    key: ExistingFile
    logs: tuple[str, ...] = ()


def create_witness(root: Path, name: str, logs: tuple[VerifierKey, ...]) -> VerifierKey:
    """Make a key and a configuration in a new or empty directory; return the witness's verifier key.

    ConfigError for a name that cannot be one, and for logs that `open_witness` would refuse; nothing is made then.
    """
    if not _NAME.fullmatch(name):
        raise ConfigError(f"{name[:80]!a} is no witness's name", f"Write a name of the form {_NAME.pattern}")
    _check_logs(logs)
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
    keys = tuple(map(VerifierKey.parse, settings.logs))
    _check_logs(keys)
    logs = {key.name: key for key in keys}
    return Witness(root, VerifierKey(settings.name, COSIGNATURE, signer.key.public), signer.sign, logs)


def _check_logs(logs: tuple[VerifierKey, ...]) -> None:
    for key in logs:
        if key.kind != ED25519:
            raise ConfigError(f"the key of {key.name} is a witness's, not a log's", "Give what `auditor init` printed")
    if len({key.name for key in logs}) != len(logs):
        raise ConfigError("a log stands twice among those of the witness", "Name each log once")
