"""3DH: transcript and keys, RFC 9807 sections 6.4.1 to 6.4.4. Both sides run the same schedule over the same bytes."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field

from hsm_app.opaque.envelope import expand, extract, prefixed
from hsm_app.opaque.messages import HASH, KE2


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionKeys:
    """What both sides derive: the MACs that prove it to each other, and the session key."""

    server_mac: bytes = field(repr=False)
    client_mac: bytes = field(repr=False)
    session_key: bytes = field(repr=False)


def preamble(*, context: bytes, client: bytes, ke1: bytes, server: bytes, ke2: KE2) -> bytes:
    """Return the transcript (section 6.4.2.1). `ke2`'s MAC is not part of it."""
    inner = ke2.credential_response + ke2.server_nonce + ke2.server_keyshare
    return b"OPAQUEv1-" + prefixed(context) + prefixed(client) + ke1 + prefixed(server) + inner


def session_keys(shared: bytes, transcript: bytes) -> SessionKeys:
    """Derive everything from the three DH outputs, 99 bytes, and the transcript (sections 6.4.2.2 to 6.4.4)."""
    prk = extract(b"", shared)
    hashed = hashlib.sha256(transcript)
    handshake = _derive(prk, b"HandshakeSecret", hashed.digest())
    session_key = _derive(prk, b"SessionKey", hashed.digest())
    server_mac = hmac.digest(_derive(handshake, b"ServerMAC", b""), hashed.digest(), "sha256")
    hashed.update(server_mac)
    client_mac = hmac.digest(_derive(handshake, b"ClientMAC", b""), hashed.digest(), "sha256")
    return SessionKeys(server_mac=server_mac, client_mac=client_mac, session_key=session_key)


def _derive(secret: bytes, label: bytes, transcript_hash: bytes) -> bytes:
    """Derive-Secret: Expand-Label with Nx = 32 (section 6.4.2.2)."""
    full = b"OPAQUE-" + label
    info = HASH.to_bytes(2, "big") + bytes((len(full),)) + full + bytes((len(transcript_hash),)) + transcript_hash
    return expand(secret, info, HASH)
