"""Signing keys in files: PKCS #8 PEM, mode 0600, never overwritten, and refused when others may read them."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from hsm_app.durable import create_file
from hsm_app.errors import ConfigError
from hsm_app.fleet.role_keys import KeyAlgorithm, RoleKey

LIMIT = 4096  # bytes of a PEM file; these keys have under 300
OWNER_ONLY = 0o600


class FileSigner:
    """Signs with a key from a file. Its public part is a `RoleKey`."""

    def __init__(self, private: Ed25519PrivateKey | ec.EllipticCurvePrivateKey) -> None:
        self._private = private
        if isinstance(private, Ed25519PrivateKey):
            self._key = RoleKey(KeyAlgorithm.ED25519, private.public_key().public_bytes_raw())
        else:
            point = private.public_key().public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
            self._key = RoleKey(KeyAlgorithm.ES256, point)

    @property
    def key(self) -> RoleKey:
        return self._key

    def sign(self, message: bytes) -> bytes:
        """Return the signature: Ed25519 64 bytes, ES256 in DER over SHA-256."""
        if isinstance(self._private, Ed25519PrivateKey):
            return self._private.sign(message)
        return self._private.sign(message, ec.ECDSA(SHA256()))


def make_key_file(path: Path, algorithm: KeyAlgorithm = KeyAlgorithm.ED25519) -> FileSigner:
    """Make a key and write it to a new file. ConfigError when the file exists or cannot be written."""
    private: Ed25519PrivateKey | ec.EllipticCurvePrivateKey = Ed25519PrivateKey.generate()
    if algorithm is KeyAlgorithm.ES256:
        private = ec.generate_private_key(ec.SECP256R1())
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    try:
        create_file(path, pem, OWNER_ONLY)
    except FileExistsError:
        raise ConfigError(f"{path} exists", "Choose another file; a key is never overwritten") from None
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror}", "Check free space and rights") from error
    return FileSigner(private)


def read_key_file(path: Path) -> FileSigner:
    """Read a key. ConfigError when others may read the file, or when it holds no Ed25519 or P-256 key."""
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            pem = file.read(LIMIT)
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}", "Check the path and its rights") from error
    if mode & 0o077:
        raise ConfigError(f"{path} can be read by others (mode {mode:04o})", f"Run: chmod 600 {path}")
    try:
        private = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        # Not chained: the exception may quote the file.
        raise ConfigError(f"{path} is no private key in PEM without a password", "Give another file") from None
    if isinstance(private, Ed25519PrivateKey):
        return FileSigner(private)
    if isinstance(private, ec.EllipticCurvePrivateKey) and isinstance(private.curve, ec.SECP256R1):
        return FileSigner(private)
    raise ConfigError(f"{path} holds a key of another kind", "Give an Ed25519 or P-256 key")
