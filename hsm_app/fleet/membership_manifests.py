"""The two manifests of a replacement, for whoever issues them: one without the replica, one with it again."""

from __future__ import annotations

from dataclasses import replace

from hsm_app.errors import ConfigError
from hsm_app.fleet.manifest import Fleet, Group, Manifest, Replica
from hsm_app.fleet.manifest_encoding import encode_manifest
from hsm_app.fleet.manifest_json import parse_manifest


def without_replica(current: Manifest, fleet: str, replica: int, *, issued_at: int) -> Manifest:
    """Return the manifest of the next epoch, in which `replica` is no member. `issued_at` is POSIX seconds.

    ConfigError when the fleet has no such replica, or one was removed before and has not come back.
    """
    group = group_with(current.fleet(fleet), replica)
    if len(group.replicas) < 3:
        raise ConfigError(f"group {group.group} has two replicas left", "Bring the missing one back first")
    rest = tuple(member for member in group.replicas if member.replica != replica)
    return _next(current, fleet, replace(group, replicas=rest), issued_at)


def with_replica(
    current: Manifest, fleet: str, group: int, replica: Replica, *, issued_at: int, evidence: bytes | None = None
) -> Manifest:
    """Return the manifest of the next epoch, in which `replica` is a member of `group`, in the order of the numbers.

    `evidence` is the SHA-256 of the statement about its token; without it the fleet names what it named.
    """
    present = current.fleet(fleet).groups[group]
    members = sorted((*present.replicas, replica), key=lambda member: member.replica)
    return _next(current, fleet, replace(present, replicas=tuple(members)), issued_at, evidence)


def group_with(fleet: Fleet, replica: int) -> Group:
    """Return the group that has this replica. ConfigError when none has."""
    for group in fleet.groups:
        if any(member.replica == replica for member in group.replicas):
            return group
    raise ConfigError(f"fleet {fleet.fleet} has no replica {replica}", "`hsm-vault fleet show` lists its replicas")


def _next(current: Manifest, fleet: str, changed: Group, issued_at: int, evidence: bytes | None = None) -> Manifest:
    def change(each: Fleet) -> Fleet:
        if each.fleet != fleet:
            return each
        groups = tuple(changed if old.group == changed.group else old for old in each.groups)
        return replace(each, groups=groups, evidence_sha256=evidence or each.evidence_sha256)

    return parse_manifest(
        encode_manifest(
            namespace=current.namespace,
            epoch=current.epoch + 1,
            previous_sha256=current.digest,
            issued_at=max(issued_at, current.issued_at),
            not_before=current.not_before,
            not_after=current.not_after,
            fleets=tuple(change(each) for each in current.fleets),
        )
    )
