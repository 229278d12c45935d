"""Signing keys by their files: a private key in PEM, or a TOML file that names a key in a PKCS#11 token.

| key of the TOML file | is |
|---|---|
| `algorithm`, `public_key` | `Ed25519` or `ES256`, and the public key in hexadecimal |
| `label` | the private key's label in the token |
| `module`, `token`, `softhsm2_conf` | the PKCS#11 module, the token's label, and SoftHSM's configuration if it is one |
| `pin_file`, `pin_credential`, `pin_env` | where the user PIN comes from; without any it is asked for |
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from hsm_app.durable import replace_file
from hsm_app.errors import ConfigError
from hsm_app.fleet.role_keys import KeyAlgorithm, RoleKey, Signer
from hsm_app.key_files import read_key_file
from hsm_app.settings import ExistingFile, Parsed, read_settings
from hsm_app.token.location import TokenLocation
from hsm_app.token.pin import pin_from, pin_from_file
from hsm_app.token.role_key import HeardFrom, TokenSigner, make_role_key

TOML = ".toml"


def _algorithm(text: str) -> KeyAlgorithm:
    try:
        return KeyAlgorithm(text)
    except ValueError:
        raise ConfigError(f"{text!r} is no algorithm", "Write Ed25519 or ES256") from None


def _hexadecimal(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise ConfigError("this is no hexadecimal number", "Copy the public key as `keygen` printed it") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenKeySettings:
    """A key in a token."""

    algorithm: Annotated[KeyAlgorithm, Parsed(_algorithm)]
    public_key: Annotated[bytes, Parsed(_hexadecimal)]
    label: str
    module: ExistingFile
    token: str
    softhsm2_conf: ExistingFile | None = None
    pin_file: Path | None = None
    pin_credential: str | None = None
    pin_env: str | None = None


def read_signer(path: Path, heard: HeardFrom | None = None) -> Signer:
    """Return the signer of a key's file. ConfigError names what is wrong with it; no token is opened yet.

    `heard` is told of every call to the token, if the key is in one.
    """
    if path.suffix != TOML:
        return read_key_file(path)
    settings = read_settings(path, TokenKeySettings)
    location = TokenLocation(module=settings.module, label=settings.token, softhsm2_conf=settings.softhsm2_conf)
    key = RoleKey(settings.algorithm, settings.public_key)
    sources = settings.pin_file, settings.pin_credential, settings.pin_env
    pin = pin_from(*sources, f"User PIN of token {settings.token}: ")
    return TokenSigner(location, pin, settings.label, key, heard)


def make_token_key(
    path: Path,
    location: TokenLocation,
    pin_file: Path,
    label: str,
    algorithm: KeyAlgorithm,
    heard: HeardFrom | None = None,
) -> RoleKey:
    """Make a key in a token and write the file that names it. ConfigError when the file exists."""
    if path.exists() or path.suffix != TOML:
        raise ConfigError(f"{path} exists, or does not end in {TOML}", "Choose another file")
    key = make_role_key(location, pin_from_file(pin_file), label, algorithm, heard)
    lines = {
        "algorithm": key.algorithm.value,
        "public_key": key.public.hex(),
        "label": label,
        "module": str(location.module.absolute()),
        "token": location.label,
        "softhsm2_conf": str(location.softhsm2_conf.absolute()) if location.softhsm2_conf else None,
        "pin_file": str(pin_file.absolute()),
    }
    text = "".join(f'{name} = "{value}"\n' for name, value in lines.items() if value is not None)
    replace_file(path, text.encode())
    return key
