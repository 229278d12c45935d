"""After a token was replaced: its evidence is put together and signed by the new token, chained to the evidence before.

Its statement names the statement that the fleet's manifest names now, and `fleet.json` is the fleet as it is going to
be. The manifest itself comes later, from `fleet replace-replica`, which refuses the new member without this evidence;
until the manifest is there, all of this can be done again, for somebody who signed late.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from hsm_app.ceremony.plan import CeremonyName, Plan
from hsm_app.durable import owning
from hsm_app.errors import ConfigError
from hsm_app.evidence.dossier import CUSTODY, MANIFEST, TRANSCRIPT
from hsm_app.fleet.manifest import Fleet, Replica
from hsm_app.fleet.membership_manifests import with_replica, without_replica
from hsm_app.model import ReplicaId
from hsm_app.operator.ceremonies.hall import Place
from hsm_app.operator.ceremonies.journal import Journal
from hsm_app.operator.ceremonies.publish import EVIDENCE, IdentitySigner, gather
from hsm_app.operator.fleet_directory import FleetDirectory, open_fleet_directory
from hsm_app.operator.replace_evidence import note_evidence


def publish_replacement(place: Place, plan: Plan) -> Path:
    """Put the evidence of a replace-token ceremony that has ended together; return its directory.

    ConfigError when the ceremony has not ended, the evidence is published with a manifest already, or the fleet has no
    evidence to go on from. TokenError, StoreError when a step fails, or another process works there; do it again.
    """
    with owning(place.root), owning(place.home):  # `fleet replace-replica` reads there what it has the manifest name
        return _publish(place, plan)


def _publish(place: Place, plan: Plan) -> Path:
    evidence = place.root / EVIDENCE
    if (evidence / MANIFEST).exists():
        raise ConfigError(f"{evidence} was published already", "It is what the manifest names; it is not changed")
    member = _made(place.root, plan)
    entry = _entry(open_fleet_directory(place.home), member)
    if entry.evidence_sha256 is None:
        raise ConfigError(
            f"the manifest of fleet {plan.fleet} names no evidence that this could go on from",
            "A fleet that was made without evidence goes on without: hsm-vault fleet replace-replica",
        )
    token = next(token for token in plan.tokens if token.replica == plan.replica)
    files = place.files(plan.replica)
    signer = IdentitySigner(location=place.location(plan, token), pin=files.pin, public=member.identity_public)
    without_evidence = replace(entry, evidence_sha256=None)
    gather(place.root, place.home / CUSTODY, without_evidence, signer, previous=entry.evidence_sha256)
    note_evidence(files, evidence)
    return evidence


def _made(root: Path, plan: Plan) -> Replica:
    """Return the new member as the ceremony made it."""
    journal = Journal.read(root / TRANSCRIPT, lambda: 0)
    if plan.ceremony is not CeremonyName.REPLACE_TOKEN or not journal.is_ended:
        raise ConfigError("this is no replaced token whose ceremony has ended", "Go on: hsm-vault ceremony resume")
    keys, member = (journal.result(step) or {} for step in (f"keys-{plan.replica}", "member"))
    return Replica(
        replica=ReplicaId(plan.replica),
        incarnation=member["incarnation"],
        identity_public=bytes.fromhex(keys["identity_public"]),
        link_public=bytes.fromhex(keys["link_public"]),
    )


def _entry(opened: FleetDirectory, member: Replica) -> Fleet:
    """Return the fleet as it is going to be, with the evidence that it names now."""
    current = opened.epochs.current()
    following = opened.epochs.past(current.epoch + 1)
    if following is not None and any(member in group.replicas for group in opened.fleet(following).groups):
        raise ConfigError(  # or the manifest would name a statement that is no more
            f"the manifest of epoch {following.epoch} names this evidence already",
            f"Go on with: hsm-vault fleet replace-replica {opened.root} --replica {member.replica}",
        )
    group, old = opened.last_listed(member.replica)
    if old.incarnation + 1 != member.incarnation:
        raise ConfigError(
            f"the fleet's manifest has incarnation {old.incarnation} of replica {member.replica}, and the ceremony "
            f"made incarnation {member.incarnation}",
            "Another one has taken its place: play the ceremony anew if the token is still needed",
        )
    if old in opened.fleet(current).groups[group].replicas:
        current = without_replica(current, opened.fleet_id, member.replica, issued_at=current.issued_at)
    grown = with_replica(current, opened.fleet_id, group, member, issued_at=current.issued_at)
    return opened.fleet(grown)
