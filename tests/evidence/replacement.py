"""A token that was replaced in a fleet of `deployment`: a real ceremony, its evidence, and the epoch that names it.

No replica runs here: the two epochs are made and recorded by the operator's own functions, and that replicas enter them
is shown in `tests/ceremony/test_upkeep.py`. `Replaced.remade` does what an operator who cheats can do, as
`Deployment.remade`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import MappingProxyType

from hsm_app.evidence.audit import audit_chain
from hsm_app.evidence.dossier import FLEET
from hsm_app.evidence.statement import STATEMENT, read_envelope
from hsm_app.evidence.verdict import Verdicts
from hsm_app.fleet.manifest import Manifest, Replica
from hsm_app.fleet.manifest_json import parse_fleet
from hsm_app.fleet.membership_manifests import with_replica, without_replica
from hsm_app.fleet.role_keys import Signer
from hsm_app.operator.fleet_directory import FleetDirectory, open_fleet_directory
from hsm_app.operator.replace_evidence import complete_evidence, evidence_of, prove_evidence
from tests.ceremony.plans import PEOPLE, plan_text
from tests.ceremony.stage import Rehearsal
from tests.cli.command import well
from tests.evidence.deployment import Deployment, Files, OpenedToken, Published, let_testify, measured
from tests.fleet import trust
from tests.token.fresh import softhsm

OBJECTION = "The video was off for ten minutes."
CLOCK = "The time on the screen is right"
REPLICA = 2
NAMED: bytes = b"as it was"  # the statement before, as the honest evidence names it


@dataclass(frozen=True)
class Replaced(Published):
    """`old` is the fleet's genesis, `without` the manifest that does not list the replica."""

    old: Deployment
    without: Manifest
    member: Replica

    @classmethod
    @contextmanager
    def created(cls, old: Deployment) -> Iterator[Replaced]:
        """Play the ceremony, have people sign, publish, and have the next manifest name the evidence."""
        people = old.rehearsal.ceremony.plan.people
        more = f'fleet_directory = "{old.root}"\nreplica = {REPLICA}'
        text = plan_text(
            "replace-token", fleet=old.fleet, custody="maintained", keys=[each.key for each in people], more=more
        )
        rehearsal = Rehearsal(old.root.parent / "replacement", text, software=measured(), home=old.root)
        rehearsal.room.sheets = dict(old.rehearsal.room.sheets)
        rehearsal.play()
        for number in range(1, len(PEOPLE) + 1):
            let_testify(rehearsal.root, old.keys, number)
        well("ceremony", "publish", rehearsal.root, "--module", softhsm())
        made = cls(rehearsal, old, *_entered(open_fleet_directory(old.root), rehearsal.root))
        try:
            yield made
        finally:
            if "new_token" in made.__dict__:
                made.new_token.station.close()

    @property
    def directory(self) -> FleetDirectory:
        return open_fleet_directory(self.old.root)

    @cached_property
    def new_token(self) -> OpenedToken:
        """Opened once, and held until the end."""
        return self.opened(self.member)

    def audit(self, *evidence: Mapping[str, bytes]) -> list[Verdicts]:
        """Audit a chain, by somebody who has everything else that one can bring."""
        return audit_chain(evidence, self.old.beliefs)

    def remade(
        self,
        files: Mapping[str, bytes],
        signer: Signer | None = None,
        previous: bytes | None = NAMED,
        words: Mapping[str, str] = MappingProxyType({}),
    ) -> Files:
        previous = read_envelope(self.files[STATEMENT]).previous if previous is NAMED else previous
        said = {"fleet": self.old.fleet, "ceremony": "replace-token", "assurance": "self-asserted", **words}
        return self.signed_anew(files, signer or self.new_token, previous, **said)


def _entered(directory: FleetDirectory, ceremony: Path) -> tuple[Manifest, Replica]:
    """Issue the two manifests of the replacement; return the first of them and the new member."""
    now = int(time.time())
    current = directory.epochs.current()
    group, old = directory.last_listed(REPLICA)
    made = parse_fleet((ceremony / "evidence" / FLEET).read_bytes()).groups[group].find(REPLICA)
    assert made.incarnation == old.incarnation + 1
    without = without_replica(current, directory.fleet_id, REPLICA, issued_at=now)
    evidence = evidence_of(directory, without, group, made)
    grown = with_replica(without, directory.fleet_id, group, made, issued_at=now, evidence=evidence)
    complete_evidence(directory, grown, lambda _: None)
    prove_evidence(directory, grown, trust.Log().bundle(trust.entry_of(grown.raw)))
    return without, made
