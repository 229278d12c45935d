"""What a token held at the end of a ceremony: tokens/N.json, and what it has to hold (design, section 3).

`expected_objects` says by the standard's names what `hsm_app.token.inventory` demands of a finished replica's token; a
test holds the two together. The record is what the ceremony's program read; a stranger cannot ask the token. So it
proves as much as the people and the program that ran there, and a vendor's attestation where there is one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from hsm_app.errors import ConfigError, LogError
from hsm_app.fleet.strict_json import Node, load_document

SCHEMA = "hsm-vault/token-record/v1"
CHECK = "key-attributes"
LIMIT = 64 * 1024  # bytes
MOST_OBJECTS = 100
ROLE = re.compile(r"[a-z-]{0,40}")
TEXT = re.compile(r"[\x20-\x7e]{0,200}")
NAME = re.compile(r"CKA_[A-Z0-9_]{1,40}")
INFORMATION = ("label", "manufacturer", "model", "serial", "hardware", "firmware")
KEYS = ("replica-identity", "replica-link")

Attributes = Mapping[str, str | bool]

_BORN_HERE: Attributes = {
    "CKA_TOKEN": True, "CKA_PRIVATE": True, "CKA_MODIFIABLE": False, "CKA_COPYABLE": False, "CKA_SENSITIVE": True,
    "CKA_ALWAYS_SENSITIVE": True, "CKA_EXTRACTABLE": False, "CKA_NEVER_EXTRACTABLE": True, "CKA_LOCAL": True,
    "CKA_WRAP_WITH_TRUSTED": False, "CKA_DECRYPT": False, "CKA_SIGN_RECOVER": False, "CKA_UNWRAP": False,
}  # fmt: skip
_EC: Attributes = {"CKA_CLASS": "CKO_PRIVATE_KEY", "CKA_KEY_TYPE": "CKK_EC"}
_ROOT: Attributes = {
    "CKA_CLASS": "CKO_SECRET_KEY", "CKA_KEY_TYPE": "CKK_AES", "CKA_TOKEN": True, "CKA_PRIVATE": True,
    "CKA_MODIFIABLE": False, "CKA_COPYABLE": False, "CKA_SENSITIVE": True, "CKA_ENCRYPT": False, "CKA_DECRYPT": False,
    "CKA_SIGN": False, "CKA_VERIFY": False, "CKA_WRAP": True, "CKA_UNWRAP": True, "CKA_DERIVE": False,
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRecord:
    """`objects` are role and attributes of every object; `public_keys` are compressed points (33 bytes) by role."""

    replica: int
    information: Mapping[str, str]
    objects: tuple[tuple[str, Attributes], ...]
    public_keys: Mapping[str, bytes]

    def role(self, role: str) -> Attributes:
        """Return the attributes of the one object in a role. LogError when there is none, or a second one."""
        found = [attributes for name, attributes in self.objects if name == role]
        if len(found) != 1:
            raise LogError(CHECK, f"token {self.replica} holds {len(found)} objects in the role {role or 'of none'}")
        return found[0]


def expected_objects(*, sealed: bool) -> dict[str, Attributes]:
    """Return what a finished replica's token holds, by role."""
    rights = {"CKA_EXTRACTABLE": not sealed, "CKA_WRAP_WITH_TRUSTED": not sealed}
    return {
        "replica-identity": {**_BORN_HERE, **_EC, "CKA_SIGN": True, "CKA_DERIVE": False},
        "replica-link": {**_BORN_HERE, **_EC, "CKA_SIGN": False, "CKA_DERIVE": True},
        "fleet-root": {**_ROOT, **rights},
    }


def check_objects(record: TokenRecord, *, sealed: bool) -> None:
    """LogError ("key-attributes") unless the token holds these three keys with these rights, and nothing else."""
    expected = expected_objects(sealed=sealed)
    for role, wanted in expected.items():
        attributes = record.role(role)
        for name, value in wanted.items():
            if attributes.get(name) != value:
                raise LogError(CHECK, f"{role} in token {record.replica} has {name} = {attributes.get(name)}")
    if len(record.objects) != len(expected):
        strange = [role or "of no role" for role, _ in record.objects if role not in expected]
        raise LogError(CHECK, f"token {record.replica} holds an object {strange[0]}")


def parse_token_record(raw: bytes) -> TokenRecord:
    """Read tokens/N.json. LogError ("key-attributes") for anything else."""
    try:
        return _parse(raw)
    except ConfigError as error:
        raise LogError(CHECK, error.what, error.todo) from None


def _parse(raw: bytes) -> TokenRecord:
    of = load_document(raw, "token record", LIMIT).members("schema", "replica", "token", "objects", "public_keys")
    of("schema").one_of({SCHEMA: SCHEMA})
    information, keys = of("token").members(*INFORMATION), of("public_keys").members(*KEYS)
    return TokenRecord(
        replica=of("replica").integer(1, 255),
        information={name: information(name).text(TEXT) for name in INFORMATION},
        objects=tuple(_object(node) for node in of("objects").items(0, MOST_OBJECTS)),
        public_keys={name: keys(name).hexadecimal(33) for name in KEYS},
    )


def _object(node: Node) -> tuple[str, Attributes]:
    of = node.members("role", "attributes")
    attributes = of("attributes")
    if not isinstance(attributes.value, dict):
        attributes.refuse("is not an object")
    for name, value in attributes.value.items():
        if not NAME.fullmatch(name) or not isinstance(value, bool | str) or len(str(value)) > 200:
            attributes.refuse("has a member that is no attribute")
    return of("role").text(ROLE), attributes.value
