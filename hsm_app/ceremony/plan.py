"""The plan of a ceremony: what people agree on, and publish, before they meet. Parsed from TOML, strictly.

```toml
ceremony = "genesis"
kind = "rehearsal"          # throw-away SoftHSM tokens; "real" names each token below
fleet = "fleet-1"
custody = "sealed"          # or "maintained"
threshold = 2               # of the custodians
replicas = 3                # of a rehearsal

[[participant]]
name = "Ada"
role = "custodian"          # administrator, custodian, operator, auditor, witness
key = "ssh-ed25519 AAAA..." # or "ES256:02..." or "Ed25519:8a..." for a key in a token
```

A real ceremony has a `[[token]]` table with `module` (and `softhsm2_conf`) for each replica, in the replicas' order.
A ceremony about a fleet that exists names its directory with `fleet_directory`. With `lost` it may name the numbers of
replicas whose tokens are not there any more either; their `[[token]]` tables keep their places.

One that rotates keys has no threshold, and a `[roles]` table: `root_of_trust`, and the key files `operator` and
`auditor` of the present keys; a real one also `operator_token` and `auditor_token`, tables with `module`, `label`,
`pin_file` (and `softhsm2_conf`).
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from hsm_app.errors import ConfigError
from hsm_app.fleet.manifest import Custody

NAME = re.compile(r"\w(?:[\w .,'()-]{0,98}[\w.)])?")
FLEET = re.compile(r"[a-z0-9][a-z0-9-]{0,27}")  # a token's label is this, a dash and a number: 32 bytes
SIZES = (3, 5, 7, 9)
LIMIT = 64 * 1024  # bytes
MOST_CUSTODIANS = 16  # SLIP-39
_MEMBERS = {
    "ceremony", "kind", "fleet", "custody", "threshold", "replicas", "replica", "participant", "token",
    "fleet_directory", "roles", "lost",
}  # fmt: skip
_ROLE_TOKENS = {"operator_token": "operator", "auditor_token": "auditor"}


class CeremonyName(StrEnum):
    GENESIS = "genesis"
    NEW_FLEET = "new-fleet"
    REPLACE_TOKEN = "replace-token"
    ROTATE_KEYS = "rotate-keys"
    DESTROY_FLEET = "destroy-fleet"


OF_A_FLEET = (CeremonyName.REPLACE_TOKEN, CeremonyName.DESTROY_FLEET)


class Kind(StrEnum):
    """A rehearsal uses throw-away SoftHSM tokens; nothing of it may ever be used for real."""

    REAL = "real"
    REHEARSAL = "rehearsal"


class Role(StrEnum):
    """What somebody does in a ceremony. Only custodians hold shares."""

    ADMINISTRATOR = "administrator"
    CUSTODIAN = "custodian"
    OPERATOR = "operator"
    AUDITOR = "auditor"
    WITNESS = "witness"


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """`key` is the public key that signs the person's statement afterwards, as written in the plan."""

    name: str
    role: Role
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedToken:
    """Where the token of a replica is. Both paths are "" in a rehearsal, which makes its tokens itself."""

    replica: int
    module: str
    softhsm2_conf: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleToken:
    """The token of an operator or auditor that makes the new key. Paths as the plan has them; the last may be ""."""

    module: str
    label: str
    pin_file: str
    softhsm2_conf: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Roles:
    """Paths: the root of trust that is believed now, and the files of the present keys. `tokens` by role."""

    root_of_trust: str
    operator: str
    auditor: str
    tokens: Mapping[str, RoleToken]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A plan that passed every check.

    `replica` is the one that is replaced, 0 in other ceremonies; `lost` are other replicas, whose tokens cannot be
    reached and are not among `tokens`; `fleet_directory` is "" for a fleet that is made here.
    """

    ceremony: CeremonyName
    kind: Kind
    fleet: str
    custody: Custody
    threshold: int
    replica: int
    people: tuple[Person, ...]
    tokens: tuple[PlannedToken, ...]
    lost: tuple[int, ...]
    fleet_directory: str
    roles: Roles | None

    @property
    def custodians(self) -> tuple[Person, ...]:
        return tuple(person for person in self.people if person.role is Role.CUSTODIAN)

    @property
    def is_sealed(self) -> bool:
        return self.custody is Custody.SEALED

    def label(self, replica: int) -> str:
        """Return the label of a replica's token."""
        return f"{self.fleet}-{replica}"


def parse_plan(raw: bytes) -> Plan:
    """Read a plan. ConfigError that names the member that is wrong."""
    if len(raw) > LIMIT:
        raise _wrong(f"it has {len(raw)} bytes, more than {LIMIT}")
    try:
        document = tomllib.loads(raw.decode())
    except (ValueError, RecursionError) as error:  # no UTF-8, no TOML, a number of too many digits, nested too deeply
        raise _wrong(f"it is no TOML ({error})") from None
    if unknown := set(document) - _MEMBERS:
        raise _wrong(f"unknown member {min(unknown)!r}")
    ceremony, kind = _one_of(document, "ceremony", CeremonyName), _one_of(document, "kind", Kind)
    lost, tokens = _lost(document, ceremony), () if ceremony is CeremonyName.ROTATE_KEYS else _tokens(document, kind)
    plan = Plan(
        ceremony=ceremony,
        kind=kind,
        fleet=_text(document, "fleet", FLEET),
        custody=_one_of(document, "custody", Custody),
        threshold=0 if ceremony is CeremonyName.ROTATE_KEYS else _whole(document, "threshold", 2, MOST_CUSTODIANS),
        replica=_whole(document, "replica", 1, 255) if ceremony is CeremonyName.REPLACE_TOKEN else 0,
        people=tuple(_person(each) for each in _tables(document, "participant")),
        tokens=tuple(token for token in tokens if token.replica not in lost),
        lost=lost,
        fleet_directory=_any_text(document, "fleet_directory") if ceremony in OF_A_FLEET else "",
        roles=_roles(document, kind) if ceremony is CeremonyName.ROTATE_KEYS else None,
    )
    _check(plan)
    return plan


def _check(plan: Plan) -> None:
    names = [person.name for person in plan.people]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise _wrong(f"two participants are called {twice!r}")
    keys = [person.key.split()[:2] for person in plan.people]
    if any(keys.count(key) > 1 for key in keys):
        raise _wrong("two participants have the same key")
    if not any(person.role is Role.ADMINISTRATOR for person in plan.people):
        raise _wrong("nobody is administrator")
    if plan.roles is not None:
        return
    if not plan.threshold <= len(plan.custodians) <= MOST_CUSTODIANS:
        raise _wrong(f"threshold {plan.threshold} of {len(plan.custodians)} custodians")
    if plan.ceremony is CeremonyName.REPLACE_TOKEN and plan.is_sealed:
        raise _wrong("nobody can add a token to a sealed fleet")
    size = len(plan.tokens) + len(plan.lost)
    if plan.replica > size or plan.replica in plan.lost:
        raise _wrong(f"replica {plan.replica} is none of the tokens, or is named as lost")
    if size not in SIZES:
        raise _wrong(f"{size} tokens; a fleet has 3, 5, 7 or 9")
    present = {token.replica for token in plan.tokens} - {plan.replica}
    if not present or any(replica > size for replica in plan.lost):
        raise _wrong("lost names all tokens, or one that the fleet does not have")


def _person(table: Mapping[str, Any]) -> Person:
    if unknown := set(table) - {"name", "role", "key"}:
        raise _wrong(f"unknown member {min(unknown)!r} of a participant")
    return Person(name=_text(table, "name", NAME), role=_one_of(table, "role", Role), key=_any_text(table, "key"))


def _tokens(document: Mapping[str, Any], kind: Kind) -> tuple[PlannedToken, ...]:
    if kind is Kind.REHEARSAL:
        if "token" in document:
            raise _wrong("a rehearsal makes its tokens itself: leave the token tables out")
        numbers = range(1, _whole(document, "replicas", 3, 9) + 1)
        return tuple(PlannedToken(replica=number, module="", softhsm2_conf="") for number in numbers)
    if "replicas" in document:
        raise _wrong("replicas is for rehearsals; a real ceremony has a token table for each")
    return tuple(_token(number, each) for number, each in enumerate(_tables(document, "token"), 1))


def _lost(document: Mapping[str, Any], ceremony: CeremonyName) -> tuple[int, ...]:
    found = document.get("lost", [])
    if found and ceremony not in OF_A_FLEET:
        raise _wrong("lost is for ceremonies about a fleet that exists")
    if not isinstance(found, list) or not all(type(each) is int and each > 0 for each in found):
        raise _wrong("lost is no list of replicas' numbers")
    if len(set(found)) != len(found):
        raise _wrong("lost names a replica twice")
    return tuple(sorted(found))


def _token(number: int, table: Mapping[str, Any]) -> PlannedToken:
    if unknown := set(table) - {"module", "softhsm2_conf"}:
        raise _wrong(f"unknown member {min(unknown)!r} of a token")
    conf = _any_text(table, "softhsm2_conf") if "softhsm2_conf" in table else ""
    return PlannedToken(replica=number, module=_any_text(table, "module"), softhsm2_conf=conf)


def _roles(document: Mapping[str, Any], kind: Kind) -> Roles:
    table = document.get("roles")
    if not isinstance(table, dict) or set(table) - {"root_of_trust", "operator", "auditor", *_ROLE_TOKENS}:
        raise _wrong("there has to be a [roles] table with the members that it may have")
    if kind is Kind.REHEARSAL and set(table) & set(_ROLE_TOKENS):
        raise _wrong("a rehearsal makes its tokens itself: leave the roles' tokens out")
    tokens = {} if kind is Kind.REHEARSAL else {role: _role_token(table, name) for name, role in _ROLE_TOKENS.items()}
    return Roles(
        root_of_trust=_any_text(table, "root_of_trust"),
        operator=_any_text(table, "operator"),
        auditor=_any_text(table, "auditor"),
        tokens=tokens,
    )


def _role_token(roles: Mapping[str, Any], name: str) -> RoleToken:
    table = roles.get(name)
    if not isinstance(table, dict) or set(table) - {"module", "label", "pin_file", "softhsm2_conf"}:
        raise _wrong(f"roles.{name} is no table with the members that it may have")
    conf = _any_text(table, "softhsm2_conf") if "softhsm2_conf" in table else ""
    module, label, pin = (_any_text(table, member) for member in ("module", "label", "pin_file"))
    return RoleToken(module=module, label=label, pin_file=pin, softhsm2_conf=conf)


def _tables(document: Mapping[str, Any], name: str) -> Sequence[Mapping[str, Any]]:
    found = document.get(name)
    if not isinstance(found, list) or not found or not all(isinstance(each, dict) for each in found):
        raise _wrong(f"there has to be a [[{name}]] table")
    return found


def _one_of(document: Mapping[str, Any], name: str, kind: Any) -> Any:
    try:
        return kind(document.get(name))
    except ValueError:
        raise _wrong(f"{name} is none of {', '.join(kind)}") from None


def _text(document: Mapping[str, Any], name: str, form: re.Pattern[str]) -> str:
    text = _any_text(document, name)
    if not form.fullmatch(text):
        raise _wrong(f"{name} {text[:40]!r} has signs or a length that it may not have")
    return text


def _any_text(document: Mapping[str, Any], name: str) -> str:
    text = document.get(name)
    if not isinstance(text, str) or not text or not text.isprintable() or len(text) > 1000:
        raise _wrong(f"{name} is missing, or is no line of text")
    return text


def _whole(document: Mapping[str, Any], name: str, least: int, most: int) -> int:
    number = document.get(name)
    if type(number) is not int or not least <= number <= most:
        raise _wrong(f"{name} is no whole number from {least} to {most}")
    return number


def _wrong(what: str) -> ConfigError:
    return ConfigError(f"the plan does not hold: {what}", "Correct it; `hsm-vault ceremony plan` prints an example")
