"""The attribute mapper of every session: what python-pkcs11 puts between our templates and the device.

The library's own mapper adds defaults to each template (it never says EXTRACTABLE, and gives AES keys every right) and
packs values one by one, again for each call. This one adds nothing, so an object has exactly the attributes of
`keyspec`, and takes values that are packed already. It also knows CKA_UNWRAP_TEMPLATE (PKCS#11 v3.0, section 4.10),
for which the library has no handler.
"""

from __future__ import annotations

import ctypes
from typing import Any, NoReturn

from pkcs11 import Attribute
from pkcs11.attributes import AttributeMapper

Template = dict[Attribute, Any]
Packed = dict[Attribute, Any]  # a template whose values are the device's bytes


class _CkAttribute(ctypes.Structure):
    """CK_ATTRIBUTE (PKCS#11 v3.0, section 3.4)."""

    _fields_ = (("type", ctypes.c_ulong), ("value", ctypes.c_void_p), ("length", ctypes.c_ulong))


# An array attribute points at its members' values, so these buffers have to outlive every call that names it. There
# are as many arrays as `keyspec` has, so they are kept for the life of the process.
_arrays: dict[tuple[tuple[Attribute, bytes], ...], tuple[bytes, list[object]]] = {}


def pack(template: Template) -> Packed:
    """Return the template with every value as the device's bytes, so that no call packs it again."""
    mapper = TemplateMapper()
    return {key: mapper.pack_attribute(key, value) for key, value in template.items()}


def _pack_array(template: Template) -> bytes:
    packed = tuple(pack(template).items())
    if packed not in _arrays:
        members, buffers = (_CkAttribute * len(packed))(), list[object]()
        for member, (key, value) in zip(members, packed, strict=True):
            buffer = ctypes.create_string_buffer(value, len(value))
            buffers.append(buffer)
            member.type, member.value, member.length = int(key), ctypes.addressof(buffer), len(value)
        _arrays[packed] = bytes(members), buffers
    return _arrays[packed][0]


def _refuse_to_read(_value: bytes) -> NoReturn:
    """The library would hand the device unset pointers to write to. `inventory` tells what a root refuses instead."""
    raise NotImplementedError("an array attribute is not read")


class TemplateMapper(AttributeMapper):
    """Adds no defaults; takes packed values as they are."""

    def __init__(self) -> None:
        super().__init__()
        self.register_handler(Attribute.UNWRAP_TEMPLATE, _pack_array, _refuse_to_read)

    def pack_attribute(self, key: Attribute, value: Any) -> bytes:
        return value if type(value) is bytes else super().pack_attribute(key, value)

    def public_key_template(self, **_library_defaults: Any) -> dict[Attribute, Any]:
        return {}

    def private_key_template(self, **_library_defaults: Any) -> dict[Attribute, Any]:
        return {}

    def secret_key_template(self, **_library_defaults: Any) -> dict[Attribute, Any]:
        return {}

    def generic_key_template(
        self, base_template: dict[Attribute, Any], **_library_defaults: Any
    ) -> dict[Attribute, Any]:
        return {}

    def leave_objects_plain(self) -> None:
        """Stop the library from building a Python class for each object that a call returns.

        It builds one from CKA_CLASS and the usage flags (about 20 us, a seventh of a derive). An object whose class
        it does not know stays a plain `Object`; `as_kind` gives it the class of a key of the same kind.
        """
        self.register_handler(Attribute.CLASS, bytes, bytes)


def as_kind(plain: Any, kind: type[Any]) -> Any:
    """Return the object behind `plain` with the methods of `kind`, the class of a key with the same usage."""
    return kind(plain.wrapper)
