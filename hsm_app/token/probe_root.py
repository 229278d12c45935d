"""Checks of a probe: the root, what it wraps, and what the device must refuse even to its user."""

from __future__ import annotations

import hmac
from collections.abc import Iterator
from functools import partial
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, OAEP
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicNumbers
from cryptography.hazmat.primitives.hashes import SHA1
from pkcs11 import Attribute, KeyType, ObjectClass

from hsm_app.token import keyspec as ks
from hsm_app.token.carry import EXPONENT
from hsm_app.token.mapper import Template, pack
from hsm_app.token.objects import NO_DEFAULTS, mac, shared_x
from hsm_app.token.probe_bench import CURVE, Bench, raw, refused, same

READABLE = {Attribute.SENSITIVE: False, Attribute.EXTRACTABLE: True}


def make(bench: Bench) -> str:
    bench.root()
    return "made, with every attribute of fleet-root"


def wrap_ec(bench: Bench) -> str:
    public, key = bench.pair(ks.EC_MADE)
    blob = bench.wrapped(key)
    opened = bench.unwrap(bench.root(), blob, ks.EC_UNWRAPPED)
    fresh = ec.generate_private_key(CURVE)
    same(
        "a derive with the unwrapped key", shared_x(opened, raw(fresh.public_key())), fresh.exchange(ec.ECDH(), public)
    )
    return f"{len(blob)} bytes; derives as before"


def wrap_secret(bench: Bench) -> str:
    blob = bench.wrapped(bench.secret(bytes(range(32)), ks.SECRET_MADE))
    opened = bench.unwrap(bench.root(), blob, ks.SECRET_UNWRAPPED)
    same("an HMAC with the unwrapped key", mac(opened, b"message"), hmac.digest(bytes(range(32)), b"message", "sha256"))
    return f"{len(blob)} bytes; HMAC as before"


def refuse_damage(bench: Bench) -> str:
    codes = []
    for blob, template in _good_blobs(bench):
        damaged = blob[:-1] + bytes([blob[-1] ^ 1])
        codes.append(refused("open a damaged blob", partial(bench.unwrap, bench.root(), damaged, template)))
    return codes[0]


def refuse_readable(bench: Bench) -> str:
    codes = []
    for blob, template in _good_blobs(bench):
        weaker = {**template, **pack(READABLE)}
        codes.append(refused("unwrap a key into a readable one", partial(bench.unwrap, bench.root(), blob, weaker)))
    return codes[0]


def _good_blobs(bench: Bench) -> Iterator[tuple[bytes, Template]]:
    """Yield a secret's and an EC key's blob, and how each opens as it should: no refusal counts without that."""
    secret = bench.secret(bytes(range(32)), ks.SECRET_MADE)
    yield _opened(bench, secret, ks.SECRET_UNWRAPPED)
    _, private = bench.pair(ks.EC_MADE)
    yield _opened(bench, private, ks.EC_UNWRAPPED)


def _opened(bench: Bench, key: Any, template: Template) -> tuple[bytes, Template]:
    blob = bench.wrapped(key)
    bench.unwrap(bench.root(), blob, template)
    return blob, template


def refuse_reading(bench: Bench) -> str:
    _, key = bench.pair()
    return refused("show the value of a sensitive key", lambda: key[Attribute.VALUE])


def refuse_change(bench: Bench) -> str:
    root = bench.root()
    copying = refused("copy the root", lambda: bench.keep(root.copy({Attribute.TOKEN: False})))

    def switch_on() -> None:
        root[Attribute.DECRYPT] = True

    return f"copy {copying}; CKA_DECRYPT {refused('switch CKA_DECRYPT on', switch_on)}"


def refuse_untrusted(bench: Bench) -> str:
    root = bench.aes({**ks.ORIGIN_KEY, Attribute.TOKEN: False})
    own = bench.aes({**ks.AES, Attribute.TOKEN: False, Attribute.WRAP: True})
    own.wrap_key(bench.secret(bytes(range(32)), ks.SECRET_MADE), mechanism=ks.WRAP)  # what may be wrapped, is
    return refused("wrap the root under a key that is not TRUSTED", lambda: own.wrap_key(root, mechanism=ks.WRAP))


def refuse_self_trust(bench: Bench) -> str:
    modulus = b"\xc1" * (ks.RSA_BITS // 8)
    template = {
        **ks.TRUSTED_KEY,
        Attribute.TOKEN: False,
        Attribute.MODULUS: modulus,
        Attribute.PUBLIC_EXPONENT: EXPONENT.to_bytes(3, "big"),
        Attribute.MODIFIABLE: False,
    }
    bench.keep(bench.session.create_object({**template, Attribute.TRUSTED: False}))
    return refused("take CKA_TRUSTED from a user", lambda: bench.keep(bench.session.create_object(template)))


def unwrap_rsa(bench: Bench) -> str:
    """The carry, with software as the first token: a root of known value arrives, and opens what software wrapped."""
    transport = {**ks.TRANSPORT_KEY, Attribute.TOKEN: False, Attribute.UNWRAP_TEMPLATE: _in_session()}
    public, private = bench.session.generate_keypair(
        KeyType.RSA,
        ks.RSA_BITS,
        mechanism=ks.MAKE_RSA,
        capabilities=NO_DEFAULTS,
        public_template=ks.TRANSPORT_PUBLIC,
        private_template=transport,
    )
    bench.keep(public)
    bench.keep(private)
    key = RSAPublicNumbers(EXPONENT, int.from_bytes(public[Attribute.MODULUS], "big")).public_key()
    blob = key.encrypt(bytes(range(32)), OAEP(MGF1(SHA1()), SHA1(), None))
    root = _unwrap_root(bench, private, blob, {**ks.ROOT_KEY, Attribute.TOKEN: False})
    _, made = bench.pair(ks.EC_MADE)
    bench.unwrap(root, root.wrap_key(made, mechanism=ks.WRAP), ks.EC_UNWRAPPED)
    code = refused(
        "unwrap a root into a readable key",
        lambda: _unwrap_root(bench, private, blob, {**ks.AES, Attribute.TOKEN: False, **READABLE}),
    )
    return f"installed and at work; readable {code}"


def _in_session() -> dict[Attribute, Any]:
    demands: dict[Attribute, Any] = ks.TRANSPORT_KEY[Attribute.UNWRAP_TEMPLATE]
    return {**demands, Attribute.TOKEN: False}


def _unwrap_root(bench: Bench, private: Any, blob: bytes, template: dict[Attribute, Any]) -> Any:
    return bench.keep(
        private.unwrap_key(
            ObjectClass.SECRET_KEY,
            KeyType.AES,
            blob,
            mechanism=ks.CARRY,
            mechanism_param=ks.CARRY_PARAMETERS,
            capabilities=NO_DEFAULTS,
            template=template,
        )
    )


def data_object(bench: Bench) -> str:
    thing = bench.keep(
        bench.session.create_object(
            {
                Attribute.CLASS: ObjectClass.DATA,
                Attribute.TOKEN: True,
                Attribute.PRIVATE: True,
                Attribute.LABEL: "hsm-vault-probe",
                Attribute.VALUE: b"anchor",
            }
        )
    )
    same("the data object's value", thing[Attribute.VALUE], b"anchor")
    return "made, read, destroyed"
