"""Keys as blobs under `fleet-root` (CKM_AES_KEY_WRAP_PAD), and back as session objects that nobody can read.

A blob says which mechanism made it and on which make of token, since they are not portable: SoftHSM's 0x210A is
RFC 5649 over zero-padded PKCS#8, NSS's is RFC 3394 over PKCS#7 padding. The tag is not authenticated and need not
be: a wrong one only makes the unwrapping fail. Neither does a blob say what kind of key it holds; see `fleet_keys`.
"""

from __future__ import annotations

import hashlib
from typing import Any

from pkcs11 import KeyType, ObjectClass, Session

from hsm_app.errors import TokenError
from hsm_app.token.keyspec import EC_UNWRAPPED, SECRET_UNWRAPPED, WRAP
from hsm_app.token.objects import NO_DEFAULTS

TAG_BYTES = 4
_AES_KEY_WRAP_PAD = b"\x01"
_PRIVATE, _SECRET = ObjectClass.PRIVATE_KEY, ObjectClass.SECRET_KEY
_EC, _GENERIC = KeyType.EC, KeyType.GENERIC_SECRET


class Wrapper:
    """`fleet-root` at work. `root` is the key object with its wrapping methods."""

    __slots__ = ("_root", "_tag")

    def __init__(self, session: Session, root: Any) -> None:
        self._root = root
        maker = session.token.manufacturer_id.encode()
        self._tag = _AES_KEY_WRAP_PAD + hashlib.sha256(maker).digest()[: TAG_BYTES - 1]

    def wrap(self, key: Any) -> bytes:
        """Return tag and wrapped key."""
        wrapped: bytes = self._root.wrap_key(key, mechanism=WRAP)
        return self._tag + wrapped

    def unwrap_ec(self, blob: bytes) -> Any:
        """Return a P-256 private key that derives, as a session object. The caller destroys it."""
        return self._root.unwrap_key(
            _PRIVATE, _EC, self._untagged(blob), mechanism=WRAP, capabilities=NO_DEFAULTS, template=EC_UNWRAPPED
        )

    def unwrap_secret(self, blob: bytes) -> Any:
        """Return an HMAC key, as a session object. The caller destroys it."""
        return self._root.unwrap_key(
            _SECRET, _GENERIC, self._untagged(blob), mechanism=WRAP, capabilities=NO_DEFAULTS, template=SECRET_UNWRAPPED
        )

    def _untagged(self, blob: bytes) -> bytes:
        if blob[:TAG_BYTES] != self._tag:
            raise TokenError(
                "a wrapped key comes from another make of token, or is damaged",
                "Use the make that the fleet was made with",
            )
        return blob[TAG_BYTES:]
