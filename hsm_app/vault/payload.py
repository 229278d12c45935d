"""The secret as the vault stores it: encrypted by the client under the OPAQUE export key.

    payload = version (1 byte) || nonce (12 bytes) || AES-256-GCM ciphertext and tag
    key     = HKDF-SHA256(export key, info = "hsm-vault/payload/v1")
    AAD     = version, fleet and subject, as netstrings

Each registration has its own export key (RFC 9807 section 4.1.2: it depends on the envelope's nonce), so a key normally
encrypts once; the random nonce is for the client that encrypts twice. The AAD keeps a fleet from answering with the
payload of another record. The export key is used only after the server was authenticated (RFC 9807 section 6).
"""

from __future__ import annotations

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from hsm_app.errors import ConfigError, ProtocolError
from hsm_app.model import FleetId, Subject, netstring

KEY_LABEL = b"hsm-vault/payload/v1"
VERSION = b"\x01"
NONCE = 12
SECRET_LIMIT = 1024  # bytes


def _cipher(export_key: bytes) -> AESGCM:
    return AESGCM(HKDF(algorithm=SHA256(), length=32, salt=None, info=KEY_LABEL).derive(export_key))


def _aad(fleet: FleetId, subject: Subject) -> bytes:
    return netstring("hsm-vault/payload/v1", fleet, subject.text()).encode()


def seal_secret(secret: bytes, *, export_key: bytes, nonce: bytes, fleet: FleetId, subject: Subject) -> bytes:
    """Return the payload. `nonce`: 12 random bytes. ConfigError when the secret is empty or above 1 KiB."""
    if not 0 < len(secret) <= SECRET_LIMIT:
        raise ConfigError(f"the secret has {len(secret)} bytes; the vault keeps 1 to {SECRET_LIMIT}", "Store a key")
    if len(nonce) != NONCE:
        raise ValueError("a payload's nonce has 12 bytes")
    return VERSION + nonce + _cipher(export_key).encrypt(nonce, secret, _aad(fleet, subject))


def open_secret(payload: bytes, *, export_key: bytes, fleet: FleetId, subject: Subject) -> bytes:
    """Return the secret. ProtocolError when the payload is not what was sealed under this key for this subject."""
    nonce, ciphertext = payload[1 : 1 + NONCE], payload[1 + NONCE :]
    if payload[:1] != VERSION or len(nonce) != NONCE:
        raise ProtocolError("the payload has another version", "Update the client")
    try:
        return _cipher(export_key).decrypt(nonce, ciphertext, _aad(fleet, subject))
    except InvalidTag:
        raise ProtocolError(
            "the code was right, but the payload is not what was registered", "Tell the fleet's operator"
        ) from None
