"""What a ceremony asks of a token, call by call, for the transcript. A session that is wrapped here works as before.

Recorded are the calls that make, change, use or remove something, with mechanism and full template, as they are given
to the device: C_GenerateKey, C_GenerateKeyPair, C_CreateObject, C_WrapKey, C_UnwrapKey, C_DeriveKey, C_Sign,
C_DestroyObject, and C_GetAttributeValue when it asks for CKA_VALUE. Searches and other reads are not: they change
nothing, and the inventory at the end shows what they found.

Never recorded (VAULT-CEREMONY-NO-SECRET): a key's value, a wrapped key (only its SHA-256), a PIN, what is signed, a
signature.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from enum import IntEnum
from typing import Any

from pkcs11 import Attribute, KeyType, Mechanism, ObjectClass

from hsm_app.token.mapper import Template, TemplateMapper

Operation = dict[str, Any]  # ready for JSON
Heard = Callable[[Operation], None]
_PREFIXES = {ObjectClass: "CKO_", KeyType: "CKK_", Mechanism: "CKM_", Attribute: "CKA_"}
_MAPPER = TemplateMapper()
_BYTES = (Attribute.MODULUS, Attribute.PUBLIC_EXPONENT, Attribute.EC_PARAMS, Attribute.EC_POINT, Attribute.ID)


def attribute_name(key: Attribute) -> str:
    """Return the standard's name, like CKA_LABEL."""
    return f"CKA_{key.name}"


def readable(template: Mapping[Attribute, Any]) -> dict[str, Any]:
    """Return a template as JSON that people read: names of the standard, bytes in hexadecimal, never a CKA_VALUE."""
    return {attribute_name(key): _readable(key, value) for key, value in template.items() if key != Attribute.VALUE}


def _readable(key: Attribute, value: Any) -> Any:
    if isinstance(value, dict):
        return readable(value)
    if isinstance(value, bytes) and key not in _BYTES:  # packed beforehand
        value = _MAPPER.unpack_attributes(key, value)
    if isinstance(value, IntEnum):
        return named(value)
    return value.hex() if isinstance(value, bytes) else value


def named(value: IntEnum) -> str:
    """Return the standard's name of a class, key type or mechanism."""
    return _PREFIXES.get(type(value), "") + value.name


class RecordedSession:
    """A session whose calls are told to `heard`."""

    def __init__(self, session: Any, heard: Heard) -> None:
        self._session, self._heard = session, heard

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)

    def get_objects(self, template: Template | None = None) -> list[RecordedObject]:
        return [RecordedObject(thing, self._heard) for thing in self._session.get_objects(template)]

    def generate_key(self, key_type: KeyType, bits: int, *, template: Template, **rest: Any) -> RecordedObject:
        self._heard(_call("C_GenerateKey", rest["mechanism"], template=readable(template)))
        return RecordedObject(self._session.generate_key(key_type, bits, template=template, **rest), self._heard)

    def generate_keypair(self, key_type: KeyType, bits: int, **rest: Any) -> tuple[RecordedObject, RecordedObject]:
        return _generated(self._session.generate_keypair, self._heard, key_type, bits, **rest)

    def create_domain_parameters(self, *args: Any, **rest: Any) -> _RecordedCurve:
        """No call of the device's: the library keeps the parameters for C_GenerateKeyPair."""
        return _RecordedCurve(self._session.create_domain_parameters(*args, **rest), self._heard)

    def create_object(self, template: Template) -> RecordedObject:
        self._heard({"call": "C_CreateObject", "template": readable(template)})
        return RecordedObject(self._session.create_object(template), self._heard)

    def set_pin(self, old: str, new: str) -> None:
        self._heard({"call": "C_SetPIN"})
        self._session.set_pin(old, new)

    def init_pin(self, pin: str) -> None:
        self._heard({"call": "C_InitPIN"})
        self._session.init_pin(pin)


class RecordedObject:
    """An object of such a session."""

    def __init__(self, thing: Any, heard: Heard) -> None:
        self._thing, self._heard = thing, heard

    def __getattr__(self, name: str) -> Any:
        return getattr(self._thing, name)

    def __getitem__(self, key: Attribute) -> Any:
        if key == Attribute.VALUE:
            self._heard({"call": "C_GetAttributeValue", "object": self._name(), "attributes": ["CKA_VALUE"]})
        return self._thing[key]

    def wrap_key(self, key: RecordedObject, **rest: Any) -> bytes:
        blob = bytes(self._thing.wrap_key(key._thing, **rest))
        self._heard(_call("C_WrapKey", rest["mechanism"], wrapping_key=self._name(), key=key._name(), **_blob(blob)))
        return blob

    def unwrap_key(self, kind: ObjectClass, key_type: KeyType, blob: bytes, *, template: Template, **rest: Any) -> Any:
        words = {"unwrapping_key": self._name(), "template": readable(template), **_blob(blob)}
        self._heard(_call("C_UnwrapKey", rest["mechanism"], **words))
        return RecordedObject(self._thing.unwrap_key(kind, key_type, blob, template=template, **rest), self._heard)

    def derive_key(self, key_type: KeyType, bits: int, *, template: Template, **rest: Any) -> RecordedObject:
        self._heard(_call("C_DeriveKey", rest["mechanism"], base_key=self._name(), template=readable(template)))
        return RecordedObject(self._thing.derive_key(key_type, bits, template=template, **rest), self._heard)

    def sign(self, message: bytes, **rest: Any) -> bytes:
        self._heard(_call("C_Sign", rest["mechanism"], key=self._name()))
        return bytes(self._thing.sign(message, **rest))

    def destroy(self) -> None:
        self._heard({"call": "C_DestroyObject", "object": self._name()})
        self._thing.destroy()

    def _name(self) -> str:
        """The label, which session objects do not have; those go by their class."""
        label = self._thing[Attribute.LABEL]
        return str(label) if label else f"session object, {named(self._thing[Attribute.CLASS])}"


class _RecordedCurve:
    def __init__(self, curve: Any, heard: Heard) -> None:
        self._curve, self._heard = curve, heard

    def generate_keypair(self, **rest: Any) -> tuple[RecordedObject, RecordedObject]:
        return _generated(self._curve.generate_keypair, self._heard, **rest)


def _generated(generate: Any, heard: Heard, *args: Any, **rest: Any) -> tuple[RecordedObject, RecordedObject]:
    templates = {f"{half}_template": readable(rest[f"{half}_template"]) for half in ("public", "private")}
    heard(_call("C_GenerateKeyPair", rest["mechanism"], **templates))
    public, private = generate(*args, **rest)
    return RecordedObject(public, heard), RecordedObject(private, heard)


def _call(name: str, mechanism: Mechanism, **words: Any) -> Operation:
    return {"call": name, "mechanism": named(mechanism), **words}


def _blob(blob: bytes) -> dict[str, str]:
    return {"wrapped_sha256": hashlib.sha256(blob).hexdigest()}
