"""Find, make and use objects of a session. Handles are looked up once: a search costs more than an ECDH."""

from __future__ import annotations

from typing import Any

from asn1crypto.core import OctetString
from pkcs11 import KDF, Attribute, KeyType, MechanismFlag, ObjectClass, Session

from hsm_app.errors import TokenError
from hsm_app.token.keyspec import DERIVE, EDWARDS_PUBLIC, MAC, MAKE_EC, MAKE_EDWARDS, P256, SECRET_BITS, SHARED_X
from hsm_app.token.mapper import Template

POINT_BYTES = 65  # SEC 1, uncompressed
ED25519_BYTES = 32
NULL_KDF = KDF.NULL
NO_DEFAULTS = MechanismFlag(0)  # `capabilities` only feeds the library's defaults, which the mapper drops
_EC, _GENERIC = KeyType.EC, KeyType.GENERIC_SECRET
_VALUE = Attribute.VALUE


def find(session: Session, label: str, kind: ObjectClass) -> list[Any]:
    """Return the token objects of a class and label."""
    return list(session.get_objects({Attribute.CLASS: kind, Attribute.LABEL: label, Attribute.TOKEN: True}))


def find_one(session: Session, label: str, kind: ObjectClass) -> Any:
    """Return the one token object of a class and label. TokenError when there is none, or a second one."""
    found = find(session, label, kind)
    if len(found) != 1:
        what = "no object" if not found else f"{len(found)} objects"
        raise TokenError(
            f"the token holds {what} {label!r}", "This is not a token of the fleet, or it was tampered with"
        )
    return found[0]


def make_ec_pair(session: Session, public: Template, private: Template) -> tuple[bytes, Any]:
    """Make a P-256 key pair; return the public point (65 bytes) and the private key. The public object is destroyed."""
    curve = session.create_domain_parameters(_EC, {Attribute.EC_PARAMS: P256}, local=True)
    public_object, private_object = curve.generate_keypair(
        mechanism=MAKE_EC, capabilities=NO_DEFAULTS, public_template=public, private_template=private
    )
    try:
        return _raw_point(public_object[Attribute.EC_POINT]), private_object
    finally:
        public_object.destroy()


def _raw_point(value: bytes) -> bytes:
    """Return the point itself: CKA_EC_POINT is a DER OCTET STRING around it, and on some devices is not."""
    try:
        point = value if len(value) == POINT_BYTES else bytes(OctetString.load(value, strict=True))
    except (TypeError, ValueError):
        point = b""
    if len(point) != POINT_BYTES or point[0] != 4:
        raise TokenError("the token returned a public key in an unknown form", "Run `hsm-vault token probe`")
    return point


def make_edwards_pair(session: Session, private: Template) -> tuple[bytes, Any]:
    """Make an Ed25519 key pair; return the public key (32 bytes) and the private key, as `make_ec_pair` does."""
    curve = session.create_domain_parameters(
        KeyType.EC_EDWARDS, {Attribute.EC_PARAMS: EDWARDS_PUBLIC[Attribute.EC_PARAMS]}, local=True
    )
    public_object, private_object = curve.generate_keypair(
        mechanism=MAKE_EDWARDS, capabilities=NO_DEFAULTS, public_template=EDWARDS_PUBLIC, private_template=private
    )
    try:
        return _raw_edwards(public_object[Attribute.EC_POINT]), private_object
    finally:
        public_object.destroy()


def _raw_edwards(value: bytes) -> bytes:
    """Return the key itself, which some devices wrap as above."""
    try:
        raw = value if len(value) == ED25519_BYTES else bytes(OctetString.load(value, strict=True))
    except (TypeError, ValueError):
        raw = b""
    if len(raw) != ED25519_BYTES:
        raise TokenError("the token returned a public key in an unknown form", "Make an ES256 key instead")
    return raw


def shared_x(key: Any, point: bytes) -> bytes:
    """Return the x coordinate of key times point, 32 bytes. `point`: 65 bytes, checked to be on the curve.

    The result is an object that can be read, since PKCS#11 has no other way; it is gone when this returns or raises.
    """
    shared = key.derive_key(
        _GENERIC,
        SECRET_BITS,
        capabilities=NO_DEFAULTS,
        mechanism=DERIVE,
        mechanism_param=(NULL_KDF, None, point),
        template=SHARED_X,
    )
    try:
        x: bytes = shared[_VALUE]
    finally:
        shared.destroy()
    if len(x) != SECRET_BITS // 8:
        raise TokenError("the token returned an x coordinate of another length", "Run `hsm-vault token probe`")
    return x


def mac(key: Any, message: bytes) -> bytes:
    """Return HMAC-SHA256(key, message), 32 bytes."""
    tag: bytes = key.sign(message, mechanism=MAC, buffer_size=32)
    return tag
