"""Ids and frozen values that several rooms share. No behaviour beyond canonical encodings."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import NewType

FleetId = NewType("FleetId", str)
ReplicaId = NewType("ReplicaId", int)  # 1..255, unique in its group
RecordId = NewType("RecordId", bytes)  # 32 bytes: HMAC(fleet-id, subject)
AttemptId = NewType("AttemptId", bytes)  # 16 bytes, chosen by the client
RegistrationId = NewType("RegistrationId", bytes)  # 16 bytes, chosen by the client

ROUTES = 1 << 16  # the routing space: two bytes


def netstring(*parts: str) -> str:
    """Join texts unambiguously: `length:text,` for each, lengths in UTF-8 bytes."""
    return "".join(f"{len(part.encode())}:{part}," for part in parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """Whose record it is: the tenant, the tenant's account, and the record's name within the account."""

    tenant: str
    account: str
    name: str

    def text(self) -> str:
        """The client identity of the OPAQUE profile, and the input of the record id."""
        return netstring(self.tenant, self.account, self.name)

    def route(self) -> int:
        """The 16-bit routing hash: all that a relay learns. It picks the group and the preferred replica."""
        digest = hashlib.sha256(b"hsm-vault/route/v1\0" + self.text().encode()).digest()
        return int.from_bytes(digest[:2], "big")


@dataclass(frozen=True, slots=True, kw_only=True)
class WrappedKey:
    """A record's OPRF key as stored: a blob under `fleet-root`, and the public key that the blob cannot yield."""

    blob: bytes  # opaque; starts with the token layer's mechanism tag
    public: bytes  # 33 bytes, SEC 1 compressed


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkKeys:
    """Directional AES-256 keys of one link connection: 32 bytes each, in memory for that connection only."""

    dialler: bytes
    listener: bytes

    def __repr__(self) -> str:
        return "LinkKeys(<secret>)"
