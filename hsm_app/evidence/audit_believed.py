"""What the manifest that a client believes now has to be, for the newest evidence to be about the fleet as it is now.

Evidence lies beside the manifest of its own time, and stays true of that for ever. Later manifests name it as long as
no token is replaced with evidence. An operator who brought a member in without any, or who shows old evidence as the
newest, has nothing to hide in the evidence; it shows only where somebody brings the manifest of today.
"""

from __future__ import annotations

from hsm_app.errors import LogError
from hsm_app.evidence.audit_successor import check_no_gap
from hsm_app.evidence.dossier import FLEET, Dossier, naming
from hsm_app.fleet.manifest import Manifest
from hsm_app.fleet.publication import check_fleet_goes_on

CHECK = "manifest"
BELIEVED = "the manifest that you believe"


def check_believed(dossier: Dossier, published: Manifest, believed: Manifest) -> None:
    """LogError ("manifest", "delta") unless a manifest names this evidence and has no member that is not in it.

    `published` is the evidence's own manifest. A replica may be away, or be the next incarnation with the keys it had.
    NotProven when it is a later one: an incarnation in between may have been another token's.
    """
    if believed.namespace != published.namespace or believed.epoch < published.epoch:
        raise LogError(CHECK, f"{BELIEVED} is earlier than this evidence, or of another namespace")
    if believed.epoch == published.epoch and believed.raw != published.raw:
        raise LogError(CHECK, f"{BELIEVED} is another one of epoch {published.epoch} than this evidence has")
    with naming(BELIEVED):
        entry = believed.fleet(dossier.fleet.fleet)
        if entry.evidence_sha256 != dossier.statement.digest:
            raise LogError(CHECK, "it names other evidence: this is not the newest")
        check_fleet_goes_on(dossier.fleet, entry)
    known = {replica.replica: replica for replica in dossier.replicas}
    for replica in (replica for group in entry.groups for replica in group.replicas):
        was = known.get(replica.replica)
        if was is None or (replica.identity_public, replica.link_public) != (was.identity_public, was.link_public):
            raise LogError(CHECK, f"{BELIEVED} lists keys of replica {replica.replica} that are not those of {FLEET}")
        if replica.incarnation < was.incarnation:
            raise LogError(
                CHECK, f"{BELIEVED} lists an incarnation of replica {replica.replica} before that of {FLEET}"
            )
    check_no_gap(known.values(), entry)
