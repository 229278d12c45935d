"""The workbench of a probe: objects made for it, and gone after it; comparisons that say what differed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pkcs11 import Attribute, KeyType, ObjectClass, Session

from hsm_app.token import keyspec as ks
from hsm_app.token.device import refusal
from hsm_app.token.mapper import Template
from hsm_app.token.objects import NO_DEFAULTS, make_ec_pair

T = TypeVar("T")
CURVE = ec.SECP256R1()


class MismatchError(Exception):
    """The device answered, and the answer is wrong: worse than none."""


def same(what: str, answer: object, expected: object) -> None:
    if answer != expected:
        raise MismatchError(f"{what} is not what it has to be")


def refused(what: str, call: Callable[[], object]) -> str:
    """Return the code of the refusal. MismatchError when the device does what it must not."""
    code = refusal(call)
    if code is None:
        raise MismatchError(f"the device did {what}")
    return f"refused: {code}"


class Bench:
    """A session, and the objects that a check made in it."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self._made: list[Any] = []
        self._root: Any = None

    def keep(self, thing: T) -> T:
        self._made.append(thing)
        return thing

    def clear(self) -> None:
        """Destroy what the checks made. What the device does not destroy ends with the session."""
        for thing in reversed(self._made):
            refusal(thing.destroy)
        self._made.clear()

    def pair(self, private: Template = ks.EC_UNWRAPPED) -> tuple[ec.EllipticCurvePublicKey, Any]:
        """Make an EC key in the token; return its public half and the object."""
        point, key = make_ec_pair(self.session, ks.EC_PUBLIC, private)
        return ec.EllipticCurvePublicKey.from_encoded_point(CURVE, point), self.keep(key)

    def root(self) -> Any:
        """Return a root with the rights of `fleet-root`, as a session object; made once."""
        if self._root is None:
            self._root = self.keep(self.aes({**ks.ROOT_KEY, Attribute.TOKEN: False}))
        return self._root

    def aes(self, template: Template) -> Any:
        return self.keep(
            self.session.generate_key(
                KeyType.AES, 256, mechanism=ks.MAKE_AES, capabilities=NO_DEFAULTS, template=template
            )
        )

    def secret(self, value: bytes, template: Template) -> Any:
        """Import an HMAC key of known value."""
        known: Template = {key: value for key, value in template.items() if key is not Attribute.VALUE_LEN}
        return self.keep(self.session.create_object({**known, Attribute.VALUE: value}))

    def wrapped(self, key: Any) -> bytes:
        blob: bytes = self.root().wrap_key(key, mechanism=ks.WRAP)
        return blob

    def unwrap(self, root: Any, blob: bytes, template: Template) -> Any:
        private = template[Attribute.CLASS] in (ObjectClass.PRIVATE_KEY, ks.EC_MADE[Attribute.CLASS])
        return self.keep(
            root.unwrap_key(
                ObjectClass.PRIVATE_KEY if private else ObjectClass.SECRET_KEY,
                KeyType.EC if private else KeyType.GENERIC_SECRET,
                blob,
                mechanism=ks.WRAP,
                capabilities=NO_DEFAULTS,
                template=template,
            )
        )


def raw(key: ec.EllipticCurvePublicKey) -> bytes:
    """Return the point, uncompressed."""
    return key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
