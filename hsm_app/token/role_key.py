"""Signing keys of auditors and operators in a token: made there, never extractable, used one signature at a time.

Ed25519 where the token has it (CKM_EC_EDWARDS_KEY_PAIR_GEN, CKM_EDDSA; PKCS#11 v3.0 section 2.3.13), otherwise ECDSA
P-256 over a digest made outside. A public half is kept nowhere in the token, so whoever uses the key names it, and each
signature is verified under that name before anyone gets it: a token with another key under the label signs nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import partial
from typing import Any, cast

from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from pkcs11 import ObjectClass, Session

from hsm_app.errors import TokenError
from hsm_app.fleet.role_keys import KeyAlgorithm, RoleKey
from hsm_app.token.device import device_call
from hsm_app.token.keyspec import EC_PUBLIC, EDDSA, SIGN, edwards_role_key, role_key
from hsm_app.token.location import TokenLocation, opened
from hsm_app.token.objects import find, find_one, make_ec_pair, make_edwards_pair
from hsm_app.token.pin import Pin
from hsm_app.token.recording import Operation, RecordedSession

SCALAR = 32  # bytes
HeardFrom = Callable[[str, Operation], None]  # is told the token's label and the call


class TokenSigner:
    """Implements `fleet.role_keys.Signer`. Opens the token for each signature, and closes it after."""

    def __init__(
        self, location: TokenLocation, pin: Pin, label: str, key: RoleKey, heard: HeardFrom | None = None
    ) -> None:
        """`heard` is told of every call, for the transcript of a ceremony."""
        self._location = location
        self._heard = heard
        self._pin = pin
        self._label = label
        self._key = key

    @property
    def key(self) -> RoleKey:
        return self._key

    def sign(self, message: bytes) -> bytes:
        """Return the signature, verified. TokenError when the token fails, or holds another key under the label."""
        with opened(self._location, self._pin) as session:
            signature = _sign(
                _recorded(session, self._location, self._heard), self._label, self._key.algorithm, message
            )
        if not self._key.holds(message, signature):
            raise TokenError(
                f"the key {self._label!r} in token {self._location.label!r} is not {self._key.public.hex()}",
                "Check which token is connected, and the public key in the key's file",
            )
        return signature


def make_role_key(
    location: TokenLocation, pin: Pin, label: str, algorithm: KeyAlgorithm, heard: HeardFrom | None = None
) -> RoleKey:
    """Make a key in the token and return its public half. TokenError when the label is taken or the token cannot."""
    with opened(location, pin) as session:
        return _make(_recorded(session, location, heard), label, algorithm)


def _recorded(session: Session, location: TokenLocation, heard: HeardFrom | None) -> Session:
    if heard is None:
        return session
    tell = partial(heard, location.label)
    tell({"call": "C_Login", "user": "CKU_USER"})
    return cast(Session, RecordedSession(session, tell))


@device_call("make a signing key")
def _make(session: Session, label: str, algorithm: KeyAlgorithm) -> RoleKey:
    if find(session, label, ObjectClass.PRIVATE_KEY):
        raise TokenError(f"the token holds a key {label!r} already", "Choose another label; a key is never replaced")
    if algorithm is KeyAlgorithm.ED25519:
        public, _ = make_edwards_pair(session, edwards_role_key(label))
        return RoleKey(algorithm, public)
    point, _ = make_ec_pair(session, EC_PUBLIC, role_key(label))
    x, y = point[1 : 1 + SCALAR], point[1 + SCALAR :]
    return RoleKey(algorithm, bytes([2 + (y[-1] & 1)]) + x)


@device_call("sign")
def _sign(session: Session, label: str, algorithm: KeyAlgorithm, message: bytes) -> bytes:
    private: Any = find_one(session, label, ObjectClass.PRIVATE_KEY)
    if algorithm is KeyAlgorithm.ED25519:
        return bytes(private.sign(message, mechanism=EDDSA, buffer_size=2 * SCALAR))
    raw = bytes(private.sign(hashlib.sha256(message).digest(), mechanism=SIGN, buffer_size=2 * SCALAR))
    if len(raw) != 2 * SCALAR:
        raise TokenError("the token returned a signature of another length", "Run `hsm-vault token probe`")
    return encode_dss_signature(int.from_bytes(raw[:SCALAR], "big"), int.from_bytes(raw[SCALAR:], "big"))
