"""The envelope and what is derived from the randomized password: RFC 9807 sections 4.1, 5.2.3, 6.3.2.2 and 6.3.2.3."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from dataclasses import dataclass, field

from hsm_app.errors import ProtocolError
from hsm_app.opaque import oprf
from hsm_app.opaque.group import ELEMENT, SoftwareKey, encode
from hsm_app.opaque.messages import ENVELOPE, KEY, NONCE

Stretch = Callable[[bytes], bytes]
FAILURE = "the recovery code is wrong, or the server is not the one that was registered with"


class AuthenticationFailed(ProtocolError):
    """The one answer to every failure of a login, so that nobody learns which check it was."""

    def __init__(self) -> None:
        super().__init__(FAILURE, "Check the code")


@dataclass(frozen=True, slots=True, kw_only=True)
class Identities:
    """Who the two sides are; None stands for the side's public key (section 4)."""

    client: bytes | None = None
    server: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """What the client finds in an envelope, or puts into it."""

    client_key: SoftwareKey
    client_public_key: bytes
    export_key: bytes = field(repr=False)


def extract(salt: bytes, ikm: bytes) -> bytes:
    """HKDF-Extract (RFC 5869 section 2.2); an empty salt is 32 zero bytes, which HMAC treats alike."""
    return hmac.digest(salt, ikm, "sha256")


def expand(prk: bytes, info: bytes, length: int) -> bytes:
    """HKDF-Expand (RFC 5869 section 2.3)."""
    output, block, counter = b"", b"", 1
    while len(output) < length:
        block = hmac.digest(prk, block + info + bytes((counter,)), "sha256")
        output += block
        counter += 1
    return output[:length]


def randomize(oprf_output: bytes, stretch: Stretch) -> bytes:
    """Return the randomized password (section 5.2.3)."""
    return extract(b"", oprf_output + stretch(oprf_output))


def masking_key(randomized: bytes) -> bytes:
    return expand(randomized, b"MaskingKey", 32)


def mask(key: bytes, nonce: bytes, data: bytes) -> bytes:
    """Mask or unmask server public key and envelope, 97 bytes (sections 6.3.2.2 and 6.3.2.3)."""
    pad = expand(key, nonce + b"CredentialResponsePad", ELEMENT + ENVELOPE)
    return (int.from_bytes(pad, "big") ^ int.from_bytes(data, "big")).to_bytes(len(pad), "big")


def store(randomized: bytes, nonce: bytes, server_public: bytes, identities: Identities) -> tuple[bytes, Opened]:
    """Make an envelope (section 4.1.2). `nonce`: 32 random bytes. Return its 64 bytes and what it holds."""
    opened = _derive(randomized, nonce)
    return nonce + _tag(randomized, nonce, opened.client_public_key, server_public, identities), opened


def recover(randomized: bytes, envelope: bytes, server_public: bytes, identities: Identities) -> Opened:
    """Open an envelope (section 4.1.3). AuthenticationFailed when the password or an identity is another one."""
    nonce, tag = envelope[:NONCE], envelope[NONCE:]
    opened = _derive(randomized, nonce)
    expected = _tag(randomized, nonce, opened.client_public_key, server_public, identities)
    if not hmac.compare_digest(tag, expected):
        raise AuthenticationFailed
    return opened


def _derive(randomized: bytes, nonce: bytes) -> Opened:
    seed = expand(randomized, nonce + b"PrivateKey", KEY)
    key = key_pair(seed)
    export = expand(randomized, nonce + b"ExportKey", 32)
    return Opened(client_key=key, client_public_key=encode(key.public), export_key=export)


def key_pair(seed: bytes) -> SoftwareKey:
    """DeriveDiffieHellmanKeyPair (section 6.4.1.2). `seed`: 32 bytes."""
    return SoftwareKey(oprf.derive_key(seed, b"OPAQUE-DeriveDiffieHellmanKeyPair"))


def _tag(randomized: bytes, nonce: bytes, client_public: bytes, server_public: bytes, identities: Identities) -> bytes:
    """The tag over CleartextCredentials (section 4)."""
    server = identities.server if identities.server is not None else server_public
    client = identities.client if identities.client is not None else client_public
    credentials = server_public + prefixed(server) + prefixed(client)
    return hmac.digest(expand(randomized, nonce + b"AuthKey", 32), nonce + credentials, "sha256")


def prefixed(data: bytes) -> bytes:
    """Two bytes of length before the data: I2OSP(len, 2) || data. ProtocolError when they cannot say it."""
    if len(data) > 0xFFFF:
        raise ProtocolError("an identity or context is longer than 65535 bytes", "Choose a shorter one")
    return len(data).to_bytes(2, "big") + data
