"""Checks of a probe: keys at work. Each returns what was seen, or raises a device's error or `MismatchError`."""

from __future__ import annotations

import hashlib
import hmac
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from pkcs11 import Attribute, KeyType

from hsm_app.opaque import group
from hsm_app.token import keyspec as ks
from hsm_app.token.objects import NO_DEFAULTS, NULL_KDF, mac, make_edwards_pair, shared_x
from hsm_app.token.probe_bench import CURVE, Bench, MismatchError, raw, refused, same


def random(bench: Bench) -> str:
    first, second = (bench.session.generate_random(256) for _ in range(2))
    if len(first) != 32 or first == second:
        raise MismatchError("the random bytes are short, or the same twice")
    return "32 bytes, twice, different"


def make_ec(bench: Bench) -> str:
    _, key = bench.pair()
    for attribute, expected in {
        Attribute.SENSITIVE: True,
        Attribute.EXTRACTABLE: False,
        Attribute.NEVER_EXTRACTABLE: True,
        Attribute.LOCAL: True,
    }.items():
        same(f"CKA_{attribute.name}", key[attribute], expected)
    return "SENSITIVE, NEVER_EXTRACTABLE, LOCAL"


def derive_readable(bench: Bench) -> str:
    public, key = bench.pair()
    fresh = ec.generate_private_key(CURVE)
    same("x(kP)", shared_x(key, raw(fresh.public_key())), fresh.exchange(ec.ECDH(), public))
    return "equal to software"


def multiply(bench: Bench) -> str:
    public, key = bench.pair()
    numbers = public.public_numbers()
    known = group.Point(numbers.x, numbers.y)
    same("1G", group.multiply(lambda point: shared_x(key, point), known, group.G), known)
    same("-1G", group.multiply(lambda point: shared_x(key, point), known, group.negate(group.G)), group.negate(known))
    other = group.SoftwareKey(3)
    same("3G", group.multiply(lambda point: shared_x(key, point), known, other.public), other.times(known))
    return "G, -G and 3G equal to software"


def refuse_bad_point(bench: Bench) -> str:
    _, key = bench.pair()
    return refused("derive with a point off the curve", lambda: shared_x(key, b"\x04" + bytes(63) + b"\x01"))


def derive_mac(bench: Bench) -> str:
    public, key = bench.pair()
    fresh = ec.generate_private_key(CURVE)
    secret: Any = bench.keep(
        key.derive_key(
            KeyType.GENERIC_SECRET,
            ks.SECRET_BITS,
            capabilities=NO_DEFAULTS,
            mechanism=ks.DERIVE,
            mechanism_param=(NULL_KDF, None, raw(fresh.public_key())),
            template=ks.LINK_SECRET,
        )
    )
    expected = hmac.digest(fresh.exchange(ec.ECDH(), public), b"message", "sha256")
    same("the HMAC under the derived key", mac(secret, b"message"), expected)
    return f"HMAC equal to software; reading {refused('show the key', lambda: secret[Attribute.VALUE])}"


def hmac_sha256(bench: Bench) -> str:
    """RFC 4231, test case 2."""
    key = bench.secret(b"Jefe".ljust(32, b"\0"), ks.SECRET_UNWRAPPED)
    expected = hmac.digest(
        b"Jefe", b"what do ya want for nothing?", "sha256"
    )  # zeros to the block's end change nothing
    same("the HMAC", mac(key, b"what do ya want for nothing?"), expected)
    return "RFC 4231 test case 2"


def ecdsa(bench: Bench) -> str:
    public, key = bench.pair({**ks.IDENTITY_KEY, Attribute.TOKEN: False})
    digest = hashlib.sha256(b"message").digest()
    signature = key.sign(digest, mechanism=ks.SIGN, buffer_size=64)
    encoded = encode_dss_signature(int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big"))
    try:
        public.verify(encoded, digest, ec.ECDSA(Prehashed(SHA256())))
    except InvalidSignature as error:
        raise MismatchError("the signature does not verify in software") from error
    return "verified in software"


def ed25519(bench: Bench) -> str:
    public, key = make_edwards_pair(bench.session, {**ks.edwards_role_key("hsm-vault-probe"), Attribute.TOKEN: False})
    bench.keep(key)
    signature = bytes(key.sign(b"message", mechanism=ks.EDDSA, buffer_size=64))
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, b"message")
    except InvalidSignature as error:
        raise MismatchError("the signature does not verify in software") from error
    return "verified in software"
