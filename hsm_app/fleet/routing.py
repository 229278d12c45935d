"""Which group holds a record, and in which order its replicas are asked.

Everyone computes this from the manifest and the record's 16-bit route (`model.Subject.route`), so requests for one
record meet at one replica, which then needs no prepare round; any other replica of the group answers just as well.
"""

from __future__ import annotations

from hsm_app.fleet.manifest import Fleet, Group, Replica
from hsm_app.model import ROUTES


def group_of(fleet: Fleet, route: int) -> Group:
    """Return the group that holds `route`: equal contiguous parts of the routing space, in the groups' order."""
    return fleet.groups[route * len(fleet.groups) // ROUTES]


def replica_order(group: Group, route: int) -> tuple[Replica, ...]:
    """Return all replicas of the group, the record's preferred one first, the others in turn behind it."""
    first = route % len(group.replicas)
    return group.replicas[first:] + group.replicas[:first]
