"""The auditor's rules for the next manifest of a namespace, and what changed in it, for a person to read."""

from __future__ import annotations

from collections.abc import Iterator

from hsm_app.errors import LogError
from hsm_app.fleet.manifest import AssuranceLevel, Fleet, Manifest
from hsm_app.fleet.strict_json import timestamp_text


def check_publication(following: Manifest, last: Manifest | None, now: int) -> None:
    """LogError ("delta") unless `following` may be published after `last` at POSIX second `now`.

    It follows by one epoch, names its predecessor's digest, is still valid, was not issued in the future, and each
    fleet that claims more than its operator's word names the evidence for it.
    """
    epoch = 1 if last is None else last.epoch + 1
    if following.epoch != epoch:
        raise LogError("delta", f"the next epoch of {following.namespace} is {epoch}, not {following.epoch}")
    if following.previous_sha256 != (None if last is None else last.digest):
        raise LogError("delta", f"the manifest does not name the SHA-256 of epoch {epoch - 1} as its predecessor's")
    if not following.issued_at <= now < following.not_after:
        raise LogError("freshness", "the manifest was issued in the future, or has expired")
    for fleet in following.fleets:
        if fleet.evidence_sha256 is None and _claims(fleet) > AssuranceLevel.SELF_ASSERTED:
            raise LogError("artifact", f"fleet {fleet.fleet} claims more than its operator's word, without evidence")


def changes(old: Manifest | None, new: Manifest) -> list[str]:
    """Return what a person should look at, a line each: `+` is new, `-` is gone, `~` is another value."""
    before, after = dict(_facts(old)) if old else {}, dict(_facts(new))
    lines = []
    for name in sorted(before.keys() | after.keys()):
        if name not in before:
            lines.append(f"+ {name}: {after[name]}")
        elif name not in after:
            lines.append(f"- {name}: {before[name]}")
        elif before[name] != after[name]:
            lines.append(f"~ {name}: {before[name]} -> {after[name]}")
    return lines


def _claims(fleet: Fleet) -> AssuranceLevel:
    assurance = fleet.assurance
    return max(assurance.key_custody, assurance.code_enforcement, assurance.anchor_freshness)


def _facts(manifest: Manifest) -> Iterator[tuple[str, str]]:
    yield "valid", f"{timestamp_text(manifest.not_before)} to {timestamp_text(manifest.not_after)}"
    for fleet in manifest.fleets:
        for name, value in _fleet_facts(fleet):
            yield f"fleet {fleet.fleet} {name}", value


def _fleet_facts(fleet: Fleet) -> Iterator[tuple[str, str]]:
    yield "state", fleet.state.value
    yield "custody", fleet.custody.value
    yield "session key", fleet.kem_public.hex()
    yield "OPAQUE key", fleet.opaque_public.hex()
    yield "check values", f"{fleet.seal_check.hex()} {fleet.id_check.hex()}"
    yield "evidence", fleet.evidence_sha256.hex() if fleet.evidence_sha256 else "none"
    assurance = fleet.assurance
    for axis in ("key_custody", "code_enforcement", "anchor_freshness"):
        yield f"assurance of {axis.replace('_', ' ')}", getattr(assurance, axis).name.lower().replace("_", "-")
    attempts = fleet.attempts
    yield "attempts", f"{attempts.maximum}, waits {list(attempts.waits_seconds)} s"
    yield "delay of unsigned deletes", f"{attempts.replace_delay_seconds} s"
    yield "limits of a tenant", f"{attempts.charges_per_hour} and {attempts.destructions_per_hour} an hour"
    yield "Argon2id", f"{fleet.argon2.iterations}, {fleet.argon2.memory_kib} KiB, {fleet.argon2.lanes}"
    for group in fleet.groups:
        for replica in group.replicas:
            name = f"group {group.group} replica {replica.replica}"
            yield f"{name} identity key", replica.identity_public.hex()
            yield f"{name} link key", replica.link_public.hex()
            yield f"{name} incarnation", str(replica.incarnation)
    for tenant in fleet.tenants:
        for key in tenant.keys:
            yield f"tenant {tenant.tenant} key {key.kid}", f"{key.alg.value} {key.public_key.hex()}"
