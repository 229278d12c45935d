"""What the next manifest of a namespace may say, and what changed in it, for a person to read.

The rules are the auditor's before it signs, and each replica's before it enters what was published. A fleet keeps for
ever what its records were made with: its keys, the costs that stretch a code, the number of guesses. Another Argon2
cost alone would turn every right code into a wrong one, ten times, and then the record is gone. Whoever wants other
values makes a new fleet, and lets the old one recover only (VAULT-FLEET-KEEPS-ITS-KEYS).
"""

from __future__ import annotations

from collections.abc import Iterator

from hsm_app.errors import LogError
from hsm_app.fleet.manifest import AssuranceLevel, Fleet, FleetState, Manifest
from hsm_app.fleet.strict_json import timestamp_text

FOR_GOOD = ("kem_public", "opaque_public", "seal_check", "id_check", "argon2", "custody")
STATES = (FleetState.ACTIVE, FleetState.RECOVER_ONLY, FleetState.REVOKED)


def check_publication(following: Manifest, last: Manifest | None, now: int) -> None:
    """LogError ("delta") unless `following` may be published after `last` at POSIX second `now`.

    It follows by one epoch, names its predecessor's digest, is valid, was not issued in the future, its fleets go on as
    fleets may, and each that claims more than its operator's word names the evidence for it. One that is to be valid
    later would be in the log at once, where no client believes it and nothing else can be this epoch any more.
    """
    epoch = 1 if last is None else last.epoch + 1
    if following.epoch != epoch:
        raise LogError("delta", f"the next epoch of {following.namespace} is {epoch}, not {following.epoch}")
    if following.previous_sha256 != (None if last is None else last.digest):
        raise LogError("delta", f"the manifest does not name the SHA-256 of epoch {epoch - 1} as its predecessor's")
    if not max(following.issued_at, following.not_before) <= now < following.not_after:
        raise LogError(
            "freshness", "the manifest was issued in the future, is not valid yet, or has expired", "Check its times"
        )
    if last is not None:
        check_fleets_go_on(last, following)
    for fleet in following.fleets:
        if fleet.evidence_sha256 is None and _claims(fleet) > AssuranceLevel.SELF_ASSERTED:
            raise LogError("artifact", f"fleet {fleet.fleet} claims more than its operator's word, without evidence")


def check_fleets_go_on(current: Manifest, following: Manifest) -> None:
    """LogError ("delta") when a fleet is left out, gets other keys or costs, or comes back to a state it has left."""
    after = {fleet.fleet: fleet for fleet in following.fleets}
    for fleet in current.fleets:
        new = after.get(fleet.fleet)
        if new is None:
            raise LogError("delta", f"fleet {fleet.fleet} is left out; one that is given up stays listed as revoked")
        check_fleet_goes_on(fleet, new)


def check_fleet_goes_on(fleet: Fleet, new: Fleet) -> None:
    """LogError ("delta") when a fleet gets other keys or costs, or comes back to a state it has left."""
    for name in FOR_GOOD:
        if getattr(new, name) != getattr(fleet, name):
            raise LogError("delta", f"fleet {fleet.fleet} changes {name}, which a fleet keeps for good")
    if new.attempts.maximum != fleet.attempts.maximum or len(new.groups) != len(fleet.groups):
        raise LogError("delta", f"fleet {fleet.fleet} changes the number of guesses or of groups")
    if STATES.index(new.state) < STATES.index(fleet.state):
        raise LogError("delta", f"fleet {fleet.fleet} was {fleet.state.value} and cannot be {new.state.value} again")


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
