"""A replaced token's evidence and the evidence before it: what an honest chain passes, and what is found in others.

Covered: the evidence before is missing, another fleet's, in the wrong place or changed; everything that a replacement
has to keep, changed by whoever has the new token, while auditor and log sign what they are given.
Not covered, since no evidence can tell: a token that had the root between two evidences.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from hsm_app.errors import LogError
from hsm_app.evidence.audit import audit_chain
from hsm_app.evidence.audit_successor import check_shares
from hsm_app.evidence.dossier import BUNDLE, CUSTODY, FLEET, MANIFEST, NEEDED, PLAN, SCRIPT, TRANSCRIPT, Dossier
from hsm_app.evidence.statement import REPLACEMENT, STATEMENT, encode_statement, read_envelope, sign_statement
from hsm_app.evidence.verdict import Outcome, Verdicts
from hsm_app.fleet.manifest import FleetState, Group, Manifest, Replica
from hsm_app.fleet.manifest_encoding import encode_manifest
from hsm_app.fleet.manifest_json import parse_fleet, parse_manifest
from hsm_app.fleet.root_of_trust import Role
from tests.cli.command import run
from tests.evidence.deployment import Deployment, Files, with_fleet
from tests.evidence.replacement import Replaced
from tests.evidence.tampering import Document, edited, from_other, put, replicas, retold, saying, without
from tests.fleet import trust
from tests.fleet.example import point
from tests.fuzz.mutator import mutate

RECORD = "tokens/2.json"
NEEDS_THE_ONE_BEFORE = {"key-binding", "custodian-threshold"}
NEVER_PROVEN = {"attestation-chain", "exceptions", "sealed"}  # SoftHSM, a rehearsal, a maintained fleet
MALLORY = trust.operator(99)


def named(verdicts: Verdicts, outcome: Outcome) -> set[str]:
    return {name for name, verdict in verdicts.items() if verdict.outcome is outcome}


# -- an honest replacement


def test_what_can_be_proven_passes_for_both(replaced: Replaced) -> None:
    newest, before = replaced.audit(replaced.files, replaced.old.files)
    assert named(newest, Outcome.FAIL) | named(before, Outcome.FAIL) == set()
    assert named(newest, Outcome.NOT_PROVEN) == NEVER_PROVEN
    assert newest["key-binding"].why == (
        "replica 2 is new; 2 replicas and the fleet's four keys are those of the evidence before"
    )
    assert newest["custodian-threshold"].why == "3 of 3 custodians agree, 2 are needed"
    assert newest["key-attributes"].why.startswith("the new token, three keys; ")
    assert "any 2 of 3 custodians together can add a token" in newest["sealed"].why
    assert parse_manifest(replaced.files[MANIFEST]).epoch == parse_manifest(replaced.old.files[MANIFEST]).epoch + 2


def test_without_the_evidence_before_what_needs_it_is_not_proven(replaced: Replaced) -> None:
    (alone,) = replaced.audit(replaced.files)
    assert named(alone, Outcome.FAIL) == set()
    assert named(alone, Outcome.NOT_PROVEN) == NEVER_PROVEN | NEEDS_THE_ONE_BEFORE
    for check in NEEDS_THE_ONE_BEFORE:
        digest = read_envelope(replaced.old.files[STATEMENT]).digest.hex()
        assert alone[check].why == f"give the evidence before it too (--before); its statement has SHA-256 {digest}"


def test_the_genesis_alone_is_what_it_was(replaced: Replaced) -> None:
    """Its statement has no member more, so who audited it before can do so again."""
    statement = json.loads(read_envelope(replaced.old.files[STATEMENT]).raw)
    assert statement["predicateType"] == "urn:hsm-vault:fleet-deployment:v1"
    assert set(statement["predicate"]) == {"fleet", "ceremony", "assurance"}
    assert json.loads(read_envelope(replaced.files[STATEMENT]).raw)["predicateType"] == REPLACEMENT


def test_what_was_made_again_from_the_same_files_is_found_by_nobody(replaced: Replaced) -> None:
    """So the tables below see what was changed, and not that something was made again."""
    again = replaced.remade(replaced.files)
    assert again[STATEMENT] != replaced.files[STATEMENT]
    assert named(replaced.audit(again, replaced.old.files)[0], Outcome.FAIL) == set()


def test_the_command_prints_every_verdict_of_every_evidence(replaced: Replaced) -> None:
    done = run("audit", replaced.evidence, "--before", replaced.old.evidence, "--json")
    told = json.loads(done.stdout)
    assert (done.exit_code, told["outcome"], told["evidence"]) == (11, "NOT-PROVEN", str(replaced.evidence))
    assert [each["evidence"] for each in told["before"]] == [str(replaced.old.evidence)]
    assert [len(each["checks"]) for each in (told, *told["before"])] == [12, 12]
    text = run("audit", replaced.evidence, "--before", replaced.old.evidence).stdout
    assert text.startswith(f"{replaced.evidence}\n")
    assert f"\nbefore it: {replaced.old.evidence}\n" in text
    assert [text.count(line) for line in ("key-binding ", "this evidence ", "all together ")] == [2, 2, 1]


def test_the_command_fails_when_only_the_evidence_before_does(replaced: Replaced, tmp_path: Path) -> None:
    for path, content in put(replaced.old.files, "tokens/3.json", b"fleet-root", b"fleet-toor").items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_bytes(content)
    done = run("audit", replaced.evidence, "--before", tmp_path, "--json")
    told = json.loads(done.stdout)
    assert (done.exit_code, told["outcome"]) == (10, "FAIL")
    assert {each["outcome"] for each in told["checks"]} == {"PASS", "NOT-PROVEN"}


# -- evidence that was given in the wrong place

Files_ = Mapping[str, bytes]
Chain = Callable[[Replaced, Deployment], list[Files_]]
ANOTHER = "the evidence that was given as the one before is another"
BEGINS = "a fleet begins with this evidence: give none before it, and the newest first"
CHAINS: dict[str, tuple[Chain, int, dict[str, str]]] = {  # the chain, and which of it fails with which words
    "the evidence before is another fleet's": (
        lambda r, other: [r.files, other.files],
        0,
        {"signatures": ANOTHER, "key-binding": ANOTHER, "custodian-threshold": ANOTHER},
    ),
    "the older one is given first": (lambda r, _: [r.old.files, r.files], 0, {"signatures": BEGINS}),
    "one too many": (lambda r, other: [r.files, r.old.files, other.files], 1, {"signatures": BEGINS}),
    "the newer one twice": (lambda r, _: [r.files, r.files, r.old.files], 0, {"signatures": ANOTHER}),
    "the older one twice": (lambda r, _: [r.files, r.old.files, r.old.files], 1, {"signatures": BEGINS}),
    "the evidence before was made again": (
        lambda r, _: [r.files, r.old.remade(r.old.files)],
        0,
        {"signatures": ANOTHER, "key-binding": ANOTHER},
    ),
    "the evidence before has no statement": (
        lambda r, _: [r.files, without(r.old.files, STATEMENT)],
        0,
        {"signatures": "statement.dsse.json is missing", "key-binding": "statement.dsse.json is missing"},
    ),
    "the evidence before has no commitments": (
        lambda r, _: [r.files, without(r.old.files, CUSTODY)],
        0,
        {"custodian-threshold": "custody.json is missing"},
    ),
}


@pytest.mark.parametrize("name", CHAINS)
def test_found_when_given(replaced: Replaced, deployment: Deployment, name: str) -> None:
    chain, which, expected = CHAINS[name]
    verdicts = replaced.audit(*chain(replaced, deployment))[which]
    for check, words in expected.items():
        assert (verdicts[check].outcome, words in verdicts[check].why) == (Outcome.FAIL, True), verdicts[check].why


def test_other_replicas_before_are_found(replaced: Replaced) -> None:
    before = replicas(replaced.old.files, lambda found: found.pop())
    verdict = replaced.audit(replaced.files, before)[0]["key-binding"]
    assert verdict.outcome is Outcome.FAIL
    assert verdict.why == "fleet.json: it has another name or other replicas than in the evidence before"


@pytest.mark.parametrize("path", [*NEEDED, RECORD, STATEMENT])
def test_a_file_is_named_that_is_missing(replaced: Replaced, path: str) -> None:
    verdicts = replaced.audit(without(replaced.files, path), replaced.old.files)[0]
    assert f"{path} is missing" in verdicts["signatures"].why
    assert verdicts["signatures"].outcome is Outcome.FAIL


# -- everything made again over what was changed, as an operator could: the new token signs it


def in_fleet(name: str, value: object) -> Callable[[Replaced], Files]:
    return lambda r: edited(r.files, FLEET, lambda fleet: fleet.update({name: value}))


def of_replica(number: int, **changes: object) -> Callable[[Replaced], Files]:
    return lambda r: replicas(r.files, lambda found: found[number - 1].update(changes))


def told(step: str, **body: object) -> Callable[[Replaced], Files]:
    return lambda r: retold(r.files, saying(step, "done", **body))


def incarnation(number: int) -> Callable[[Replaced], Files]:
    """Fleet and transcript agree on another incarnation."""

    def change(replaced: Replaced) -> Files:
        files = retold(of_replica(2, incarnation=number)(replaced), saying("member", "done", incarnation=number))
        return retold(files, saying("set-aside", "done", incarnation=number - 1))

    return change


def with_known_key(replaced: Replaced) -> Files:
    """The new token is said to have the link key of the old one, by fleet, record and transcript."""
    key = parse_fleet(replaced.old.files[FLEET]).groups[0].find(2).link_public.hex()
    files = of_replica(2, link_public=key)(replaced)
    files = edited(files, RECORD, lambda record: record["public_keys"].update({"replica-link": key}))
    files = retold(files, saying("keys-2", "done", link_public=key))
    return retold(files, saying("inventory-2", "done", record_sha256=Dossier(files).sha256(RECORD)))


def other_commitment(document: Document) -> None:
    document["shares"][0]["sha256"] = "00" * 32


def of_another_replica(replaced: Replaced) -> Files:
    """Script and transcript of replica 2, called the replacement of replica 3."""
    files = put(replaced.files, PLAN, b"replica = 2", b"replica = 3")
    return retold(files, saying("", "begin", plan_sha256=Dossier(files).sha256(PLAN)))


def of_another_ceremony(replaced: Replaced) -> Files:
    files = put(replaced.files, PLAN, b"replica = 2", b"")
    files = put(files, PLAN, b"replace-token", b"destroy-fleet")
    plan_sha256 = Dossier(files).sha256(PLAN)
    return retold(files, saying("", "begin", plan_sha256=plan_sha256, ceremony="destroy-fleet"))


Tampering = tuple[Callable[[Replaced], Files], dict[str, str]]
MADE_AGAIN: dict[str, Tampering] = {
    "another member's identity key is another": (
        of_replica(3, identity_public=point(5).hex()),
        {"key-binding": "fleet.json: the keys of replica 3 are not those of the evidence before"},
    ),
    "another member's link key is another": (
        of_replica(1, link_public=point(5).hex()),
        {"key-binding": "fleet.json: the keys of replica 1 are not those of the evidence before"},
    ),
    "the new member's link key is from elsewhere": (
        of_replica(2, link_public=point(5).hex()),
        {"key-binding": "the keys of replica 2 in fleet.json are not those that the ceremony made"},
    ),
    "the new member has a key that the old one had": (
        with_known_key,
        {"key-binding": "replica 2 has a key that the evidence before knows already"},
    ),
    "the new member is left out": (
        lambda r: replicas(r.files, lambda found: found.pop(1)),
        {"key-binding": "fleet.json has other replicas than the plan", "key-attributes": "has no replica 2"},
    ),
    "another member is left out": (
        lambda r: replicas(r.files, lambda found: found.pop(2)),
        {"key-binding": "fleet.json has other replicas than the plan"},
    ),
    "the fleet does not say that the incarnation is the next": (
        of_replica(2, incarnation=1),
        {"key-binding": "incarnation 1 of replica 2 in fleet.json is not the ceremony's"},
    ),
    "the incarnation was not raised, and the transcript says so": (
        incarnation(1),
        {"key-binding": "replica 2 was incarnation 1, and cannot be this one"},
    ),
    "the session key is another": (in_fleet("kem_public", point(5).hex()), {"key-binding": "changes kem_public"}),
    "the OPAQUE key is another": (in_fleet("opaque_public", point(5).hex()), {"key-binding": "changes opaque_public"}),
    "the check of the seal is another": (in_fleet("seal_check", "00" * 32), {"key-binding": "changes seal_check"}),
    "the check of the codes is another": (in_fleet("id_check", "00" * 32), {"key-binding": "changes id_check"}),
    "the costs are others": (
        lambda r: edited(r.files, FLEET, lambda fleet: fleet["argon2"].update(iterations=9)),
        {"key-binding": "changes argon2"},
    ),
    "the fleet calls itself sealed": (
        in_fleet("custody", "sealed"),
        {"key-binding": "fleet.json is of another fleet or custody", "sealed": "tokens/1.json is missing"},
    ),
    "the commitments are others": (
        lambda r: edited(r.files, CUSTODY, other_commitment),
        {"custodian-threshold": "custody.json is not that of the evidence before"},
    ),
    "one custodian gave a share": (
        told("shares", custodians=["Cleo"]),
        {"custodian-threshold": "transcript.jsonl does not show that 2 custodians gave their shares"},
    ),
    "one custodian gave a share twice": (
        told("shares", custodians=["Cleo", "Cleo"]),
        {"custodian-threshold": "transcript.jsonl does not show that 2 custodians gave their shares"},
    ),
    "somebody gave a share who is no custodian": (
        told("shares", custodians=["Cleo", "Dan", "Mallory"]),
        {"custodian-threshold": "transcript.jsonl does not show that 2 custodians gave their shares"},
    ),
    "nobody says who gave shares": (
        told("shares", custodians=None),
        {"custodian-threshold": "transcript.jsonl does not show that 2 custodians gave their shares"},
    ),
    "the tokens answered differently": (
        told("carry-2", same_root=False),
        {"key-binding": "transcript.jsonl does not show that token 2 opens the fleet's keys"},
    ),
    "the new token does not open the fleet's keys": (
        told("check-2", opens=False),
        {"key-binding": "transcript.jsonl does not show that token 2 opens the fleet's keys"},
    ),
    "the root came from the token that was replaced": (
        told("carry-2", **{"from": 2}),
        {"key-binding": "transcript.jsonl does not show that the root came from a replica that stays"},
    ),
    "the ceremony is called another replica's": (
        of_another_replica,
        {"key-binding": "transcript.jsonl has no step keys-3", "key-attributes": "tokens/2.json is of nobody"},
    ),
    "the ceremony is called a destruction": (
        of_another_ceremony,
        {"signatures": "is not the first token's signature", "key-binding": "has no step keys-1"},
    ),
    "the old token's record is there": (
        lambda r: from_other(r.files, r.old.files, RECORD),
        {"key-attributes": "tokens/2.json is not the record", "key-binding": "not those of tokens/2.json"},
    ),
    "the record of a token is there that the ceremony did not make": (
        lambda r: from_other(r.files, r.old.files, "tokens/1.json"),
        {"key-attributes": "tokens/1.json is of nobody and nothing in the plan"},
    ),
    "the transcript is the genesis's": (
        lambda r: from_other(r.files, r.old.files, TRANSCRIPT),
        {"script-digest": "script.md is not the one", "signatures": "testimonies/1.json", "key-binding": FLEET},
    ),
    "plan, script and transcript are the genesis's": (
        lambda r: from_other(r.files, r.old.files, PLAN, SCRIPT, TRANSCRIPT),
        {"signatures": "is not the first token's signature", "key-attributes": "tokens/1.json is missing"},
    ),
    "the testimonies are the genesis's": (
        lambda r: from_other(r.files, r.old.files, *(path for path in r.old.files if path.startswith("testimonies/"))),
        {"signatures": "testimonies/1.json", "custodian-threshold": "testimonies/1.json"},
    ),
}  # fmt: skip


def with_manifest(replaced: Replaced, **changes: object) -> Files:
    entry = parse_manifest(replaced.files[MANIFEST]).fleet(replaced.old.fleet)
    raw = with_fleet(replaced.files[MANIFEST], replace(entry, **changes))  # type: ignore[arg-type]
    return {**replaced.files, MANIFEST: raw, BUNDLE: trust.Log().bundle(trust.entry_of(raw))}


def with_epoch(replaced: Replaced, **changes: object) -> Files:
    """The same fleet, in a manifest of another epoch or namespace."""
    old = parse_manifest(replaced.files[MANIFEST])
    same = {name: getattr(old, name) for name in ("namespace", "epoch", "previous_sha256", "issued_at", "not_before",
                                                  "not_after", "fleets")}  # fmt: skip
    return {**replaced.files, MANIFEST: encode_manifest(**{**same, **changes})}  # type: ignore[arg-type]


def mallorys(replaced: Replaced) -> Files:
    """Mallory's key is in the new member's place, and signs transcript and statement."""
    key = MALLORY.key.public.hex()
    return replaced.remade(of_replica(2, identity_public=key)(replaced), MALLORY)


BY_OTHER_MEANS: dict[str, Tampering] = {
    "Mallory's key is in the new member's place and signs everything": (
        mallorys,
        {"key-binding": "the keys of replica 2 in fleet.json are not those that the ceremony made"},
    ),
    "the first token signs everything, which stays": (
        lambda r: r.remade(r.files, r.old.first_token),
        {"signatures": "transcript.sig is not the new token's signature of transcript.jsonl"},
    ),
    "the statement names another before it": (
        lambda r: r.remade(r.files, previous=bytes(32)),
        {"signatures": ANOTHER, "key-binding": ANOTHER, "custodian-threshold": ANOTHER},
    ),
    "the statement names none before it": (
        lambda r: r.remade(r.files, previous=None),
        {"signatures": "statement.dsse.json names the statement before it where a token was replaced, and only there"},
    ),
    "the statement calls itself a genesis": (
        lambda r: r.remade(r.files, words={"ceremony": "genesis"}),
        {"signatures": "statement.dsse.json is of fleet fleet-1, genesis"},
    ),
    "the manifest names the evidence before": (
        lambda r: with_manifest(r, evidence_sha256=read_envelope(r.old.files[STATEMENT]).digest),
        {"manifest": "manifest.json names another statement"},
    ),
    "the manifest is the one from before": (
        lambda r: from_other(r.files, r.old.files, MANIFEST, BUNDLE),
        {"manifest": "manifest.json names another statement"},
    ),
    "the manifest is of the epoch of the one before": (
        lambda r: with_epoch(r, epoch=1, previous_sha256=None),
        {"manifest": "manifest.json is not later than that of the evidence before"},
    ),
    "the manifest is of another namespace": (
        lambda r: with_epoch(r, namespace="another"),
        {"manifest": "or of another namespace"},
    ),
    "a file is added that nobody signed": (
        lambda r: {**r.files, "tokens/3.json": r.old.files["tokens/3.json"]},
        {"signatures": "tokens/3.json is not named by", "key-attributes": "tokens/3.json is of nobody"},
    ),
}  # fmt: skip


def holds(replaced: Replaced, files: Files, expected: dict[str, str]) -> None:
    assert files != replaced.files, "nothing was changed"
    verdicts = replaced.audit(files, replaced.old.files)[0]
    for check, words in expected.items():
        assert (verdicts[check].outcome, words in verdicts[check].why) == (Outcome.FAIL, True), verdicts[check].why


@pytest.mark.parametrize("name", MADE_AGAIN)
def test_found_and_named_although_everything_was_made_again(replaced: Replaced, name: str) -> None:
    change, expected = MADE_AGAIN[name]
    identity = name.startswith("the new member is left out")  # nothing is left that could have signed
    holds(replaced, change(replaced) if identity else replaced.remade(change(replaced)), expected)


@pytest.mark.parametrize("name", BY_OTHER_MEANS)
def test_found_and_named_when(replaced: Replaced, name: str) -> None:
    change, expected = BY_OTHER_MEANS[name]
    holds(replaced, change(replaced), expected)


def later(files: Files, **changes: object) -> Manifest:
    """The manifest of the next epoch after this evidence's, with a changed fleet."""
    own = parse_manifest(files[MANIFEST])
    raw = encode_manifest(
        namespace=own.namespace, epoch=own.epoch + 1, previous_sha256=own.digest, issued_at=own.issued_at,
        not_before=own.not_before, not_after=own.not_after,
        fleets=(replace(own.fleets[0], **changes),),  # type: ignore[arg-type]
    )  # fmt: skip
    return parse_manifest(raw)


def with_members(files: Files, *members: Replica) -> tuple[Group, ...]:
    return (replace(parse_manifest(files[MANIFEST]).fleets[0].groups[0], replicas=members),)


def test_the_newest_evidence_is_held_against_the_manifest_that_a_client_believes(replaced: Replaced) -> None:
    """Nothing in the evidence changes when an operator brings in a member without any, and goes on showing it."""
    files, old = replaced.files, replaced.old.files
    one, two, three = parse_manifest(files[MANIFEST]).fleets[0].groups[0].replicas
    strange = replace(three, incarnation=2, identity_public=point(5))
    cases: list[tuple[list[Files], Manifest, str]] = [
        ([files, old], parse_manifest(files[MANIFEST]), ""),
        ([files, old], later(files, state=FleetState.RECOVER_ONLY), ""),
        ([files, old], later(files, groups=with_members(files, one, two)), ""),
        ([files, old], later(files, groups=with_members(files, one, two, replace(three, incarnation=2))), ""),
        ([old], parse_manifest(files[MANIFEST]), "it names other evidence: this is not the newest"),
        ([files, old], later(files, groups=with_members(files, one, two, strange)), "lists keys of replica 3 that are"),
        (
            [files, old],
            later(files, groups=with_members(files, one, replace(two, incarnation=1), three)),
            "before that",
        ),
        ([files, old], later(files, opaque_public=point(5)), "changes opaque_public"),
        ([files, old], parse_manifest(old[MANIFEST]), "is earlier than this evidence"),
        ([old], changed_window(old), "is another one of epoch 1"),
    ]
    for chain, believed, words in cases:
        verdicts = audit_chain(chain, replace(replaced.old.beliefs, manifest=believed))
        assert (verdicts[0]["manifest"].outcome is Outcome.FAIL, words in verdicts[0]["manifest"].why) == (
            words != "",
            True,
        ), verdicts[0]["manifest"].why
        assert all(each["manifest"].outcome is Outcome.PASS for each in verdicts[1:])


def test_an_incarnation_that_no_evidence_and_no_manifest_at_hand_shows_is_not_proven(replaced: Replaced) -> None:
    """Replica 3 was another token's for a while, perhaps, before it came back with the keys that it had."""
    files, old = replaced.files, replaced.old.files
    one, two, three = parse_manifest(files[MANIFEST]).fleets[0].groups[0].replicas
    believed = later(files, groups=with_members(files, one, two, replace(three, incarnation=3)))
    verdict = audit_chain([files, old], replace(replaced.old.beliefs, manifest=believed))[0]["manifest"]
    assert verdict.outcome is Outcome.NOT_PROVEN
    assert "replica 3 went from incarnation 1 to 3" in verdict.why


def changed_window(files: Files) -> Manifest:
    own = parse_manifest(files[MANIFEST])
    raw = encode_manifest(
        namespace=own.namespace, epoch=own.epoch, previous_sha256=None, issued_at=own.issued_at,
        not_before=own.not_before, not_after=own.not_after + 1, fleets=own.fleets,
    )  # fmt: skip
    return parse_manifest(raw)


def test_old_evidence_fails_beside_the_manifest_that_a_client_believes(replaced: Replaced, tmp_path: Path) -> None:
    """Its own proof holds all the same, under the root of trust of its day."""
    for version, auditor in ((1, 0), (2, 1)):
        raw = trust.root_of_trust(version=version, auditors=Role(1, (trust.auditor(auditor).key,))).raw
        (tmp_path / f"{version}.json").write_bytes(raw)
    roots = ("--root-of-trust", tmp_path / "2.json", "--root-of-trust", tmp_path / "1.json")
    done = run("audit", replaced.old.evidence, "--manifest", replaced.evidence / MANIFEST, *roots, "--json")
    why = {each["check"]: each["why"] for each in json.loads(done.stdout)["checks"]}
    assert done.exit_code == 10
    assert why["log-inclusion"].endswith("by root of trust 1")
    assert why["manifest"] == "the manifest that you believe: it names other evidence: this is not the newest"


def test_a_genesis_that_names_a_statement_before_it_is_found(replaced: Replaced) -> None:
    files = {path: content for path, content in replaced.old.files.items() if path not in (MANIFEST, BUNDLE)}
    subject = without(files, STATEMENT)
    statement = encode_statement(
        fleet=replaced.old.fleet, ceremony="genesis", assurance="self-asserted", files=subject, previous=bytes(32)
    )
    files[STATEMENT] = sign_statement(statement, replaced.old.first_token)
    verdict = replaced.audit(files)[0]["signatures"]
    assert verdict.outcome is Outcome.FAIL
    assert "where a token was replaced, and only there" in verdict.why


def test_a_replacement_may_go_on_from_another_one(replaced: Replaced) -> None:
    """The statement and the custodians do; the token of the first cannot be the one of the second, too."""
    again = replaced.remade(replaced.files, previous=read_envelope(replaced.files[STATEMENT]).digest)
    newest, middle, _ = replaced.audit(again, replaced.files, replaced.old.files)
    assert [newest[check].outcome for check in ("signatures", "custodian-threshold")] == [Outcome.PASS] * 2
    assert newest["key-binding"].why.endswith("replica 2 has a key that the evidence before knows already")
    assert named(middle, Outcome.FAIL) == set()


def test_bytes_that_change_anywhere_are_found(replaced: Replaced) -> None:
    """Seeded. In the evidence before only a FAIL of its own is sure: not every file of it is needed here."""
    random = Random("replaced")
    paths = sorted(set(replaced.files) - {STATEMENT, BUNDLE})
    for round_ in range(80):
        path, which = random.choice(paths), random.randrange(2)
        chain = [replaced.files, replaced.old.files]
        content = bytearray(chain[which].get(path, b"what was not there"))
        mutate(content, random, list(replaced.files.values())[:3])
        if chain[which].get(path) == bytes(content):
            continue
        chain[which] = {**chain[which], path: bytes(content)}
        found = [one.why for one in replaced.audit(*chain)[which].values() if one.outcome is Outcome.FAIL]
        assert any(path in why for why in found), f"round {round_}: {path} of {which}"


# -- what the evidence cannot tell


def test_an_incarnation_that_nobody_can_tell_of_is_named(replaced: Replaced) -> None:
    """It may have been the same token with an empty store; or another token had the root for a while."""
    verdict = replaced.audit(replaced.remade(incarnation(3)(replaced)), replaced.old.files)[0]["key-binding"]
    assert verdict.outcome is Outcome.NOT_PROVEN
    assert verdict.why.startswith("replica 2 went from incarnation 1 to 3: no evidence here shows")


def test_another_replica_may_have_come_back_once_with_the_token_it_had(replaced: Replaced) -> None:
    for number, outcome in ((2, Outcome.PASS), (3, Outcome.NOT_PROVEN)):
        files = replaced.remade(of_replica(3, incarnation=number)(replaced))
        assert replaced.audit(files, replaced.old.files)[0]["key-binding"].outcome is outcome


def test_nothing_is_the_name_of_no_custodian(replaced: Replaced) -> None:
    """Whatever a language calls it: a list of those who gave shares has names, or proves nothing."""
    files = put(replaced.files, PLAN, b'"Cleo"', b'"None"')
    check_shares(Dossier(retold(files, saying("shares", "done", custodians=["None", "Dan"]))))
    with pytest.raises(LogError, match="2 custodians gave their shares"):
        check_shares(Dossier(retold(files, saying("shares", "done", custodians=[None, "Dan"]))))


def test_custodians_who_sign_with_other_keys_than_before_are_not_counted_as_the_same(replaced: Replaced) -> None:
    keys = [person.key.encode() for person in Dossier(replaced.files).plan.custodians]
    before = replaced.old.files
    for key in keys[:2]:
        before = put(before, PLAN, key, f"Ed25519:{keys.index(key) + 1:064x}".encode())
    verdict = replaced.audit(replaced.files, before)[0]["custodian-threshold"]
    assert verdict.outcome is Outcome.NOT_PROVEN
    assert verdict.why.startswith("3 custodians agree, and 1 of them with the key of the evidence before")
