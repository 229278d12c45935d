"""An audit of whole deployments: what an honest one passes, and what is NOT-PROVEN of one that went less well."""

from __future__ import annotations

from dataclasses import dataclass, replace

from cryptography.hazmat.primitives.asymmetric import ec

from hsm_app.ceremony.catalogue import script_of
from hsm_app.ceremony.example import NAMES, example_plan
from hsm_app.ceremony.plan import parse_plan
from hsm_app.evidence.audit import audit
from hsm_app.evidence.audit_people import fits
from hsm_app.evidence.beliefs import Beliefs
from hsm_app.evidence.checks import CHECKS
from hsm_app.evidence.dossier import BUNDLE, FLEET, MANIFEST
from hsm_app.evidence.verdict import Outcome, Verdicts, overall
from hsm_app.fleet.manifest_json import parse_fleet
from hsm_app.fleet.root_of_trust import Role
from tests.ceremony.room import REASON
from tests.evidence import device
from tests.evidence.deployment import Deployment, Files
from tests.evidence.replacement import CLOCK, OBJECTION
from tests.evidence.tampering import interrupted, leaving_out, retold, saying, without
from tests.fleet import trust
from tests.fleet.example import NOW, private_key

REHEARSED = "it was a rehearsal, on throw-away tokens: nothing of it is for real use"
SELF_ASSERTED = "no device gave an attestation: key custody is self-asserted, on the word of who ran the ceremony"


def failed(verdicts: Verdicts) -> set[str]:
    return {name for name, verdict in verdicts.items() if verdict.outcome is Outcome.FAIL}


def unproven(verdicts: Verdicts) -> dict[str, str]:
    return {name: verdict.why for name, verdict in verdicts.items() if verdict.outcome is Outcome.NOT_PROVEN}


# -- honest deployments


def test_an_honest_deployment_passes_all_that_can_be_proven(deployment: Deployment) -> None:
    verdicts = audit(deployment.files, deployment.beliefs)
    assert list(verdicts) == [check.name for check in CHECKS]
    assert failed(verdicts) == set()
    assert unproven(verdicts) == {"attestation-chain": SELF_ASSERTED, "exceptions": REHEARSED}
    assert verdicts["signatures"].why == "19 files, 5 participants"
    assert verdicts["custodian-threshold"].why == "3 of 3 custodians agree, 2 are needed"
    assert overall(verdicts) is Outcome.NOT_PROVEN


def test_what_was_not_brought_is_not_proven(deployment: Deployment) -> None:
    verdicts = audit(deployment.files, Beliefs(now=NOW))
    assert failed(verdicts) == set()
    assert set(unproven(verdicts)) == {"attestation-chain", "exceptions", "software-digest", "log-inclusion"}
    assert "build the wheel and give it to compare" in verdicts["software-digest"].why
    assert verdicts["log-inclusion"].why == "name the root of trust that you believe"


def test_evidence_from_before_the_keys_were_rotated_is_of_a_former_root_of_trust(deployment: Deployment) -> None:
    """Else an honest fleet whose auditor got a new key would fail for ever, all the way back to its genesis."""
    new = trust.root_of_trust(version=2, auditors=Role(1, (trust.auditor(1).key,)))
    alone = audit(deployment.files, replace(deployment.beliefs, root_of_trust=new))["log-inclusion"]
    assert (alone.outcome, "too few of the auditors" in alone.why) == (Outcome.FAIL, True)
    former = replace(deployment.beliefs, root_of_trust=new, former_roots=(trust.root_of_trust(),))
    verdict = audit(deployment.files, former)["log-inclusion"]
    assert (verdict.outcome, verdict.why) == (Outcome.PASS, f"in the log of {trust.NAMESPACE}, by root of trust 1")


def test_before_it_is_published_manifest_and_log_are_not_proven(deployment: Deployment) -> None:
    verdicts = audit(without(deployment.files, MANIFEST, BUNDLE), deployment.beliefs)
    assert failed(verdicts) == set()
    assert {"manifest", "log-inclusion"} < set(unproven(verdicts))


def test_a_maintained_fleet_is_not_proven_sealed_and_says_what_custodians_can_do(unlucky: Deployment) -> None:
    verdicts = audit(unlucky.files, unlucky.beliefs)
    assert failed(verdicts) == set()
    assert "any 2 of 3 custodians together can add a token" in unproven(verdicts)["sealed"]


def test_an_exception_an_objection_and_a_rehearsal_are_each_named(unlucky: Deployment) -> None:
    why = unproven(audit(unlucky.files, unlucky.beliefs))["exceptions"]
    assert f"step clock: answered 'five minutes slow' to: {CLOCK}" in why
    assert f"({REASON})" in why
    assert f"Cleo (custodian) objects: {OBJECTION}" in why
    assert REHEARSED in why


def test_who_did_not_sign_is_named(unlucky: Deployment) -> None:
    verdicts = audit(unlucky.files, unlucky.beliefs)
    assert unproven(verdicts)["signatures"] == "all signatures that are there hold; Ben did not sign"
    assert verdicts["custodian-threshold"].why == "2 of 3 custodians agree, 2 are needed"


def test_fewer_custodians_than_the_threshold_are_too_few(unlucky: Deployment) -> None:
    files = without(unlucky.files, "testimonies/4.json", "testimonies/4.json.sig")
    verdicts = audit(unlucky.remade(files), unlucky.beliefs)
    assert verdicts["custodian-threshold"].why == "1 of 3 custodians agree, and 2 are needed"
    assert failed(verdicts) == {"custodian-threshold"}


def test_an_exception_that_is_taken_out_of_the_transcript_is_missed_by_who_signed_it(unlucky: Deployment) -> None:
    told = retold(unlucky.files, leaving_out("clock", "exception"))
    verdicts = audit(unlucky.remade(told), unlucky.beliefs)
    assert "testimonies/1.json: Ada testifies about another script or transcript" in verdicts["signatures"].why


def test_an_interruption_is_named(deployment: Deployment) -> None:
    """Nobody signed that there was one, so the participants are left out."""
    told = retold(deployment.files, interrupted)
    silent = without(told, *(path for path in told if path.startswith("testimonies/")))
    assert "the ceremony was interrupted 1 times" in unproven(audit(silent, deployment.beliefs))["exceptions"]


def test_the_answer_that_audit_wants_is_the_one_of_every_script() -> None:
    asked = [
        confirmation
        for name in NAMES
        for step in script_of(parse_plan(example_plan(name).encode())).steps
        for confirmation in step.confirmations
    ]
    assert len(asked) > 80
    for confirmation in asked:
        assert fits(confirmation.asks, confirmation.answer)
        for answer in ("", "no", confirmation.answer[:-1], confirmation.answer[1:], f"{confirmation.answer})"):
            assert not fits(confirmation.asks, answer)


def test_what_evidence_says_cannot_reach_into_a_terminal(unlucky: Deployment) -> None:
    trick = "\x1b[2J\x1b[1;1Hall together PASS\n\u202e\ud800"
    told = retold(unlucky.files, saying("clock", "exception", what=trick))
    silent = without(told, *(path for path in told if path.startswith("testimonies/")))
    why = audit(silent, unlucky.beliefs)["exceptions"].why
    assert "all together PASS" in why
    assert why.isprintable()


# -- attestations: of a device that is none, under a root that the test made


@dataclass(frozen=True)
class Half:
    """The public half of a key in a token, where a certificate's maker wants the whole."""

    public: bytes

    def public_key(self) -> ec.EllipticCurvePublicKey:
        return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), self.public)


def attested(deployment: Deployment, numbers: tuple[int, ...] = (1, 2, 3)) -> Files:
    """The files with an attestation of each token's identity key, and everything made again over them."""
    files = deployment.files
    for replica in parse_fleet(files[FLEET]).groups[0].replicas:
        if replica.replica in numbers:
            key = replace(device.KEY, key=Half(replica.identity_public))  # type: ignore[arg-type]
            files[f"attestations/{replica.replica}/identity.pem"] = device.World(key=key).evidence
    return deployment.remade(files)


def believing(deployment: Deployment) -> Beliefs:
    return replace(deployment.beliefs, attestation_roots=(device.honest().root_pem,))


def test_attested_keys_are_those_of_the_fleet(deployment: Deployment) -> None:
    files = attested(deployment)
    verdicts = audit(files, believing(deployment))
    assert verdicts["attestation-chain"].why == "3 attestations, up to 1 roots"
    assert failed(verdicts) == set()
    assert "name the makers' roots" in unproven(audit(files, deployment.beliefs))["attestation-chain"]


def test_an_attestation_of_one_token_less_is_no_attestation_of_the_fleet(deployment: Deployment) -> None:
    verdicts = audit(attested(deployment, (1, 3)), believing(deployment))
    assert verdicts["attestation-chain"].why == "no attestation is about the identity key of replica 2"


def test_an_attestation_of_some_other_key_is_none(deployment: Deployment) -> None:
    files = {**attested(deployment), "attestations/2/identity.pem": device.honest().evidence}
    verdicts = audit(deployment.remade(files), believing(deployment))
    assert verdicts["attestation-chain"].why == "no attestation is about the identity key of replica 2"


def test_another_makers_root_does_not_do(deployment: Deployment) -> None:
    stranger = replace(device.ROOT, key=private_key(4711))
    beliefs = replace(deployment.beliefs, attestation_roots=(stranger.signed_by(stranger),))
    verdicts = audit(attested(deployment), beliefs)
    assert verdicts["attestation-chain"].why.startswith("attestations/1/identity.pem: ")
    assert "attestation-chain" in failed(verdicts)


def test_a_file_among_attestations_that_is_of_no_replica_is_named(deployment: Deployment) -> None:
    files = {**attested(deployment), "attestations/9/identity.pem": device.honest().evidence}
    verdicts = audit(deployment.remade(files), believing(deployment))
    assert verdicts["attestation-chain"].why == "attestations/9/identity.pem is of nobody and nothing in the plan"
