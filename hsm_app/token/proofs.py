"""Prove that a key in the token is the one that the manifest names. A key that is another raises TokenError.

The manifest holds public keys, and check values of the secrets (HMAC over a fixed text that no real input can equal).
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from hsm_app.errors import TokenError
from hsm_app.token.objects import mac, shared_x

CURVE = ec.SECP256R1()
SIGNED = b"hsm-vault/identity-check/v1"


def check_value(secret: Any, label: str) -> bytes:
    """Return what the manifest says of a secret. Its input is shorter than any that `message_key` takes, and no
    netstring as `record_id` takes, so it answers no question that the vault asks the key."""
    return mac(secret, b"hsm-vault/check/v1/" + label.encode())


def prove_secret(secret: Any, label: str, check: bytes) -> None:
    """The check value has to be the committed one."""
    if not hmac.compare_digest(check_value(secret, label), check):
        raise _mismatch(label)


def prove_derives(key: Any, label: str, committed: bytes) -> None:
    """A Diffie-Hellman with a fresh key has to agree with the committed public key (33 bytes)."""
    public = _public(label, committed)
    fresh = ec.generate_private_key(CURVE)
    point = fresh.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    if not hmac.compare_digest(shared_x(key, point), fresh.exchange(ec.ECDH(), public)):
        raise _mismatch(label)


def prove_signs(sign: Callable[[bytes], bytes], label: str, committed: bytes) -> None:
    """A signature (r || s over SHA-256) has to verify under the committed public key (33 bytes)."""
    signature = sign(SIGNED)
    encoded = encode_dss_signature(int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big"))
    try:
        _public(label, committed).verify(encoded, hashlib.sha256(SIGNED).digest(), ec.ECDSA(Prehashed(SHA256())))
    except InvalidSignature as error:
        raise _mismatch(label) from error


def _public(label: str, committed: bytes) -> ec.EllipticCurvePublicKey:
    try:
        return ec.EllipticCurvePublicKey.from_encoded_point(CURVE, committed)
    except ValueError as error:
        raise _mismatch(label) from error


def _mismatch(label: str) -> TokenError:
    return TokenError(
        f"{label} is not the key that the manifest names",
        "Use the token, fleet keys and manifest of one fleet; if they are, someone exchanged a key",
    )
