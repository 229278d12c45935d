"""Witness policies (C2SP tlog-policy, draft of 2026-06): which logs, which witnesses, and how many of them are enough.

    log <vkey> [url]
    witness <name> <vkey> [url]
    group <name> all|any|<k> <member>...
    quorum <name>|none

A line may name only what stands above it, each name is a member of one group at most, and no two keys are the same.
"""

from __future__ import annotations

import re
from collections.abc import Set
from dataclasses import dataclass, field

from hsm_app.errors import LogError
from hsm_app.tlog.note import COSIGNATURE, ED25519, VerifierKey

LIMIT = 16 * 1024  # bytes
LINES = 256
NONE = "none"
_NAME = re.compile(r"[^\s\x00-\x20]{1,255}")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A key, and where its owner is asked, "" when the policy does not say."""

    key: VerifierKey
    url: str


@dataclass(frozen=True, slots=True)
class WitnessGroup:
    """Holds when `enough` of its members, which are witnesses or groups, hold."""

    enough: int
    members: tuple[str, ...]


@dataclass(slots=True)
class Policy:
    """A policy as it was read. `quorum` names a witness or group, or is `NONE`."""

    logs: list[Endpoint] = field(default_factory=list)
    witnesses: dict[str, Endpoint] = field(default_factory=dict)
    groups: dict[str, WitnessGroup] = field(default_factory=dict)
    quorum: str = ""

    def log(self, origin: str) -> Endpoint:
        """Return the log whose key has the origin's name. LogError when the policy does not trust it."""
        for endpoint in self.logs:
            if endpoint.key.name == origin:
                return endpoint
        raise LogError("inclusion", f"the log {origin} is not one that the policy names")

    def holds(self, name: str, cosigned: Set[str]) -> bool:
        """Say whether a witness, or enough of a group, is among the names of those who cosigned."""
        group = self.groups.get(name)
        if group is None:
            return name in cosigned
        return sum(self.holds(member, cosigned) for member in group.members) >= group.enough

    def is_met(self, cosigned: Set[str]) -> bool:
        """Say whether these witnesses, by the policy's names, are enough."""
        return self.quorum == NONE or self.holds(self.quorum, cosigned)


def parse_policy(text: str) -> Policy:
    """Read a policy. LogError that names the line for anything else."""
    if len(text.encode()) > LIMIT or text.count("\n") > LINES:
        raise LogError("witnesses", f"a policy has more than {LIMIT} bytes or {LINES} lines")
    policy = Policy()
    for number, line in enumerate(text.split("\n"), 1):
        words = [] if line.startswith("#") else line.split()
        if words:
            _take(policy, words, f"line {number} of the policy")
    if not policy.quorum:
        raise LogError("witnesses", "the policy has no quorum line")
    return policy


def _take(policy: Policy, words: list[str], where: str) -> None:
    match words:
        case ["log", vkey, *url] if len(url) < 2:
            policy.logs.append(Endpoint(_key(policy, vkey, ED25519, where), "".join(url)))
        case ["witness", name, vkey, *url] if len(url) < 2:
            _check_new(policy, name, where)
            policy.witnesses[name] = Endpoint(_key(policy, vkey, COSIGNATURE, where), "".join(url))
        case ["group", name, enough, *members] if members:
            _check_new(policy, name, where)
            policy.groups[name] = _group(policy, enough, members, where)
        case ["quorum", name] if not policy.quorum and (name == NONE or _is_known(policy, name)):
            policy.quorum = name
        case _:
            raise LogError("witnesses", f"{where} is none of log, witness, group and quorum, or names what is unknown")


def _key(policy: Policy, vkey: str, kind: int, where: str) -> VerifierKey:
    key = VerifierKey.parse(vkey)
    if key.kind != kind:
        raise LogError("witnesses", f"{where} has a key of another kind than {kind}")
    if any(key.public == other.key.public for other in (*policy.logs, *policy.witnesses.values())):
        raise LogError("witnesses", f"{where} has a key that another line has already")
    return key


def _is_known(policy: Policy, name: str) -> bool:
    return name in policy.witnesses or name in policy.groups


def _check_new(policy: Policy, name: str, where: str) -> None:
    if name == NONE or not _NAME.fullmatch(name) or _is_known(policy, name):
        raise LogError("witnesses", f"{where} gives a name that is taken")


def _group(policy: Policy, enough: str, members: list[str], where: str) -> WitnessGroup:
    taken = {member for group in policy.groups.values() for member in group.members}
    if len(set(members)) != len(members) or any(not _is_known(policy, m) or m in taken for m in members):
        raise LogError("witnesses", f"{where} has a member that is unknown, or in a group already")
    choices = {"all": len(members), "any": 1}
    needed = choices.get(enough) or (int(enough) if enough.isascii() and enough.isdecimal() and len(enough) < 4 else 0)
    if not 1 <= needed <= len(members):
        raise LogError("witnesses", f"{where} needs a number of members that it has not")
    return WitnessGroup(needed, tuple(members))
