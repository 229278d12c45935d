"""The messages of OPAQUE-3DH with P256-SHA256, byte for byte (RFC 9807 sections 5.1, 6.1 and 6.3). All sizes are fixed.

| message | bytes | fields |
|---|---|---|
| RegistrationRequest | 33 | blinded element |
| RegistrationResponse | 66 | evaluated element, server public key |
| RegistrationRecord | 129 | client public key, masking key, envelope |
| KE1 | 98 | blinded element, client nonce, client keyshare |
| KE2 | 259 | evaluated element, masking nonce, masked response (97), server nonce, server keyshare, server MAC |
| KE3 | 32 | client MAC |

Decoding checks the length, and of what a client sent that its points are on the curve (section 10.7). The client checks
the points of KE2 where it uses them, so that all of its failures look alike.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from hsm_app.errors import ProtocolError
from hsm_app.opaque.group import ELEMENT, Point, check_point

NONCE = 32  # Nn
MAC = 32  # Nm
HASH = 32  # Nh, Nx
KEY = 32  # Nsk, Nok
ENVELOPE = NONCE + MAC  # Ne
MASKED = ELEMENT + ENVELOPE


def split(data: bytes, what: str, *sizes: int) -> list[bytes]:
    """Cut `data` into pieces of these sizes. ProtocolError when it has another length."""
    if len(data) != sum(sizes):
        raise ProtocolError(f"{what} has {len(data)} bytes, not {sum(sizes)}", "The peer speaks another protocol")
    pieces, at = [], 0
    for size in sizes:
        pieces.append(data[at : at + size])
        at += size
    return pieces


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistrationRecord:
    """What the server stores for a client (section 5.1). `client_point` is the checked public key."""

    client_public_key: bytes
    client_point: Point
    masking_key: bytes = field(repr=False)
    envelope: bytes = field(repr=False)

    def to_bytes(self) -> bytes:
        return self.client_public_key + self.masking_key + self.envelope

    @staticmethod
    def from_bytes(data: bytes) -> RegistrationRecord:
        public, masking, envelope = split(data, "a registration record", ELEMENT, HASH, ENVELOPE)
        return RegistrationRecord(
            client_public_key=public, client_point=check_point(public), masking_key=masking, envelope=envelope
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class KE1:
    """The client's first message. `keyshare_point` is its checked keyshare, `raw` the bytes as they came."""

    raw: bytes
    blinded: bytes
    client_nonce: bytes
    client_keyshare: bytes
    keyshare_point: Point

    @staticmethod
    def from_bytes(data: bytes) -> KE1:
        blinded, nonce, keyshare = split(data, "KE1", ELEMENT, NONCE, ELEMENT)
        check_point(blinded)
        return KE1(
            raw=data,
            blinded=blinded,
            client_nonce=nonce,
            client_keyshare=keyshare,
            keyshare_point=check_point(keyshare),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class KE2:
    """The server's answer. `credential_response` is the part that the transcript covers before the AKE's own."""

    evaluated: bytes
    masking_nonce: bytes
    masked_response: bytes
    server_nonce: bytes
    server_keyshare: bytes
    server_mac: bytes = b""

    @property
    def credential_response(self) -> bytes:
        return self.evaluated + self.masking_nonce + self.masked_response

    def to_bytes(self) -> bytes:
        return self.credential_response + self.server_nonce + self.server_keyshare + self.server_mac

    @staticmethod
    def from_bytes(data: bytes) -> KE2:
        evaluated, masking_nonce, masked, nonce, keyshare, mac = split(
            data, "KE2", ELEMENT, NONCE, MASKED, NONCE, ELEMENT, MAC
        )
        return KE2(
            evaluated=evaluated,
            masking_nonce=masking_nonce,
            masked_response=masked,
            server_nonce=nonce,
            server_keyshare=keyshare,
            server_mac=mac,
        )
