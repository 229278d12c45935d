"""Public keys of the roles that vouch for a fleet: auditors, operators. Ed25519 (RFC 8032) or ECDSA P-256 (FIPS 186-5).

A key's id is the hexadecimal SHA-256 of its SubjectPublicKeyInfo (RFC 5280), so `openssl pkey -pubin -outform DER |
sha256sum` shows the same. One key has one role and signs one format.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from hsm_app.errors import ConfigError


class KeyAlgorithm(StrEnum):
    """The names are those of JWS (RFC 7518 section 3.4, RFC 9864): ES256 signatures are DER here, as DSSE has them."""

    ED25519 = "Ed25519"
    ES256 = "ES256"


@dataclass(frozen=True, slots=True)
class RoleKey:
    """`public`: 32 bytes (Ed25519), or a compressed P-256 point of 33 bytes. ConfigError when it is no such key."""

    algorithm: KeyAlgorithm
    public: bytes

    def __post_init__(self) -> None:
        try:
            self._key()
        except ValueError:
            raise ConfigError(f"{self.public.hex()[:80]} is no {self.algorithm} public key", "Check the key") from None

    @property
    def id(self) -> str:
        spki = self._key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return hashlib.sha256(spki).hexdigest()

    def holds(self, message: bytes, signature: bytes) -> bool:
        """Say whether `signature` is this key's over `message`."""
        key = self._key()
        try:
            if isinstance(key, Ed25519PublicKey):
                key.verify(signature, message)
            else:
                key.verify(signature, message, ec.ECDSA(SHA256()))
        except InvalidSignature:
            return False
        return True

    def _key(self) -> Ed25519PublicKey | ec.EllipticCurvePublicKey:
        if self.algorithm is KeyAlgorithm.ED25519:
            return Ed25519PublicKey.from_public_bytes(self.public)
        if len(self.public) != 33:
            raise ValueError("not a compressed point")
        return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), self.public)


class Signer(Protocol):
    """Holds the private key of a `RoleKey`, in a file or in a token."""

    @property
    def key(self) -> RoleKey: ...

    def sign(self, message: bytes) -> bytes:
        """Return the signature over `message`: Ed25519 64 bytes, ES256 in DER. Blocking."""
