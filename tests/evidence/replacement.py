"""A token that was replaced in a fleet of `deployment`: a real ceremony, its evidence, and the epoch that names it.

No replica runs here: the two epochs are made and recorded by the operator's own functions, and that replicas enter them
is shown in `tests/ceremony/test_upkeep.py`. `Replaced.remade` does what an operator who cheats can do, as
`Deployment.remade`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from types import MappingProxyType

from hsm_app.evidence.audit import audit_chain
from hsm_app.evidence.dossier import BUNDLE, FLEET, MANIFEST, SIGNATURE, TRANSCRIPT
from hsm_app.evidence.statement import STATEMENT, encode_statement, parse_statement, read_envelope, sign_statement
from hsm_app.evidence.verdict import Verdicts
from hsm_app.fleet.manifest import Manifest, Replica
from hsm_app.fleet.manifest_json import parse_fleet
from hsm_app.fleet.membership_manifests import with_replica, without_replica
from hsm_app.fleet.role_keys import KeyAlgorithm, RoleKey, Signer
from hsm_app.monitor.evidence_source import read_evidence
from hsm_app.operator.fleet_directory import FleetDirectory, open_fleet_directory
from hsm_app.operator.replace_evidence import complete_evidence, evidence_of, prove_evidence
from hsm_app.token.station import TokenStation
from tests.ceremony.plans import PEOPLE, plan_text
from tests.ceremony.stage import Rehearsal
from tests.cli.command import well
from tests.evidence.deployment import LEFT_OUT, Deployment, Files, FirstToken, let_testify, measured, with_fleet
from tests.fleet import trust
from tests.token.fresh import softhsm

OBJECTION = "The video was off for ten minutes."
CLOCK = "The time on the screen is right"
REPLICA = 2
NAMED: bytes = b"as it was"  # the statement before, as the honest evidence names it


@dataclass(frozen=True)
class Replaced:
    """`old` is the fleet's genesis, `without` the manifest that does not list the replica. Shared: look only."""

    old: Deployment
    rehearsal: Rehearsal
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
        made = cls(old, rehearsal, *_entered(open_fleet_directory(old.root), rehearsal.root))
        try:
            yield made
        finally:
            if "new_token" in made.__dict__:
                made.new_token.station.close()

    @property
    def evidence(self) -> Path:
        return self.rehearsal.root / "evidence"

    @property
    def directory(self) -> FleetDirectory:
        return open_fleet_directory(self.old.root)

    @property
    def files(self) -> Files:
        return dict(self._files)

    @cached_property
    def _files(self) -> Mapping[str, bytes]:
        return read_evidence(str(self.evidence))

    @cached_property
    def new_token(self) -> FirstToken:
        plan = self.rehearsal.ceremony.plan
        station = TokenStation(self.rehearsal.ceremony.place.location(plan, plan.tokens[REPLICA - 1]))
        station.open((self.old.root / f"replica-{REPLICA}/pin").read_text().strip())
        return FirstToken(station=station, key=RoleKey(KeyAlgorithm.ES256, self.member.identity_public))

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
        """Return these files with a transcript's signature, statement, manifest and log that are of them."""
        signer = signer or self.new_token
        previous = read_envelope(self.files[STATEMENT]).previous if previous is NAMED else previous
        kept = {path: content for path, content in files.items() if path not in LEFT_OUT}
        kept[SIGNATURE] = signer.sign(kept[TRANSCRIPT])
        said = {"fleet": self.old.fleet, "ceremony": "replace-token", "assurance": "self-asserted", **words}
        statement = encode_statement(files=kept, previous=previous, **said)
        entry = replace(parse_fleet(kept[FLEET]), evidence_sha256=parse_statement(statement).digest)
        manifest = with_fleet(self.files[MANIFEST], entry)
        bundle = trust.Log().bundle(trust.entry_of(manifest))
        return {**kept, STATEMENT: sign_statement(statement, signer), MANIFEST: manifest, BUNDLE: bundle}


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
