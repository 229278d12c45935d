"""The first anchor of each replica: the token is told whose store it is, and that this store is empty.

A replica without an anchor does not start, and it never makes one by itself: whoever can make a token forget would
otherwise make it vote anew (VAULT-ANCHOR-MADE-ONCE). So this is done here, once, after the manifest is known, which the
anchor names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from hsm_app.fleet.manifest import Manifest
from hsm_app.merkle.anchor import NO_ROOT_OF_TRUST, first_anchor
from hsm_app.model import ReplicaId
from hsm_app.operator.fleet_files import FleetPlan
from hsm_app.operator.layout import ReplicaFiles
from hsm_app.token.pin import pin_from_file
from hsm_app.token.station import TokenStation


def is_any_anchored(plan: FleetPlan, replicas: Iterable[ReplicaId]) -> bool:
    """Say whether an earlier run got as far as an anchor, which names its manifest for good. Raises TokenError."""
    for replica in replicas:
        with TokenStation(plan.location(replica)) as station:
            station.open(pin_from_file(ReplicaFiles(root=plan.root, number=replica).pin).reveal())
            if station.anchored_incarnation() is not None:
                return True
    return False


def anchor_stores(plan: FleetPlan, manifest: Manifest, *, say: Callable[[str], None]) -> None:
    """Create every replica's first anchor, and take the final inventory of its token. Raises TokenError."""
    for group in manifest.fleet(plan.fleet).groups:
        for member in group.replicas:
            files = ReplicaFiles(root=plan.root, number=member.replica)
            anchor = first_anchor(
                fleet=plan.fleet,
                group=group.group,
                replica=member.replica,
                incarnation=member.incarnation,
                epoch=manifest.epoch,
                manifest=manifest.digest,
                root_of_trust=NO_ROOT_OF_TRUST if plan.trusted is None else plan.trusted.digest,
            )
            with TokenStation(plan.location(member.replica)) as station:
                station.open(pin_from_file(files.pin).reveal())
                if station.anchored_incarnation() is None:  # not by a run that was interrupted
                    station.create_first_anchor(anchor.to_bytes())
                station.inventory(sealed=plan.sealed, anchored=True)
    say("every token has anchored its replica's empty store; a store that is rolled back will not be voted on")
