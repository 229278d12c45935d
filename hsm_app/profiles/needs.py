"""What the vault needs of a PKCS#11 device: one row for each mechanism or attribute, the same in every profile.

`abilities` are the checks of `token.probe` that try the row on a real token; `untried` says what of it they cannot try.
Tests hold the rows equal to the probe's checks and to the mechanisms in `token.keyspec`, so that neither grows alone.
`lost` says what the vault would be without the row: it is the reason why nothing here has a substitute.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """One row. `calls` are the names of PKCS#11 that a vendor's documents use: CKM_, CKA_, C_."""

    id: str
    name: str
    calls: tuple[str, ...]
    lost: str
    abilities: tuple[str, ...]
    untried: str = ""
    required: bool = True


NEEDS = (
    Need(
        id="random",
        name="random bytes",
        calls=("C_GenerateRandom",),
        lost="nonces and fresh keys would come from the host alone",
        abilities=("random bytes",),
    ),
    Need(
        id="session-objects",
        name="keys that live for one session",
        calls=("CKA_TOKEN=false",),
        lost="each request makes a key and drops it: as token objects they would wear out and fill the device",
        abilities=("make an EC P-256 key that nobody can read", "wrap and unwrap an HMAC key"),
    ),
    Need(
        id="ec-key",
        name="EC P-256 keys",
        calls=("CKM_EC_KEY_PAIR_GEN",),
        lost="there is no identity, no OPAQUE key and no record key",
        abilities=("make an EC P-256 key that nobody can read",),
    ),
    Need(
        id="unreadable",
        name="keys that nobody can read",
        calls=("CKA_SENSITIVE", "CKA_EXTRACTABLE", "CKA_PRIVATE"),
        lost="whoever has the PIN reads the keys; the device is a file",
        abilities=("make an EC P-256 key that nobody can read", "refuse to read an unreadable key"),
    ),
    Need(
        id="ecdh",
        name="ECDH with NULL KDF, value readable",
        calls=("CKM_ECDH1_DERIVE", "CKD_NULL"),
        lost="points cannot be multiplied in the device: no OPAQUE, no sealed requests",
        abilities=(
            "ECDH with NULL KDF to a readable value",
            "multiply a point (two derives)",
            "refuse a point off the curve",
        ),
    ),
    Need(
        id="ecdh-inside",
        name="ECDH to a key that stays inside",
        calls=("CKM_ECDH1_DERIVE", "CKD_NULL"),
        lost="the keys of the links between replicas would lie in the host's memory",
        abilities=("ECDH to an HMAC key that stays inside",),
    ),
    Need(
        id="hmac",
        name="HMAC-SHA256",
        calls=("CKM_SHA256_HMAC", "CKM_GENERIC_SECRET_KEY_GEN"),
        lost="records cannot be sealed, named or counted",
        abilities=("HMAC-SHA256",),
        untried="the probe imports its key, to compare with a known answer; `fleet create` makes one in the token",
    ),
    Need(
        id="ecdsa",
        name="ECDSA over a digest",
        calls=("CKM_ECDSA",),
        lost="a replica cannot prove who it is",
        abilities=("ECDSA P-256 over a digest",),
    ),
    Need(
        id="aes-key",
        name="AES-256 keys",
        calls=("CKM_AES_KEY_GEN",),
        lost="there is no fleet root",
        abilities=("make an AES-256 root with CKA_UNWRAP_TEMPLATE",),
    ),
    Need(
        id="key-wrap",
        name="AES key wrap with padding",
        calls=("CKM_AES_KEY_WRAP_PAD",),
        lost="record keys cannot leave the device sealed, and a device holds too few of them",
        abilities=(
            "wrap an EC key (AES_KEY_WRAP_PAD) and unwrap it unreadable",
            "wrap and unwrap an HMAC key",
            "refuse a damaged blob",
        ),
    ),
    Need(
        id="unwrap-template",
        name="a wrapping key that decides",
        calls=("CKA_UNWRAP_TEMPLATE",),
        lost="whoever takes over the application unwraps every stored key into a readable one",
        abilities=("make an AES-256 root with CKA_UNWRAP_TEMPLATE", "refuse to unwrap into a readable key"),
    ),
    Need(
        id="fixed",
        name="keys that stay as they were made",
        calls=("CKA_COPYABLE", "CKA_MODIFIABLE"),
        lost="the root can be copied, or allowed to decrypt, and then opens every stored key",
        abilities=("refuse to copy the root, or give it CKA_DECRYPT",),
    ),
    Need(
        id="wrap-with-trusted",
        name="wrapped under trusted keys only",
        calls=("CKA_WRAP_WITH_TRUSTED",),
        lost="whoever has the PIN takes the root out under a key of their own",
        abilities=("refuse to wrap the root under an untrusted key",),
    ),
    Need(
        id="trusted",
        name="trust comes from the security officer",
        calls=("CKA_TRUSTED", "CKU_SO"),
        lost="whoever has the PIN trusts a key of their own; or nobody can trust one, and the root cannot be carried",
        abilities=("refuse CKA_TRUSTED from a user session",),
        untried="the probe has no officer's PIN: that the officer can place a trusted key is seen in the ceremony",
    ),
    Need(
        id="rsa-key",
        name="RSA-3072 keys",
        calls=("CKM_RSA_PKCS_KEY_PAIR_GEN",),
        lost="there is no transport key, and the root cannot be carried",
        abilities=("unwrap a root under RSA-3072 OAEP, with its final rights",),
    ),
    Need(
        id="rsa-oaep",
        name="unwrapping under RSA-OAEP, SHA-1",
        calls=("CKM_RSA_PKCS_OAEP", "CKM_SHA_1"),
        lost="the root cannot be carried from one device to the next",
        abilities=("unwrap a root under RSA-3072 OAEP, with its final rights",),
    ),
    Need(
        id="data-object",
        name="a private data object",
        calls=("CKO_DATA",),
        lost="nothing in the device remembers the store: put back to an older state, it would not be noticed",
        abilities=("keep a private data object",),
        untried="whether the object lies in the device or in a file of its host: ask the vendor",
    ),
    Need(
        id="ed25519",
        name="Ed25519 signatures",
        calls=("CKM_EC_EDWARDS_KEY_PAIR_GEN", "CKM_EDDSA"),
        lost="nothing: people whose key lies in this device sign with ECDSA",
        abilities=("Ed25519 signatures",),
        required=False,
    ),
)
