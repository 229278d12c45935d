"""Sealed messages: what a replica stores or hands out so that only this fleet can read it, and only as what it is.

    sealed = nonce (32 bytes) || AES-256-GCM ciphertext and tag
    key    = HMAC-SHA256(fleet-seal, purpose || nonce), asked of the token (`Token.message_key`)
    AAD    = version, purpose, fleet, group, record and nonce, each with its length

The 32-byte nonce is random, so every message has a key of its own and the AES-GCM nonce can be fixed: zero. A random
96-bit GCM nonce under one key would wear out in weeks at a fleet's rate (NIST SP 800-38D section 8.3).

VAULT-SEAL-PURPOSE: the purpose is in the key and in the AAD, so a ticket is never taken for a record, nor one ticket
for the other, nor anything for another fleet's, group's or record's. A ticket's record is inside it and not in its
AAD, as its receiver knows it only from the ticket.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from hsm_app.errors import ProtocolError, StoreError, VaultError
from hsm_app.model import FleetId, RecordId

VERSION = b"hsm-vault/seal/v1"
NONCE = 32
TAG = 16
_GCM_NONCE = bytes(12)


class Purpose(Enum):
    """The value is the first argument of `Token.message_key`."""

    RECORD = b"hsm-vault/seal/v1/record"
    REGISTER_TICKET = b"hsm-vault/seal/v1/register-ticket"
    RECOVER_TICKET = b"hsm-vault/seal/v1/recover-ticket"


@dataclass(frozen=True, slots=True, kw_only=True)
class Seal:
    """What a message is and where it belongs. `record` is None for tickets."""

    purpose: Purpose
    fleet: FleetId
    group: int
    record: RecordId | None = None

    def aad(self, nonce: bytes) -> bytes:
        fields = (VERSION, self.purpose.value, self.fleet.encode(), str(self.group).encode(), self.record or b"", nonce)
        return b"".join(len(field).to_bytes(2, "big") + field for field in fields)


def seal(about: Seal, *, key: bytes, nonce: bytes, plaintext: bytes) -> bytes:
    """Return the sealed message. `nonce`: 32 fresh bytes of the token; `key`: its message key for purpose and nonce."""
    if len(nonce) != NONCE:
        raise ValueError("a seal's nonce has 32 bytes")
    return nonce + AESGCM(key).encrypt(_GCM_NONCE, plaintext, about.aad(nonce))


def nonce_of(about: Seal, sealed: bytes) -> bytes:
    """Return the nonce to ask the token's message key for. The error of `unseal` when there can be none."""
    if len(sealed) < NONCE + TAG:
        raise _refusal(about)
    return sealed[:NONCE]


def unseal(about: Seal, *, key: bytes, sealed: bytes) -> bytes:
    """Return the plaintext. ProtocolError for a ticket, StoreError for a record, that is not what `about` says."""
    nonce = nonce_of(about, sealed)
    try:
        return AESGCM(key).decrypt(_GCM_NONCE, sealed[NONCE:], about.aad(nonce))
    except InvalidTag:
        raise _refusal(about) from None


def _refusal(about: Seal) -> VaultError:
    if about.purpose is Purpose.RECORD:
        return StoreError("a stored record does not open with this fleet's keys", "Repair the store from the others")
    return ProtocolError("a ticket is not one of this fleet and group", "Start the operation again")
