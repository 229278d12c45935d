"""Write a manifest, for whoever makes one. What is written is read back by `parse_manifest` before anyone gets it."""

from __future__ import annotations

import json

from hsm_app.fleet.manifest import AssuranceLevel, Fleet, Group, Replica, TenantKeys
from hsm_app.fleet.manifest_json import SCHEMA, parse_fleet, parse_manifest
from hsm_app.fleet.strict_json import timestamp_text


def encode_manifest(
    *,
    namespace: str,
    epoch: int,
    previous_sha256: bytes | None,
    issued_at: int,
    not_before: int,
    not_after: int,
    fleets: tuple[Fleet, ...],
) -> bytes:
    """Return the manifest's bytes. Times are POSIX seconds. ConfigError when a value would be refused on reading."""
    document = {
        "schema": SCHEMA,
        "namespace": namespace,
        "epoch": epoch,
        "previous_sha256": _hex(previous_sha256),
        "issued_at": timestamp_text(issued_at),
        "not_before": timestamp_text(not_before),
        "not_after": timestamp_text(not_after),
        "fleets": [_fleet(fleet) for fleet in fleets],
    }
    # One space of indent keeps the file readable in a diff and small enough for the limit.
    raw = json.dumps(document, indent=1, ensure_ascii=True).encode() + b"\n"
    parse_manifest(raw)
    return raw


def encode_fleet(fleet: Fleet) -> bytes:
    """Return one fleet's entry by itself, as evidence names it before there is a manifest."""
    raw = json.dumps(_fleet(fleet), indent=1, ensure_ascii=True).encode() + b"\n"
    parse_fleet(raw)
    return raw


def _hex(value: bytes | None) -> str | None:
    return None if value is None else value.hex()


def _fleet(fleet: Fleet) -> dict[str, object]:
    argon2, attempts, assurance = fleet.argon2, fleet.attempts, fleet.assurance
    return {
        "fleet": fleet.fleet,
        "state": fleet.state.value,
        "custody": fleet.custody.value,
        "kem_public": fleet.kem_public.hex(),
        "opaque_public": fleet.opaque_public.hex(),
        "seal_check": fleet.seal_check.hex(),
        "id_check": fleet.id_check.hex(),
        "groups": [_group(group) for group in fleet.groups],
        "tenants": [_tenant(tenant) for tenant in fleet.tenants],
        "argon2": {"iterations": argon2.iterations, "memory_kib": argon2.memory_kib, "lanes": argon2.lanes},
        "attempts": {
            "maximum": attempts.maximum,
            "waits_seconds": list(attempts.waits_seconds),
            "replace_delay_seconds": attempts.replace_delay_seconds,
            "charges_per_hour": attempts.charges_per_hour,
            "destructions_per_hour": attempts.destructions_per_hour,
        },
        "evidence_sha256": _hex(fleet.evidence_sha256),
        "assurance": {
            "key_custody": _level(assurance.key_custody),
            "code_enforcement": _level(assurance.code_enforcement),
            "anchor_freshness": _level(assurance.anchor_freshness),
        },
    }


def _group(group: Group) -> dict[str, object]:
    return {"group": group.group, "replicas": [_replica(replica) for replica in group.replicas]}


def _replica(replica: Replica) -> dict[str, object]:
    return {
        "replica": replica.replica,
        "incarnation": replica.incarnation,
        "identity_public": replica.identity_public.hex(),
        "link_public": replica.link_public.hex(),
    }


def _tenant(tenant: TenantKeys) -> dict[str, object]:
    keys = [{"kid": key.kid, "alg": key.alg.value, "public_key": key.public_key.hex()} for key in tenant.keys]
    return {"tenant": tenant.tenant, "keys": keys}


def _level(level: AssuranceLevel) -> str:
    return level.name.lower().replace("_", "-")
