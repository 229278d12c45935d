"""The checks of what the ceremony made: tokens, keys, software, attestations, manifest, log."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace

from hsm_app.errors import LogError
from hsm_app.evidence.attestation.reader import AttestedKey
from hsm_app.evidence.attestation.yubihsm import YubiHsmReader
from hsm_app.evidence.audit_believed import check_believed
from hsm_app.evidence.audit_successor import check_fleet_goes_on, check_manifest_goes_on
from hsm_app.evidence.beliefs import Beliefs, NotProven
from hsm_app.evidence.dossier import BUNDLE, FLEET, MANIFEST, SOFTWARE, TRANSCRIPT, Dossier, naming
from hsm_app.evidence.software import files_digest
from hsm_app.evidence.token_record import KEYS, check_objects
from hsm_app.fleet.bundle import LoggedBundle, verify_logged
from hsm_app.fleet.manifest import AssuranceLevel, Custody, Replica
from hsm_app.fleet.manifest_json import parse_manifest
from hsm_app.fleet.root_of_trust import RootOfTrust

COMMITMENTS = ("kem_public", "opaque_public", "seal_check", "id_check")
READERS = (YubiHsmReader(),)


def key_attributes(dossier: Dossier, _: Beliefs) -> str:
    """Each token that the ceremony made has its record, with the objects of a finished replica only."""
    sealed = dossier.fleet.custody is Custody.SEALED
    paths = {replica.replica: f"tokens/{replica.replica}.json" for replica in dossier.made}
    dossier.only("tokens", paths.values())
    for number, path in paths.items():
        record = dossier.token(number)
        with naming(path):
            check_objects(record, sealed=sealed)
        if dossier.done(f"inventory-{number}").get("record_sha256") != dossier.sha256(path):
            raise LogError("key-attributes", f"{path} is not the record that the ceremony made")
    if dossier.is_replacement:
        return "the new token, three keys; the records of the others are in the evidence before"
    return f"{len(paths)} tokens, three keys each"


def key_binding(dossier: Dossier, _: Beliefs) -> str:
    """The fleet's public keys and check values are those of the transcript and of the tokens' records.

    Where a token was replaced, all but its own are those of the evidence before.
    """
    check, fleet = "key-binding", dossier.fleet
    if (fleet.fleet, fleet.custody) != (dossier.plan.fleet, dossier.plan.custody):
        raise LogError(check, f"{FLEET} is of another fleet or custody than the plan")
    planned = sorted((*dossier.plan.lost, *(token.replica for token in dossier.plan.tokens)))
    if [replica.replica for replica in dossier.replicas] != planned:
        raise LogError(check, f"{FLEET} has other replicas than the plan has tokens")
    for replica in dossier.made:
        _check_made(dossier, replica)
    if dossier.is_replacement:
        return check_fleet_goes_on(dossier)
    made = dossier.done("fleet-keys")
    for name in COMMITMENTS:
        if made.get(name) != getattr(fleet, name).hex():
            raise LogError(check, f"{name} in {FLEET} is not the one that the ceremony made")
    return f"{len(dossier.replicas)} replicas and the fleet's four keys"


def _check_made(dossier: Dossier, replica: Replica) -> None:
    """A replica's keys are those that the ceremony made in its token."""
    check, number = "key-binding", replica.replica
    keys = dict(zip(KEYS, (replica.identity_public, replica.link_public), strict=True))
    made = dossier.done(f"keys-{number}")
    if made != {"identity_public": keys[KEYS[0]].hex(), "link_public": keys[KEYS[1]].hex()}:
        raise LogError(check, f"the keys of replica {number} in {FLEET} are not those that the ceremony made")
    if dossier.token(number).public_keys != keys:
        raise LogError(check, f"the keys of replica {number} are not those of tokens/{number}.json")
    _check_root(dossier, number)


def _check_root(dossier: Dossier, replica: int) -> None:
    """The ceremony showed that each token has the one root, and opens the fleet's keys with it."""
    carried, opened = dossier.done(f"carry-{replica}"), dossier.done(f"check-{replica}")
    if carried.get("same_root") is not True or opened.get("opens") is not True:
        raise LogError("key-binding", f"{TRANSCRIPT} does not show that token {replica} opens the fleet's keys")


def software_digest(dossier: Dossier, beliefs: Beliefs) -> str:
    """software.json is the one that the transcript begins with, and says what the wheel holds."""
    check, software = "software-digest", dossier.software
    if dossier.begin.get("software_sha256") != dossier.sha256(SOFTWARE):
        raise LogError(check, f"{SOFTWARE} is not the one that the transcript begins with")
    digest = files_digest(software.files).hex()
    if beliefs.wheel is None:
        raise NotProven(f"the record says {software.version}, files {digest}; build the wheel and give it to compare")
    if beliefs.wheel != software.files:
        differing = sorted(set(beliefs.wheel.items()) ^ set(software.files.items()))
        raise LogError(check, f"the wheel and the program that ran differ, first in {differing[0][0]}")
    return f"version {software.version}, files {digest}"


def attestation_chain(dossier: Dossier, beliefs: Beliefs) -> str:
    """Each replica's identity is attested by its device's maker. NotProven when there is nothing to look at."""
    check = "attestation-chain"
    found = {path: content for path, content in dossier.files.items() if path.startswith("attestations/")}
    if not found:
        if dossier.fleet.assurance.key_custody is AssuranceLevel.VENDOR_ROOTED:
            raise LogError(check, f"{FLEET} claims that makers vouch for its keys, and there is no attestation")
        raise NotProven(
            "no device gave an attestation: key custody is self-asserted, on the word of who ran the ceremony"
        )
    if not beliefs.attestation_roots:
        raise NotProven(f"{len(found)} attestations are there; name the makers' roots that you believe")
    own = {replica.replica: f"attestations/{replica.replica}/" for replica in dossier.made}
    dossier.only("attestations", (path for path in found if path.startswith(tuple(own.values()))))
    for replica in dossier.made:
        paths = [path for path in found if path.startswith(own[replica.replica])]
        attested = {_attested(path, found[path], beliefs).public for path in paths}
        if replica.identity_public not in attested:
            raise LogError(check, f"no attestation is about the identity key of replica {replica.replica}")
    return f"{len(found)} attestations, up to {len(beliefs.attestation_roots)} roots"


def _attested(path: str, content: bytes, beliefs: Beliefs) -> AttestedKey:
    """Return what is attested under any of the roots; the last refusal when none fits."""
    refusal = LogError("attestation-chain", "there is no root to compare with")
    for root in beliefs.attestation_roots:
        for reader in READERS:
            try:
                return reader.read(content, root, beliefs.now)
            except LogError as error:
                refusal = error
    with naming(path):
        raise refusal


def sealed(dossier: Dossier, _: Beliefs) -> str:
    """Every root stays, and every token refused the custodians' PIN, by record and transcript."""
    if dossier.fleet.custody is not Custody.SEALED:
        raise NotProven(
            f"the fleet is maintained: any {dossier.plan.threshold} of {len(dossier.plan.custodians)} custodians "
            "together can add a token, and can therefore do anything with the fleet's keys"
        )
    for replica in dossier.replicas:
        number = replica.replica
        if dossier.token(number).role("fleet-root").get("CKA_EXTRACTABLE") is not False:
            raise LogError("sealed", f"tokens/{number}.json: the root is extractable")
        shown = dossier.done(f"seal-{number}")
        said = all(isinstance(each, bool) for each in shown.values())  # in Python 1 == True, and a number says nothing
        if not said or shown != {"officer_refused": True, "root_extractable": False}:
            raise LogError("sealed", f"{TRANSCRIPT} does not show that token {number} was sealed")
    return f"{len(dossier.replicas)} tokens"


def manifest(dossier: Dossier, beliefs: Beliefs) -> str:
    """The manifest's entry of the fleet is fleet.json, and names the statement; so does the believed one."""
    if MANIFEST not in dossier.files:
        raise NotProven(f"{MANIFEST} is not here yet; the operator adds it when the manifest is published")
    published = dossier.read(MANIFEST, parse_manifest)
    with naming(MANIFEST):
        entry = published.fleet(dossier.fleet.fleet)
    if entry.evidence_sha256 != dossier.statement.digest:
        raise LogError("manifest", f"{MANIFEST} names another statement, or none")
    if replace(entry, evidence_sha256=None) != dossier.fleet:
        raise LogError("manifest", f"the entry of the fleet in {MANIFEST} is not {FLEET}")
    check_manifest_goes_on(dossier, published)
    if beliefs.manifest is not None:
        check_believed(dossier, published, beliefs.manifest)
    return f"{published.namespace}, epoch {published.epoch}, SHA-256 {hashlib.sha256(published.raw).hexdigest()}"


def log_inclusion(dossier: Dossier, beliefs: Beliefs) -> str:
    """The bundle proves, under a root of trust, that this very manifest is in the log."""
    if BUNDLE not in dossier.files:
        raise NotProven(f"{BUNDLE} is not here yet; the operator adds it when the manifest is published")
    if beliefs.root_of_trust is None:
        raise NotProven("name the root of trust that you believe")
    with naming(BUNDLE):
        logged, root = _logged(dossier.file(BUNDLE), (beliefs.root_of_trust, *beliefs.former_roots))
    if logged.manifest.raw != dossier.file(MANIFEST):
        raise LogError("log-inclusion", f"{BUNDLE} is of another manifest than {MANIFEST}")
    return f"in the log of {logged.manifest.namespace}, by root of trust {root.version}"


def _logged(bundle: bytes, roots: Sequence[RootOfTrust]) -> tuple[LoggedBundle, RootOfTrust]:
    """Return the bundle, and the root of trust that it holds under; the first one's refusal when there is none."""
    refusals: list[LogError] = []
    for root in roots:
        try:
            return verify_logged(bundle, root), root
        except LogError as error:
            refusals.append(error)
    raise refusals[0]
