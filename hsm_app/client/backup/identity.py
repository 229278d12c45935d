"""The backup key K as an age identity.

K is 32 random bytes, and any 32 bytes are an X25519 secret key (RFC 7748 section 5 clamps them), so K itself is the
identity: `AGE-SECRET-KEY-1...`, Bech32 (BIP 173) as age's specification has it. Whoever holds K needs nothing but the
`age` program to open a backup.
"""

from __future__ import annotations

import bech32
import pyrage

from hsm_app.errors import BackupError

KEY_LENGTH = 32  # bytes
PREFIX = "age-secret-key-"


def age_identity(key: bytes) -> str:
    """Return K in the form that `age --identity` reads. BackupError unless K is 32 bytes."""
    if len(key) != KEY_LENGTH:
        raise BackupError(f"a backup key has {KEY_LENGTH} bytes, not {len(key)}", "Recover or import the key again")
    words = bech32.convertbits(key, 8, 5)
    if words is None:
        raise BackupError("a backup key does not fit into Bech32", "Recover or import the key again")
    return bech32.bech32_encode(PREFIX, words).upper()


def identity(key: bytes) -> pyrage.x25519.Identity:
    """Return K as pyrage's identity."""
    return pyrage.x25519.Identity.from_str(age_identity(key))
