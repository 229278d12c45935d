"""After genesis: the evidence is put together and signed, the manifest names it, and the fleet's files are written.

Deterministic, so that it can be done again after an interruption: times come from the transcript's end, and the
statement, which the manifest names by its hash, is the same for the same files. Signatures of participants are taken in
as they are there; whoever signs later is not in this evidence. Once a token has anchored the manifest, there is no
other one: a replica whose token remembers another never starts. What is left is done then with the evidence that is
there. It is finished when the evidence holds its manifest, and is not done a second time then.

| written | when |
|---|---|
| `transcript.sig`, `evidence/` with `statement.dsse.json` | first |
| manifest, replicas', relay's and clients' files | then |
| the first anchor of each token | then, unless the token has one |
| `evidence/manifest.json` | last |
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hsm_app.ceremony.plan import CeremonyName, Plan
from hsm_app.ceremony.transcript import parse_transcript
from hsm_app.durable import make_directories, owning, replace_file
from hsm_app.errors import ConfigError, LogError
from hsm_app.evidence.audit import audit
from hsm_app.evidence.audit_people import check_commitments
from hsm_app.evidence.beliefs import Beliefs
from hsm_app.evidence.dossier import CUSTODY, FLEET, MANIFEST, PLAN, SCRIPT, SIGNATURE, SOFTWARE, TRANSCRIPT, Dossier
from hsm_app.evidence.statement import STATEMENT, encode_statement, parse_statement, read_envelope, sign_statement
from hsm_app.evidence.verdict import Outcome
from hsm_app.fleet.manifest import Fleet, Manifest, Replica
from hsm_app.fleet.manifest_encoding import encode_fleet
from hsm_app.fleet.role_keys import KeyAlgorithm, RoleKey
from hsm_app.model import ReplicaId
from hsm_app.operator.ceremonies.journal import Journal
from hsm_app.operator.first_anchors import anchor_stores, is_any_anchored
from hsm_app.operator.fleet_directory import ROOT_OF_TRUST
from hsm_app.operator.fleet_files import FleetPlan, fleet_entry, fleet_manifest, write_fleet_files
from hsm_app.operator.genesis import Genesis
from hsm_app.operator.layout import ReplicaFiles
from hsm_app.token.fleet_keys import FleetCommitments, read_fleet_keys
from hsm_app.token.location import TokenLocation
from hsm_app.token.pin import pin_from_file
from hsm_app.token.station import TokenStation

EVIDENCE, TESTIMONIES, TOKENS, ATTESTATIONS = "evidence", "testimonies", "tokens", "attestations"
AGREEMENT = "custodian-threshold"
ASSURANCE = "self-asserted"  # no device of this deployment vouches for itself to this program
COPIED = (PLAN, SCRIPT, TRANSCRIPT, SIGNATURE, SOFTWARE)
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentitySigner:
    """Signs with a token's replica-identity; opens the token for each signature. Implements `Signer`."""

    location: TokenLocation
    pin: Path
    public: bytes

    @property
    def key(self) -> RoleKey:
        return RoleKey(KeyAlgorithm.ES256, self.public)

    def sign(self, message: bytes) -> bytes:
        with TokenStation(self.location) as station:
            station.open(pin_from_file(self.pin).reveal())
            return station.sign(message)


def read_genesis(root: Path, plan: Plan) -> tuple[Genesis, int]:
    """Return what a genesis that has ended made, and when it ended. ConfigError when it has not."""
    journal = Journal.read(root / TRANSCRIPT, lambda: 0)
    if plan.ceremony not in (CeremonyName.GENESIS, CeremonyName.NEW_FLEET) or not journal.is_ended:
        raise ConfigError("this is no genesis that has ended", "Go on with it: hsm-vault ceremony resume")
    done = {step: journal.result(step) or {} for step in _steps(plan)}
    made = done["fleet-keys"]
    genesis = Genesis(
        replicas=tuple(_replica(token.replica, done[f"keys-{token.replica}"]) for token in plan.tokens),
        fleet_keys=read_fleet_keys(root / "fleet-keys.bin"),
        commitments=FleetCommitments(
            kem_public=bytes.fromhex(made["kem_public"]),
            opaque_public=bytes.fromhex(made["opaque_public"]),
            seal_check=bytes.fromhex(made["seal_check"]),
            id_check=bytes.fromhex(made["id_check"]),
        ),
    )
    return genesis, journal.last_time


def publish(plan: FleetPlan, genesis: Genesis, ended: int, say: Say) -> Manifest:
    """Put the evidence together and make the fleet ready to start. `ended` is POSIX seconds.

    ConfigError when it was published before, LogError when an audit of it would fail; TokenError, StoreError when a
    step fails, and then do it again.
    """
    with owning(plan.root):
        return _publish(plan, genesis, ended, say)


def _publish(plan: FleetPlan, genesis: Genesis, ended: int, say: Say) -> Manifest:
    evidence = plan.root / EVIDENCE
    if (evidence / MANIFEST).exists():
        raise ConfigError(f"{evidence} was published already", "It is what the manifest names; it is not changed")
    signer = IdentitySigner(
        location=plan.location(1),
        pin=ReplicaFiles(root=plan.root, number=1).pin,
        public=genesis.replicas[0].identity_public,
    )
    if not _is_anchored(plan, genesis, ended):
        gather(plan.root, plan.root / CUSTODY, fleet_entry(plan, genesis), signer)
        say(f"evidence put together and signed by the first token: {evidence}")
        (plan.root / "manifest.json").unlink(missing_ok=True)
    _clear(plan)
    statement = read_envelope((evidence / STATEMENT).read_bytes()).digest
    manifest = write_fleet_files(plan, genesis, ended, statement)
    anchor_stores(plan, manifest, say=say)
    replace_file(evidence / MANIFEST, manifest.raw)
    return manifest


def _is_anchored(plan: FleetPlan, genesis: Genesis, ended: int) -> bool:
    """Say whether an interrupted run anchored its manifest in a token. ConfigError when it would become another one."""
    named = plan.root / "manifest.json"  # which is written before any anchor
    if not named.exists() or not is_any_anchored(plan, (replica.replica for replica in genesis.replicas)):
        return False
    try:
        statement = read_envelope((plan.root / EVIDENCE / STATEMENT).read_bytes()).digest
    except OSError as error:
        raise ConfigError(f"cannot read the evidence that {named} names: {error.strerror}", "Put it back") from error
    if fleet_manifest(plan, genesis, ended, statement).raw != named.read_bytes():
        raise ConfigError(
            f"tokens have anchored {named}, and these options or this evidence would make another manifest",
            "Give the options of the run that was interrupted; nothing was changed",
        )
    return True


def gather(root: Path, custody: Path, entry: Fleet, signer: IdentitySigner, previous: bytes | None = None) -> bytes:
    """Write the evidence's directory anew, from the ceremony's; return the SHA-256 of its statement.

    `custody` is the fleet's custody.json, `entry` the fleet as the manifest will list it, without evidence; `previous`
    is the digest of the statement before it.
    """
    evidence = root / EVIDENCE
    transcript = (root / TRANSCRIPT).read_bytes()
    if not (root / SIGNATURE).exists():
        replace_file(root / SIGNATURE, signer.sign(transcript))
    if evidence.exists():
        shutil.rmtree(evidence)  # of a run that was interrupted before the manifest named it
    files = {path: (root / path).read_bytes() for path in (*COPIED, *_more(root))}
    files |= {CUSTODY: custody.read_bytes(), FLEET: encode_fleet(entry)}
    ceremony = str(parse_transcript(transcript)[0].body["ceremony"])
    statement = encode_statement(
        fleet=entry.fleet, ceremony=ceremony, assurance=ASSURANCE, files=files, previous=previous
    )
    whole = {**files, STATEMENT: sign_statement(statement, signer)}
    check_publishable(whole, root)
    for path, content in whole.items():
        make_directories((evidence / path).parent, root)
        replace_file(evidence / path, content)
    return parse_statement(statement).digest


def check_publishable(files: Mapping[str, bytes], root: Path) -> None:
    """Audit the evidence before a manifest names it for good. LogError for a check that fails.

    That custodians disagree, or say nothing, is no failure of the evidence: it is published as it is.
    """
    todo = f"Nothing was published. Put it right in {root}, and publish again"
    try:
        check_commitments(Dossier(files))
    except (LogError, ConfigError) as error:
        raise LogError(AGREEMENT, error.what, todo) from None
    for name, verdict in audit(files, Beliefs(now=0)).items():
        if verdict.outcome is Outcome.FAIL and name != AGREEMENT:
            raise LogError(name, verdict.why, todo)


def _more(root: Path) -> Iterator[str]:
    for directory in (TESTIMONIES, TOKENS, ATTESTATIONS):
        for path in sorted((root / directory).rglob("*")):
            unsigned = directory == TESTIMONIES and path.suffix == ".json" and not _is_signed(path)
            was_cut_short = path.name.startswith(".")  # a write that a crash ended (`durable.replace_file`)
            if path.is_file() and not unsigned and not was_cut_short:
                yield path.relative_to(root).as_posix()


def _is_signed(testimony: Path) -> bool:
    """A testimony that was written and never signed is nobody's word, and no evidence."""
    return testimony.name.endswith(".dsse.json") or testimony.with_name(f"{testimony.name}.sig").exists()


def _clear(plan: FleetPlan) -> None:
    """Remove the files that an interrupted run may have written; a token's PIN, store and keys are none of them."""
    root = plan.root
    replicas = [ReplicaFiles(root=root, number=number) for number in range(1, len(plan.ports) // 2 + 1)]
    own = [path for files in replicas for path in (files.manifest, files.settings)]
    for path in (root / ROOT_OF_TRUST, root / "relay.toml", root / "client.toml", *own):
        path.unlink(missing_ok=True)


def _steps(plan: Plan) -> list[str]:
    return ["fleet-keys", *(f"keys-{token.replica}" for token in plan.tokens)]


def _replica(number: int, keys: Mapping[str, Any]) -> Replica:
    return Replica(
        replica=ReplicaId(number),
        incarnation=1,
        identity_public=bytes.fromhex(keys["identity_public"]),
        link_public=bytes.fromhex(keys["link_public"]),
    )
