"""The root of trust: who may vouch for a namespace's manifests. A client is shipped with one, or pins one manifest.

A document is succeeded by the one with the next version, signed by the thresholds of auditors and of operators of the
old *and* of the new document (the rule of TUF's root role, specification 1.0 section 5.3). Walking a chain of them,
expiry is asked of the last one only, so that a device that slept through some can follow.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from hsm_app.errors import ConfigError, LogError
from hsm_app.fleet.dsse import Envelope, parse_envelope
from hsm_app.fleet.manifest_json import MAX_SAFE, NAMESPACE
from hsm_app.fleet.role_keys import KeyAlgorithm, RoleKey
from hsm_app.fleet.strict_json import Node, load_document, timestamp_text
from hsm_app.tlog.policy import Policy, parse_policy

SCHEMA = "hsm-vault/root-of-trust/v1"
ROOT_TYPE = "application/vnd.hsm-vault.root-of-trust.v1+json"
LIMIT = 16 * 1024  # bytes
KEYS_LIMIT = 16
AGE_LIMIT = 366 * 86_400  # seconds
POLICY_LINES = 64
_LINE = re.compile(r"[\x20-\x7e]{1,500}")
_ALGORITHMS = {algorithm.value: algorithm for algorithm in KeyAlgorithm}


@dataclass(frozen=True, slots=True)
class Role:
    """The keys of auditors or operators, and how many different ones have to sign."""

    threshold: int
    keys: tuple[RoleKey, ...]

    def has_signed(self, envelope: Envelope) -> bool:
        return len(envelope.signers(self.keys)) >= self.threshold


@dataclass(frozen=True, slots=True, kw_only=True)
class RootOfTrust:
    """A document that passed every check. Times are POSIX seconds; `digest` is the SHA-256 of `raw`.

    `origin` is the log that every bundle has to be in, `policy` the witnesses who have to have seen it, `maximum_age`
    the seconds after which their cosignatures prove nothing about today. No manifest of an epoch before `minimum_epoch`
    is believed, which is what protects a new device that has seen none.
    """

    namespace: str
    version: int
    issued_at: int
    expires_at: int
    auditors: Role
    operators: Role
    origin: str
    policy: Policy = field(compare=False)
    policy_lines: tuple[str, ...]
    minimum_epoch: int
    maximum_age: int
    digest: bytes
    raw: bytes = field(repr=False)


def parse_root_of_trust(raw: bytes) -> RootOfTrust:
    """Read a document. ConfigError for anything else, LogError for a policy that does not read."""
    root = load_document(raw, "root of trust", LIMIT)
    of = root.members(
        "schema", "namespace", "version", "issued_at", "expires_at", "auditors", "operators", "origin", "policy",
        "minimum_epoch", "maximum_cosignature_age_seconds",
    )  # fmt: skip
    of("schema").one_of({SCHEMA: SCHEMA})
    lines = tuple(node.text(_LINE) for node in of("policy").items(1, POLICY_LINES))
    document = RootOfTrust(
        namespace=of("namespace").text(NAMESPACE),
        version=of("version").integer(1, MAX_SAFE),
        issued_at=of("issued_at").timestamp(),
        expires_at=of("expires_at").timestamp(),
        auditors=_role(of("auditors")),
        operators=_role(of("operators")),
        origin=of("origin").text(NAMESPACE),
        policy=parse_policy("\n".join(lines)),
        policy_lines=lines,
        minimum_epoch=of("minimum_epoch").integer(1, MAX_SAFE),
        maximum_age=of("maximum_cosignature_age_seconds").integer(60, AGE_LIMIT),
        digest=hashlib.sha256(raw).digest(),
        raw=raw,
    )
    if document.expires_at <= document.issued_at:
        of("expires_at").refuse("is not later than issued_at")
    _check_separate(document, root)
    return document


def encode_root_of_trust(
    *,
    namespace: str,
    version: int,
    issued_at: int,
    expires_at: int,
    auditors: Role,
    operators: Role,
    origin: str,
    policy: Sequence[str],
    minimum_epoch: int,
    maximum_age: int,
) -> bytes:
    """Return a document's bytes; they are read back before anyone gets them."""
    document = {
        "schema": SCHEMA,
        "namespace": namespace,
        "version": version,
        "issued_at": timestamp_text(issued_at),
        "expires_at": timestamp_text(expires_at),
        "auditors": _role_items(auditors),
        "operators": _role_items(operators),
        "origin": origin,
        "policy": list(policy),
        "minimum_epoch": minimum_epoch,
        "maximum_cosignature_age_seconds": maximum_age,
    }
    raw = json.dumps(document, indent=1, ensure_ascii=True).encode() + b"\n"
    parse_root_of_trust(raw)
    return raw


def check_expiry(document: RootOfTrust, now: int) -> None:
    """ConfigError when the document has expired at POSIX second `now`."""
    if now >= document.expires_at:
        raise ConfigError(
            f"the root of trust of {document.namespace}, version {document.version}, has expired",
            "Get its successor, or check this machine's clock",
        )


def successor(trusted: RootOfTrust, envelope: bytes) -> RootOfTrust:
    """Return the document that follows `trusted`. LogError ("root") unless both documents' roles signed it."""
    signed = parse_envelope(envelope, ROOT_TYPE)
    document = parse_root_of_trust(signed.payload)
    if (document.namespace, document.version) != (trusted.namespace, trusted.version + 1):
        raise LogError(
            "root",
            f"version {document.version} of {document.namespace} does not follow version {trusted.version} "
            f"of {trusted.namespace}",
            "Give the documents in their order, none left out",
        )
    for whose, of in (("old", trusted), ("new", document)):
        for role, keys in (("auditors", of.auditors), ("operators", of.operators)):
            if not keys.has_signed(signed):
                raise LogError("root", f"too few of the {whose} document's {role} signed the new root of trust")
    return document


def _role(node: Node) -> Role:
    of = node.members("threshold", "keys")
    keys = tuple(_key(item) for item in of("keys").items(1, KEYS_LIMIT))
    if len({key.public for key in keys}) != len(keys):
        of("keys").refuse("holds one key twice")
    return Role(of("threshold").integer(1, len(keys)), keys)


def _key(node: Node) -> RoleKey:
    of = node.members("alg", "public_key")
    algorithm = of("alg").one_of(_ALGORITHMS)
    return RoleKey(algorithm, of("public_key").hexadecimal(32 if algorithm is KeyAlgorithm.ED25519 else 33))


def _role_items(role: Role) -> dict[str, object]:
    keys = [{"alg": key.algorithm.value, "public_key": key.public.hex()} for key in role.keys]
    return {"threshold": role.threshold, "keys": keys}


def _check_separate(document: RootOfTrust, root: Node) -> None:
    """One key has one role: who could sign for another could do alone what takes two."""
    policy = document.policy
    logs = [endpoint.key for endpoint in policy.logs]
    if document.origin not in [key.name for key in logs]:
        root.refuse(f"names the log {document.origin}, whose key its policy does not have")
    publics = [
        *(key.public for role in (document.auditors, document.operators) for key in role.keys),
        *(key.public for key in logs),
        *(endpoint.key.public for endpoint in policy.witnesses.values()),
    ]
    if len(set(publics)) != len(publics):
        root.refuse("gives one key two roles")
