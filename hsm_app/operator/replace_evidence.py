"""The evidence of a fresh token, from the ceremony that made it to the epoch that brings it in.

A fleet that names evidence gets no member whose keys stand in none (VAULT-MEMBER-EVIDENCED): the epoch that adds the
replica names the statement about its token, in place of the statement before it, which that one names. A fleet without
evidence, as `fleet create` makes it, goes on without.

`hsm-vault ceremony publish` writes the evidence and leaves a note in the replica's directory that says where. What is
there is looked at anew before the manifest names it, and it gets that manifest, and the log's proof, to be published
with it. From then on it is not changed.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from hsm_app.durable import replace_file
from hsm_app.errors import ConfigError, LogError
from hsm_app.evidence.dossier import BUNDLE, FLEET, MANIFEST, NEEDED
from hsm_app.evidence.statement import STATEMENT, Statement, read_envelope, verify_envelope
from hsm_app.fleet.manifest import Manifest, Replica
from hsm_app.fleet.manifest_json import parse_fleet
from hsm_app.fleet.membership_manifests import with_replica
from hsm_app.fleet.role_keys import KeyAlgorithm, RoleKey
from hsm_app.fleet.strict_json import load_document
from hsm_app.operator.fleet_directory import FleetDirectory
from hsm_app.operator.layout import ReplicaFiles

NOTE = "evidence.json"
SCHEMA = "hsm-vault/replica-evidence/v1"
PATH = re.compile(r"/[^\x00-\x1f\x7f]{0,4000}")
PUBLISH = "Run hsm-vault ceremony publish with the directory of the replace-token ceremony, then this command again"
Say = Callable[[str], None]


def note_evidence(files: ReplicaFiles, evidence: Path) -> None:
    """Leave word in a replica's directory where the evidence of its token is."""
    document = {"schema": SCHEMA, "evidence": str(evidence)}
    replace_file(files.directory / NOTE, json.dumps(document, indent=1).encode() + b"\n")


def evidence_of(directory: FleetDirectory, without: Manifest, group: int, member: Replica) -> bytes | None:
    """Return the SHA-256 of the statement that the epoch with `member` has to name; None for a fleet without evidence.

    `without` is the manifest that does not list it. ConfigError, LogError unless the evidence is there, is whole, is
    signed by the member's token, goes on from the one that the manifest names, and has the fleet as it is going to be.
    """
    fleet = directory.fleet(without)
    if fleet.evidence_sha256 is None:
        return None
    evidence = _noted(ReplicaFiles(root=directory.root, number=member.replica))
    if evidence is None:
        raise ConfigError(
            f"the evidence of the new token of replica {member.replica} is not published, and the fleet names evidence",
            PUBLISH,
        )
    statement = _whole(evidence, member)
    if statement.previous != fleet.evidence_sha256:
        raise ConfigError(f"{evidence} does not go on from the evidence that the manifest names", PUBLISH)
    grown = with_replica(without, fleet.fleet, group, member, issued_at=without.issued_at)
    if replace(directory.fleet(grown), evidence_sha256=None) != parse_fleet((evidence / FLEET).read_bytes()):
        raise ConfigError(f"{evidence / FLEET} is not the fleet as the next manifest lists it", PUBLISH)
    return statement.digest


def complete_evidence(directory: FleetDirectory, manifest: Manifest, say: Say) -> None:
    """Put the manifest of an epoch beside the evidence that it names, and its bundle when it is there already."""
    named = directory.fleet(manifest).evidence_sha256
    for evidence in _directories(directory.root):
        is_named = named is not None and (evidence / STATEMENT).exists() and _read(evidence).digest == named
        if is_named and not (evidence / MANIFEST).exists():
            replace_file(evidence / MANIFEST, manifest.raw)
            say(f"epoch {manifest.epoch} names the evidence in {evidence}, which is complete now; publish it")
    if (bundle := directory.epochs.bundle(manifest.epoch)) is not None:
        prove_evidence(directory, manifest, bundle)


def prove_evidence(directory: FleetDirectory, manifest: Manifest, bundle: bytes) -> None:
    """Put the log's proof of a manifest beside the evidence that was published with it."""
    for evidence in _directories(directory.root):
        beside = evidence / MANIFEST
        if beside.exists() and beside.read_bytes() == manifest.raw:
            replace_file(evidence / BUNDLE, bundle)


def _directories(root: Path) -> Iterator[Path]:
    """Yield where evidence of the fleet below `root` is: of its genesis, and of its replicas' tokens."""
    yield root / "evidence"
    for note in sorted(root.glob(f"replica-*/{NOTE}")):
        yield _read_note(note)


def _noted(files: ReplicaFiles) -> Path | None:
    note = files.directory / NOTE
    return _read_note(note) if note.exists() else None


def _read_note(note: Path) -> Path:
    of = load_document(note.read_bytes(), str(note), 8192).members("schema", "evidence")
    of("schema").one_of({SCHEMA: SCHEMA})
    return Path(of("evidence").text(PATH))


def _whole(evidence: Path, member: Replica) -> Statement:
    """Return the statement, once it is proved to be of the member's token and every file to be the one it names."""
    try:
        envelope = (evidence / STATEMENT).read_bytes()
        statement = verify_envelope(envelope, RoleKey(KeyAlgorithm.ES256, member.identity_public), "new token")
        if missing := [path for path in NEEDED if path not in statement.files]:
            raise LogError("signatures", f"the statement in {evidence} does not name {missing[0]}", PUBLISH)
        for path, digest in statement.files.items():
            if hashlib.sha256((evidence / path).read_bytes()).digest() != digest:
                raise LogError("signatures", f"{evidence / path} is not the file that the statement names", PUBLISH)
    except OSError as error:
        raise ConfigError(f"cannot read the evidence in {evidence}: {error.strerror}", PUBLISH) from error
    return statement


def _read(evidence: Path) -> Statement:
    return read_envelope((evidence / STATEMENT).read_bytes())
