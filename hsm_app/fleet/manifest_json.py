"""The manifest as bytes: strict JSON of at most 16 KiB, hashed as received.

`parse_manifest` refuses what `fleet.strict_json` refuses, and beyond that: numbers out of range, points that are not
on P-256, ids or keys that occur twice, groups that are not numbered 0, 1, 2 and so on, a validity window that is empty,
and a first epoch with a predecessor or a later one without. Every refusal is a ConfigError that names the place.

Members of the JSON document are named as the fields of `fleet.manifest`; bytes are lower-case hexadecimal, times
RFC 3339 in UTC. `schema` stands first so that a person sees what the file is.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Hashable, Iterable

from cryptography.hazmat.primitives.asymmetric import ec

from hsm_app.fleet.manifest import (
    Argon2Costs,
    Assurance,
    AssuranceLevel,
    AttemptPolicy,
    Custody,
    Fleet,
    FleetState,
    Group,
    Manifest,
    Replica,
    TenantAlgorithm,
    TenantKey,
    TenantKeys,
)
from hsm_app.fleet.strict_json import Node, load_document
from hsm_app.model import FleetId, ReplicaId

SCHEMA = "hsm-vault/fleet-manifest/v1"
LIMIT = 16 * 1024  # bytes: nine replicas, four tenants and three old fleets fit, and a log entry stays under 64 KiB
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,63}")  # fleet ids, tenants, key ids
NAMESPACE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}")
MAX_SAFE = 2**53 - 1  # the largest integer that every JSON parser keeps exact (RFC 8259 section 6)
DAY = 86_400
STATES = {state.value: state for state in FleetState}
CUSTODIES = {custody.value: custody for custody in Custody}
ALGORITHMS = {algorithm.value: algorithm for algorithm in TenantAlgorithm}
LEVELS = {level.name.lower().replace("_", "-"): level for level in AssuranceLevel}


def parse_manifest(raw: bytes) -> Manifest:
    """Read and check a manifest. ConfigError for anything else; `fleet.manifest.check_window` checks the window."""
    root = load_document(raw, "manifest", LIMIT)
    of = root.members(
        "schema", "namespace", "epoch", "previous_sha256", "issued_at", "not_before", "not_after", "fleets"
    )
    of("schema").one_of({SCHEMA: SCHEMA})
    manifest = Manifest(
        namespace=of("namespace").text(NAMESPACE),
        epoch=of("epoch").integer(1, MAX_SAFE),
        previous_sha256=of("previous_sha256").optional(lambda node: node.hexadecimal(32)),
        issued_at=of("issued_at").timestamp(),
        not_before=of("not_before").timestamp(),
        not_after=of("not_after").timestamp(),
        fleets=tuple(_fleet(node) for node in of("fleets").items(1, 64)),
        digest=hashlib.sha256(raw).digest(),
        raw=raw,
    )
    if (manifest.epoch == 1) != (manifest.previous_sha256 is None):
        of("previous_sha256").refuse("is for every epoch but the first, which has none")
    if not max(manifest.not_before, manifest.issued_at) < manifest.not_after:
        of("not_after").refuse("is not later than not_before and issued_at")
    _distinct(of("fleets"), "fleet id", (fleet.fleet for fleet in manifest.fleets))
    return manifest


def parse_fleet(raw: bytes) -> Fleet:
    """Read one fleet's entry by itself. ConfigError for anything else."""
    return _fleet(load_document(raw, "fleet", LIMIT))


def _fleet(node: Node) -> Fleet:
    of = node.members(
        "fleet", "state", "custody", "kem_public", "opaque_public", "seal_check", "id_check",
        "groups", "tenants", "argon2", "attempts", "evidence_sha256", "assurance",
    )  # fmt: skip
    groups = tuple(_group(item) for item in of("groups").items(1, 256))
    if [group.group for group in groups] != list(range(len(groups))):
        of("groups").refuse("is not numbered 0, 1, 2 and so on")
    members = [replica for group in groups for replica in group.replicas]
    _distinct(of("groups"), "public key", (key for r in members for key in (r.identity_public, r.link_public)))
    tenants = tuple(_tenant(item) for item in of("tenants").items(1, 64))
    _distinct(of("tenants"), "tenant", (tenant.tenant for tenant in tenants))
    _distinct(of("tenants"), "kid", (key.kid for tenant in tenants for key in tenant.keys))
    _distinct(of("tenants"), "public key", (key.public_key for tenant in tenants for key in tenant.keys))
    return Fleet(
        fleet=FleetId(of("fleet").text(NAME)),
        state=of("state").one_of(STATES),
        custody=of("custody").one_of(CUSTODIES),
        kem_public=_point(of("kem_public")),
        opaque_public=_point(of("opaque_public")),
        seal_check=of("seal_check").hexadecimal(32),
        id_check=of("id_check").hexadecimal(32),
        groups=groups,
        tenants=tenants,
        argon2=_argon2(of("argon2")),
        attempts=_attempts(of("attempts")),
        evidence_sha256=of("evidence_sha256").optional(lambda item: item.hexadecimal(32)),
        assurance=_assurance(of("assurance")),
    )


def _group(node: Node) -> Group:
    of = node.members("group", "replicas")
    # A fleet starts with 3, 5, 7 or 9; the step of a membership change that removes one leaves an even number.
    replicas = tuple(_replica(item) for item in of("replicas").items(2, 9))
    _distinct(of("replicas"), "replica id", (replica.replica for replica in replicas))
    return Group(group=of("group").integer(0, 255), replicas=replicas)


def _replica(node: Node) -> Replica:
    of = node.members("replica", "incarnation", "identity_public", "link_public")
    return Replica(
        replica=ReplicaId(of("replica").integer(1, 255)),
        incarnation=of("incarnation").integer(1, 2**32 - 1),
        identity_public=_point(of("identity_public")),
        link_public=_point(of("link_public")),
    )


def _tenant(node: Node) -> TenantKeys:
    of = node.members("tenant", "keys")
    return TenantKeys(tenant=of("tenant").text(NAME), keys=tuple(_tenant_key(item) for item in of("keys").items(1, 16)))


def _tenant_key(node: Node) -> TenantKey:
    of = node.members("kid", "alg", "public_key")
    alg = of("alg").one_of(ALGORITHMS)
    public = of("public_key")
    key = _point(public) if alg is TenantAlgorithm.ES256 else public.hexadecimal(32)
    return TenantKey(kid=of("kid").text(NAME), alg=alg, public_key=key)


def _argon2(node: Node) -> Argon2Costs:
    of = node.members("iterations", "memory_kib", "lanes")
    lanes = of("lanes").integer(1, 16)
    return Argon2Costs(
        iterations=of("iterations").integer(1, 64),
        # RFC 9106 section 3.1 asks for 8 KiB a lane; 2 GiB is the most that RFC 9807 section 8 recommends.
        memory_kib=of("memory_kib").integer(8 * lanes, 2**21),
        lanes=lanes,
    )


def _attempts(node: Node) -> AttemptPolicy:
    of = node.members("maximum", "waits_seconds", "replace_delay_seconds", "charges_per_hour", "destructions_per_hour")
    return AttemptPolicy(
        maximum=of("maximum").integer(1, 10),
        waits_seconds=tuple(item.integer(0, 30 * DAY) for item in of("waits_seconds").items(1, 16)),
        replace_delay_seconds=of("replace_delay_seconds").integer(1, 90 * DAY),
        charges_per_hour=of("charges_per_hour").integer(1, 10**9),
        destructions_per_hour=of("destructions_per_hour").integer(1, 10**9),
    )


def _assurance(node: Node) -> Assurance:
    of = node.members("key_custody", "code_enforcement", "anchor_freshness")
    return Assurance(
        key_custody=of("key_custody").one_of(LEVELS),
        code_enforcement=of("code_enforcement").one_of(LEVELS),
        anchor_freshness=of("anchor_freshness").one_of(LEVELS),
    )


def _point(node: Node) -> bytes:
    """Require a compressed point on P-256 (SEC 1 section 2.3.3)."""
    encoded = node.hexadecimal(33)
    try:
        ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), encoded)
    except ValueError:
        node.refuse("is not a compressed point on P-256")
    return encoded


def _distinct(node: Node, what: str, values: Iterable[Hashable]) -> None:
    listed = list(values)
    if len(set(listed)) != len(listed):
        node.refuse(f"names one {what} twice")
