"""What a token holds, object by object, and whether that is exactly what it should hold.

Objects are matched by their attributes and not by their labels, which anyone can choose. Every object has to match
an expectation, and every expectation an object. The one attribute that cannot be read safely through the library,
CKA_UNWRAP_TEMPLATE, is proved by deed: the root has to refuse to unwrap a key into a readable one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pkcs11 import Attribute, KeyType, ObjectClass, Session
from pkcs11 import exceptions as ck

from hsm_app.errors import TokenError
from hsm_app.token.device import device_call, refusal
from hsm_app.token.keyspec import (
    ANCHOR_DATA,
    EC_MADE,
    EC_PUBLIC_MADE,
    EC_UNWRAPPED,
    IDENTITY_KEY,
    LINK_KEY,
    MAINTAINED_ROOT_KEY,
    ROOT_KEY,
    WRAP,
)
from hsm_app.token.mapper import Packed, Template, pack
from hsm_app.token.objects import NO_DEFAULTS, make_ec_pair

# The device sets these: made in the token, and never readable since.
BORN_HERE: Template = {Attribute.LOCAL: True, Attribute.ALWAYS_SENSITIVE: True, Attribute.NEVER_EXTRACTABLE: True}
UNREAD = (Attribute.LABEL, Attribute.UNWRAP_TEMPLATE)
SHOWN = (Attribute.CLASS, Attribute.KEY_TYPE, Attribute.LABEL)
FORGED = "Do not use this token: start anew with fresh ones, and find out who could log in to it"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One object: its class, key type and label, and which expectation it met."""

    kind: str
    key_type: str
    label: str
    role: str


def replica_objects(*, sealed: bool, anchored: bool) -> dict[str, Template]:
    """Return what the token of a finished replica holds: three keys, the anchor once it is made, and nothing else."""
    return {
        **({"replica-anchor": ANCHOR_DATA} if anchored else {}),
        "replica-identity": {**IDENTITY_KEY, **BORN_HERE},
        "replica-link": {**LINK_KEY, **BORN_HERE},
        "fleet-root": ROOT_KEY if sealed else MAINTAINED_ROOT_KEY,
    }


@device_call("list its objects")
def check_inventory(session: Session, expected: dict[str, Template]) -> list[Row]:
    """Return a row for each object. TokenError when one is too many, missing, or has other rights than it should."""
    missing = dict(expected)
    rows = []
    for thing in session.get_objects():
        role = role_of(thing, missing)
        row = _row(thing, role or "")
        if role is None:
            raise TokenError(f"the token holds an unexpected {row.kind} ({row.key_type}, {row.label!r})", FORGED)
        del missing[role]
        rows.append(row)
    if missing:
        raise TokenError(f"the token lacks {', '.join(missing)}, or they have other rights than they should", FORGED)
    return rows


@device_call("prove what its root refuses")
def check_root(session: Session, root: Any) -> None:
    """Prove that the root unwraps to unreadable keys only: the refusal, and that the same blob opens as it should."""
    _, made = make_ec_pair(session, EC_PUBLIC_MADE, EC_MADE)
    try:
        blob = root.wrap_key(made, mechanism=WRAP)
    finally:
        made.destroy()
    if _opens(root, blob, {**EC_UNWRAPPED, **pack({Attribute.SENSITIVE: False, Attribute.EXTRACTABLE: True})}):
        raise TokenError("the fleet root unwraps keys into readable ones: CKA_UNWRAP_TEMPLATE is missing", FORGED)
    if not _opens(root, blob, EC_UNWRAPPED):
        raise TokenError("the fleet root does not open what it wrapped", "Run `hsm-vault token probe`")


def _opens(root: Any, blob: bytes, template: Packed) -> bool:
    def unwrap() -> None:
        root.unwrap_key(
            ObjectClass.PRIVATE_KEY, KeyType.EC, blob, mechanism=WRAP, capabilities=NO_DEFAULTS, template=template
        ).destroy()

    return refusal(unwrap) is None


def role_of(thing: Any, expected: dict[str, Template]) -> str | None:
    """Return which expectation an object meets, None when it meets none."""
    return next((role for role, template in expected.items() if _matches(thing, template)), None)


def _matches(thing: Any, template: Template) -> bool:
    return all(_read(thing, key) == value for key, value in template.items() if key not in UNREAD)


def _read(thing: Any, key: Attribute) -> Any:
    try:
        return thing[key]
    except (ck.AttributeTypeInvalid, ck.AttributeSensitive, ck.FunctionFailed):
        return None


def _row(thing: Any, role: str) -> Row:
    kind, key_type, label = (_read(thing, key) for key in SHOWN)
    return Row(kind=_name(kind), key_type=_name(key_type), label=label or "", role=role)


def _name(value: Any) -> str:
    return getattr(value, "name", "no key" if value is None else str(value))
