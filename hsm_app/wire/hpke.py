"""The receiver of HPKE, RFC 9180 base mode, split at the token.

Suite: DHKEM(P-256, HKDF-SHA256) 0x0010, HKDF-SHA256 0x0001, AES-256-GCM 0x0002. The one step that needs the private
key, the x coordinate of skR times enc (section 4.1, Decap), is done in the token and comes here as an argument; the
rest of the key schedule (section 5.1) needs only that secret of one request. One message per encapsulation, so the
sequence number is always zero and the nonce is the base nonce (section 5.2). Senders use `cryptography`'s own HPKE.
"""

from __future__ import annotations

import hmac

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from hsm_app.errors import ProtocolError

ENC = 65  # bytes of an encapsulated key: an uncompressed point (section 7.1.1)
_KEM = b"KEM" + (0x0010).to_bytes(2, "big")
_HPKE = b"HPKE" + b"".join(number.to_bytes(2, "big") for number in (0x0010, 0x0001, 0x0002))
_BASE_MODE = b"\0"


def _labeled_extract(suite: bytes, salt: bytes, label: bytes, ikm: bytes) -> bytes:
    return hmac.digest(salt, b"HPKE-v1" + suite + label + ikm, "sha256")


def _labeled_expand(suite: bytes, prk: bytes, label: bytes, info: bytes, length: int) -> bytes:
    # Section 4, with HKDF-Expand of one block: every length here is at most 32.
    labeled = length.to_bytes(2, "big") + b"HPKE-v1" + suite + label + info
    return hmac.digest(prk, labeled + b"\x01", "sha256")[:length]


def check_enc(enc: bytes) -> None:
    """Raise ProtocolError unless `enc` is an uncompressed point on P-256 (section 7.1.4)."""
    try:
        # At 65 bytes this takes the uncompressed form only, and checks that the point is on the curve.
        ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), enc)
    except ValueError:
        raise ProtocolError("an encapsulated key is no point on P-256") from None


class Receiver:
    """Opens messages sealed to one public key (33 bytes, compressed) under one `info`; made once, used for all."""

    def __init__(self, public: bytes, info: bytes) -> None:
        point = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), public)
        self._public = point.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        psk_id_hash = _labeled_extract(_HPKE, b"", b"psk_id_hash", b"")
        info_hash = _labeled_extract(_HPKE, b"", b"info_hash", info)
        self._context = _BASE_MODE + psk_id_hash + info_hash

    def open(self, enc: bytes, ciphertext: bytes, shared_x: bytes) -> bytes:
        """Return the plaintext. `shared_x`: 32 bytes from the token. ProtocolError when anything was changed."""
        eae_prk = _labeled_extract(_KEM, b"", b"eae_prk", shared_x)
        shared_secret = _labeled_expand(_KEM, eae_prk, b"shared_secret", enc + self._public, 32)
        secret = _labeled_extract(_HPKE, shared_secret, b"secret", b"")
        key = _labeled_expand(_HPKE, secret, b"key", self._context, 32)
        base_nonce = _labeled_expand(_HPKE, secret, b"base_nonce", self._context, 12)
        try:
            return AESGCM(key).decrypt(base_nonce, ciphertext, None)
        except InvalidTag:
            raise ProtocolError("a sealed message does not open") from None
