"""Where a replica's settings stand in its manifest."""

from __future__ import annotations

from hsm_app.errors import ConfigError
from hsm_app.fleet.manifest import Fleet, Group, Replica
from hsm_app.replica.settings import ReplicaSettings


def membership(fleet: Fleet, settings: ReplicaSettings) -> tuple[Group, Replica]:
    """Return this replica's group and entry. ConfigError unless the settings give each other member's address.

    Addresses beyond those stay unused: a replica that was removed keeps its place in the file until it is back.
    """
    for group in fleet.groups:
        for member in group.replicas:
            if member.replica == settings.replica:
                others = {other.replica for other in group.replicas} - {member.replica}
                if not others <= set(settings.peers) - {member.replica}:
                    raise ConfigError(
                        f"peers names replicas {sorted(settings.peers)}, the group's others are {sorted(others)}",
                        "Give the address of each other replica of the group under [peers]",
                    )
                return group, member
    raise ConfigError(
        f"fleet {fleet.fleet} has no replica {settings.replica} in this epoch",
        "Check replica = ... and the manifest it belongs to; a replica that was removed comes back by "
        "`hsm-vault fleet replace-replica`",
    )
