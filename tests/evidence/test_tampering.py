"""The table of tamperings: each is found by a check that names the file.

Covered: each file of the evidence changed, removed, taken from another fleet; one that nobody signed; lines of the
transcript changed, cut, moved and left out; and what an operator can do who holds the first token's key and has auditor
and log sign what they are given: everything made again (`Deployment.remade`) but the participants' signatures. Not
covered, since no evidence can tell: an operator and all participants who lie together, or a program that lies to all.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

import pytest

from hsm_app.evidence.audit import audit
from hsm_app.evidence.dossier import (
    BUNDLE,
    CUSTODY,
    FLEET,
    MANIFEST,
    PLAN,
    SCRIPT,
    SIGNATURE,
    SOFTWARE,
    TRANSCRIPT,
    Dossier,
)
from hsm_app.evidence.participants import encode_testimony
from hsm_app.evidence.software import encode_software, parse_software
from hsm_app.evidence.statement import STATEMENT, encode_statement, read_envelope, sign_statement
from hsm_app.evidence.verdict import Outcome
from hsm_app.fleet.manifest_json import parse_manifest
from tests.evidence import device
from tests.evidence.deployment import Deployment, Files, make_key, ssh_sign, with_fleet
from tests.evidence.tampering import (
    Document,
    answered_otherwise,
    begun_twice,
    done_in_passing,
    edited,
    exchanged,
    from_other,
    interrupted,
    leaving_out,
    lines,
    never_begun,
    paused,
    put,
    replicas,
    retold,
    root_attribute,
    saying,
    without,
)
from tests.fleet import trust
from tests.fleet.example import point
from tests.fuzz.mutator import mutate

ATTESTATION = "attestations/1/identity.pem"
MALLORY = trust.operator(99)  # has a key of the right kind, and no place in the plan
EACH_FILE = [
    PLAN, SCRIPT, TRANSCRIPT, SIGNATURE, CUSTODY, FLEET, SOFTWARE, "tokens/1.json", "tokens/2.json", "tokens/3.json",
    *(f"testimonies/{number}.json{end}" for number in (1, 2, 3, 4) for end in ("", ".sig")), "testimonies/5.dsse.json",
]  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Scene:
    """What whoever tampers has: both fleets' files, the first token, and a place for new keys."""

    made: Deployment
    other: Deployment
    room: Path

    @property
    def files(self) -> Files:
        return self.made.files

    def remade(self, files: Files) -> Files:
        return self.made.remade(files)

    def why(self, files: Files, check: str) -> str:
        """Return the sentence of a check that has to fail."""
        verdict = audit(files, self.made.beliefs)[check]
        assert verdict.outcome is Outcome.FAIL, f"{check}: {verdict.outcome}, {verdict.why}"
        return verdict.why


@pytest.fixture
def scene(deployment: Deployment, other_deployment: Deployment, tmp_path: Path) -> Scene:
    return Scene(made=deployment, other=other_deployment, room=tmp_path)


# -- each file by itself


def test_the_list_of_files_is_the_one_of_the_deployment(deployment: Deployment) -> None:
    assert set(EACH_FILE) | {STATEMENT, MANIFEST, BUNDLE} == set(deployment.files)


@pytest.mark.parametrize("path", EACH_FILE)
def test_a_file_is_named_that_was_changed(scene: Scene, path: str) -> None:
    content = scene.files[path]
    for changed in (content + b"\n", content[:-2] + bytes([content[-2] ^ 1]) + content[-1:], b""):
        assert path in scene.why({**scene.files, path: changed}, "signatures")


@pytest.mark.parametrize("path", EACH_FILE)
def test_a_file_is_named_that_was_removed(scene: Scene, path: str) -> None:
    assert path in scene.why(without(scene.files, path), "signatures")


@pytest.mark.parametrize("path", EACH_FILE)
def test_a_file_is_named_that_is_another_fleets(scene: Scene, path: str) -> None:
    if path == SOFTWARE:  # one program made both
        assert scene.files[path] == scene.other.files[path]
        return
    why = scene.why(from_other(scene.files, scene.other.files, path), "signatures")
    # A fleet's entry has the key that all signatures are looked at with.
    assert {FLEET: SIGNATURE}.get(path, path) in why


@pytest.mark.parametrize("path", EACH_FILE)
def test_a_file_is_named_that_was_removed_before_everything_was_made_again(scene: Scene, path: str) -> None:
    if path in (TRANSCRIPT, SIGNATURE, FLEET):
        return  # nothing can be made again without these, and the signature is
    left = scene.remade(without(scene.files, path))
    verdicts = audit(left, scene.made.beliefs)
    named = [verdict.why for verdict in verdicts.values() if verdict.outcome is not Outcome.PASS]
    if path.startswith("testimonies/5"):  # nothing at all is left of Eve's
        assert "all signatures that are there hold; Eve did not sign" in named
    else:
        assert any(path in why for why in named)


# -- the table

Tampering = tuple[Callable[[Scene], Files], dict[str, str]]  # what is done, and what fails with which words


def renamed(document: Document) -> None:
    document["shares"][0]["custodian"] = "Mallory"


def statement_over(scene: Scene, files: Files, **words: str) -> Files:
    """The first token signs a statement that says something else."""
    said = {"fleet": "fleet-1", "ceremony": "genesis", "assurance": "self-asserted", **words}
    named = {path: content for path, content in files.items() if path not in (STATEMENT, MANIFEST, BUNDLE)}
    return {**scene.files, STATEMENT: sign_statement(encode_statement(files=named, **said), scene.made.first_token)}


def own_testimony(scene: Scene, objection: str | None = None, namespace: str = "hsm-vault-ceremony") -> Files:
    """Dan's testimony, signed with a key that the plan does not name."""
    dossier = Dossier(scene.files)
    file = scene.room / "4.json"
    file.write_bytes(encode_testimony(dossier.plan.people[3], dossier.record, objection))
    make_key(scene.room / "key", "ecdsa")
    signature = ssh_sign(scene.room / "key", file, namespace)
    return {**scene.files, "testimonies/4.json": file.read_bytes(), "testimonies/4.json.sig": signature}


def for_git(scene: Scene) -> Files:
    """The right person signs the right file, for something else."""
    file = scene.room / "4.json"
    file.write_bytes(scene.files["testimonies/4.json"])
    return {**scene.files, "testimonies/4.json.sig": ssh_sign(scene.made.keys / "key-4", file, "git")}


def own_plan(scene: Scene) -> Files:
    """Dan's key in the plan is another one, and that one signs."""
    files = own_testimony(scene)
    dan = Dossier(scene.files).plan.people[3]
    return put(files, PLAN, dan.key.encode(), (scene.room / "key.pub").read_bytes().strip())


def own_fleet(scene: Scene, name: str, value: str) -> Files:
    return edited(scene.files, FLEET, lambda fleet: fleet.update({name: value}))


def mallorys(scene: Scene) -> Files:
    """The first replica is one of Mallory's, and Mallory's key signs transcript and statement."""
    own = replicas(scene.files, lambda found: found[0].update(identity_public=MALLORY.key.public.hex()))
    return scene.made.remade(own, MALLORY)


def with_manifest(scene: Scene, **changes: object) -> Files:
    """A manifest that says something else of the fleet, signed by auditor and operator, in the log."""
    entry = parse_manifest(scene.files[MANIFEST]).fleet("fleet-1")
    raw = with_fleet(scene.files[MANIFEST], replace(entry, **changes))  # type: ignore[arg-type]
    return {**scene.files, MANIFEST: raw, BUNDLE: trust.Log().bundle(trust.entry_of(raw))}


def in_step(files: Files, change: Callable[[list[bytes]], object], mark: bytes) -> Files:
    """Hand over the transcript's lines from the first one on that has a mark."""

    def from_mark(found: list[bytes]) -> None:
        start = next(place for place, line in enumerate(found) if mark in line)
        part = found[start:]
        change(part)
        found[start:] = part

    return lines(files, from_mark)


def moved(part: list[bytes]) -> None:
    part[0], part[1] = part[1], part[0]


def weaker_software(scene: Scene) -> Files:
    software = parse_software(scene.files[SOFTWARE])
    files = {**software.files, "hsm_app/token/carry.py": bytes(32)}
    return {**scene.files, SOFTWARE: encode_software(replace(software, files=files))}


def with_begin(scene: Scene, **body: object) -> Files:
    return retold(scene.files, saying("", "begin", **body))


def both_rewritten(scene: Scene) -> Files:
    """Threshold lowered in the plan, and the transcript begins with the new plan's digest."""
    files = put(scene.files, PLAN, b"threshold = 2", b"threshold = 3")
    return retold(files, saying("", "begin", plan_sha256=Dossier(files).sha256(PLAN)))


def recorded(scene: Scene, files: Files, number: int) -> Files:
    """The transcript too has the digest of a token's other record."""
    digest = Dossier(files).sha256(f"tokens/{number}.json")
    return retold(files, saying(f"inventory-{number}", "done", record_sha256=digest))


def more_objects(role: str) -> Callable[[Document], None]:
    return lambda record: record["objects"].append({"role": role, "attributes": {"CKA_CLASS": "CKO_DATA"}})


def twice_signed(scene: Scene) -> Files:
    """Eve objected with OpenSSH's kind of file, and agreed with the other kind."""
    return {**scene.files, "testimonies/5.json": b"{}", "testimonies/5.json.sig": b""}


def unsigned(files: Files) -> Files:
    """Without what people signed: their signatures would not hold, and every check of them would fail."""
    return without(files, *(path for path in files if path.startswith("testimonies/")))


def with_step_left_out(scene: Scene) -> Files:
    script = scene.files[SCRIPT]
    start, end = script.index(b"## 22."), script.index(b"## 23.")
    return {**scene.files, SCRIPT: script[:start] + script[end:]}


WITHOUT_A_KEY: dict[str, Tampering] = {
    "a line of the transcript is changed": (
        lambda s: put(s.files, TRANSCRIPT, b'"officer_refused":true', b'"officer_refused":null'),
        {"transcript-chain": "transcript.jsonl: line ", "signatures": SIGNATURE},
    ),
    "the transcript is cut after a step": (
        lambda s: lines(s.files, lambda found: found.__delitem__(slice(40, None))),
        {"transcript-chain": "transcript.jsonl has no end", "signatures": SIGNATURE},
    ),
    "the transcript is cut within a line": (
        lambda s: {**s.files, TRANSCRIPT: s.files[TRANSCRIPT][:-20]},
        {"transcript-chain": "transcript.jsonl: the transcript is empty, cut off within a line"},
    ),
    "two lines of the transcript change places": (
        lambda s: in_step(s.files, moved, b'"step":"seal-2"'),
        {"transcript-chain": "transcript.jsonl: line "},
    ),
    "a line of the transcript is left out": (
        lambda s: in_step(s.files, lambda part: part.pop(0), b'"step":"seal-2"'),
        {"transcript-chain": "transcript.jsonl: line "},
    ),
    "a line of the transcript is there twice": (
        lambda s: in_step(s.files, lambda part: part.insert(0, part[0]), b'"step":"seal-2"'),
        {"transcript-chain": "transcript.jsonl: line "},
    ),
    "something follows the transcript's end": (
        lambda s: {**s.files, TRANSCRIPT: s.files[TRANSCRIPT] + s.files[TRANSCRIPT].splitlines(keepends=True)[-1]},
        {"transcript-chain": "transcript.jsonl: line "},
    ),
    "a line is written in another way that means the same": (
        lambda s: in_step(s.files, lambda part: part.__setitem__(0, b" " + part[0]), b'"kind":"end"'),
        {"transcript-chain": "is not in the one encoding that it has"},
    ),
    "a confirmation is left out, and the hashes made again": (
        lambda s: retold(s.files, leaving_out("seal-2", "confirmed")),
        {"signatures": SIGNATURE, "script-digest": "transcript.jsonl has not the answer of the script, step seal-2"},
    ),
    "a file that nobody signed is added": (
        lambda s: {**s.files, "minutes.txt": b"All went well."},
        {"signatures": "minutes.txt is not named by statement.dsse.json: nobody signed it"},
    ),
    "an attestation is added that nobody signed": (
        lambda s: {**s.files, ATTESTATION: device.honest().evidence},
        {"signatures": ATTESTATION},
    ),
    "the statement is signed by a key of no token": (
        lambda s: {**s.files, STATEMENT: sign_statement(read_envelope(s.files[STATEMENT]).raw, MALLORY)},
        {"signatures": "statement.dsse.json: the statement is not signed by the first token's replica-identity"},
    ),
    "the statement is the other fleet's": (
        lambda s: from_other(s.files, s.other.files, STATEMENT),
        {"signatures": STATEMENT, "manifest": "manifest.json names another statement"},
    ),
    "the statement is no envelope": (
        lambda s: {**s.files, STATEMENT: b"{}"},
        {"signatures": STATEMENT, "manifest": STATEMENT},
    ),
    "the statement is missing": (
        lambda s: without(s.files, STATEMENT),
        {"signatures": "statement.dsse.json is missing", "manifest": "statement.dsse.json is missing"},
    ),
    "tokens 1 and 2 change places": (
        lambda s: exchanged(s.files, "tokens/1.json", "tokens/2.json"),
        {"key-attributes": "tokens/1.json is of token 2", "signatures": "tokens/1.json"},
    ),
    "two participants' testimonies change places": (
        lambda s: exchanged(
            exchanged(s.files, "testimonies/1.json", "testimonies/2.json"),
            "testimonies/1.json.sig",
            "testimonies/2.json.sig",
        ),
        {"signatures": "testimonies/1.json", "custodian-threshold": "testimonies/1.json"},
    ),
    "two participants' signatures change places": (
        lambda s: exchanged(s.files, "testimonies/1.json.sig", "testimonies/2.json.sig"),
        {"signatures": "testimonies/1.json"},
    ),
    "the manifest is the other fleet's": (
        lambda s: from_other(s.files, s.other.files, MANIFEST),
        {"manifest": "manifest.json: ", "log-inclusion": "bundle.json is of another manifest"},
    ),
    "the manifest is the same with blanks": (
        lambda s: {**s.files, MANIFEST: s.files[MANIFEST] + b" "},
        {"log-inclusion": "bundle.json is of another manifest than manifest.json"},
    ),
    "the manifest is missing, and the log has one": (
        lambda s: without(s.files, MANIFEST),
        {"log-inclusion": "manifest.json is missing"},
    ),
    "the manifest is no manifest": (lambda s: {**s.files, MANIFEST: b"[]"}, {"manifest": MANIFEST}),
    "the bundle is of the other fleet's manifest": (
        lambda s: from_other(s.files, s.other.files, BUNDLE),
        {"log-inclusion": "bundle.json is of another manifest than manifest.json"},
    ),
    "the bundle is cut": (lambda s: {**s.files, BUNDLE: s.files[BUNDLE][:-40]}, {"log-inclusion": BUNDLE}),
    "the bundle is signed by an auditor whom nobody trusts": (
        lambda s: {
            **s.files,
            BUNDLE: trust.Log().bundle(trust.entry_of(s.files[MANIFEST], signed_by=trust.auditor(9))),
        },
        {"log-inclusion": "bundle.json: too few of the auditors"},
    ),
    "the bundle is counter-signed by an operator whom nobody trusts": (
        lambda s: {
            **s.files,
            BUNDLE: trust.Log().bundle(trust.entry_of(s.files[MANIFEST], countersigned_by=MALLORY)),
        },
        {"log-inclusion": "bundle.json: too few of the operators"},
    ),
    "no witness saw the log": (
        lambda s: {**s.files, BUNDLE: trust.Log().bundle(trust.entry_of(s.files[MANIFEST]), witnesses=())},
        {"log-inclusion": "bundle.json: too few witnesses"},
    ),
}  # fmt: skip

WITH_THE_FIRST_TOKEN: dict[str, Tampering] = {
    "a file is named that is no part of evidence": (
        lambda s: {**s.files, "Testimonies/4.json": s.files["testimonies/4.json"]},
        {"signatures": "Testimonies/4.json is no part of evidence: nobody would look at it"},
    ),
    "a confirmation is left out": (
        lambda s: retold(s.files, leaving_out("seal-2", "confirmed")),
        {
            "signatures": "testimonies/1.json: Ada testifies about another script or transcript",
            "script-digest": "transcript.jsonl has not the answer of the script, step seal-2",
        },
    ),
    "people answered otherwise": (
        lambda s: retold(s.files, saying("seal-2", "confirmed", answer="I think so")),
        {"signatures": "testimonies/1.json", "script-digest": "step seal-2"},
    ),
    "a step that was done is left out": (
        lambda s: retold(s.files, lambda entries: [entry for entry in entries if entry.step != "seal-2"]),
        {
            "script-digest": "the steps that were done in transcript.jsonl are not those of script.md",
            "sealed": "transcript.jsonl has no step seal-2",
            "signatures": "testimonies/1.json",
        },
    ),
    "an interruption is put in": (
        lambda s: retold(s.files, interrupted),
        {"signatures": "testimonies/1.json", "exceptions": "testimonies/1.json"},
    ),
    "another answer than the script's has no sheet": (
        lambda s: unsigned(retold(s.files, answered_otherwise)),
        {"exceptions": "the answer is not the script's, and no exception follows"},
    ),
    "a step is begun twice": (
        lambda s: unsigned(retold(s.files, begun_twice)),
        {"exceptions": "step roll-call is not done, and nothing was resumed"},
    ),
    "two steps are under way at once": (
        lambda s: unsigned(retold(s.files, never_begun)),
        {"exceptions": "is not done, and nothing was resumed"},
    ),
    "a step that was interrupted is done in passing": (
        lambda s: unsigned(retold(s.files, done_in_passing)),
        {"exceptions": "what is done was not under way"},
    ),
    "a record says more of a token's seal than it should": (
        lambda s: retold(s.files, saying("seal-2", "done", by="Mallory")),
        {"sealed": "transcript.jsonl does not show that token 2 was sealed", "signatures": "testimonies/1.json"},
    ),
    "a pause has no end": (
        lambda s: unsigned(retold(s.files, paused)),
        {"exceptions": "after this pause nobody resumed the ceremony"},
    ),
    "a token took the custodians' PIN": (
        lambda s: retold(s.files, saying("seal-2", "done", officer_refused=False)),
        {"sealed": "transcript.jsonl does not show that token 2 was sealed", "signatures": "testimonies/1.json"},
    ),
    "that a token refused the custodians' PIN is said with a number": (
        lambda s: retold(s.files, saying("seal-2", "done", officer_refused=1)),
        {"sealed": "transcript.jsonl does not show that token 2 was sealed", "signatures": "testimonies/1.json"},
    ),
    "a token has another root": (
        lambda s: retold(s.files, saying("carry-3", "done", same_root=False)),
        {"key-binding": "transcript.jsonl does not show that token 3 opens the fleet's keys"},
    ),
    "a token does not open the fleet's keys": (
        lambda s: retold(s.files, saying("check-3", "done", opens=False)),
        {"key-binding": "transcript.jsonl does not show that token 3 opens the fleet's keys"},
    ),
    "the rehearsal is called real": (
        lambda s: with_begin(s, kind="real"),
        {"script-digest": "transcript.jsonl has another kind than plan.toml", "signatures": "testimonies/1.json"},
    ),
    "a dry run is called a ceremony": (
        lambda s: with_begin(s, kind="dry-run"),
        {"transcript-chain": "transcript.jsonl is of a dry-run", "script-digest": PLAN},
    ),
    "the transcript is of no kind at all": (
        lambda s: with_begin(s, kind=[], schema={}),
        {"transcript-chain": "transcript.jsonl is of a []"},
    ),
    "the transcript is of another version": (
        lambda s: with_begin(s, schema="hsm-vault/ceremony-transcript/v2"),
        {"transcript-chain": TRANSCRIPT},
    ),
    "the transcript is the other fleet's": (
        lambda s: from_other(s.files, s.other.files, TRANSCRIPT),
        {
            "script-digest": SCRIPT,
            "signatures": "testimonies/1.json",
            "key-binding": FLEET,
            "key-attributes": "tokens/1.json",
        },
    ),
    "ceremony and people are the other fleet's": (
        lambda s: from_other(s.files, s.other.files, PLAN, SCRIPT, TRANSCRIPT, CUSTODY, *EACH_FILE[-9:]),
        {"key-binding": "fleet.json is of another fleet", "key-attributes": "tokens/1.json is not the record"},
    ),
    "the plan has another threshold": (
        lambda s: put(s.files, PLAN, b"threshold = 2", b"threshold = 3"),
        {"script-digest": "plan.toml is not the one", "custodian-threshold": CUSTODY},
    ),
    "plan and transcript have another threshold": (
        both_rewritten,
        {"signatures": "testimonies/1.json", "custodian-threshold": CUSTODY},
    ),
    "the plan has another key of a custodian, who signs with it": (
        own_plan,
        {"script-digest": "plan.toml is not the one that the transcript begins with"},
    ),
    "the plan has a key that is none": (
        lambda s: put(s.files, PLAN, b"ssh-ed25519 AAAA", b"ssh-ed25519 AAAB"),
        {"script-digest": PLAN, "signatures": "testimonies/1.json"},
    ),
    "the plan is no TOML": (lambda s: {**s.files, PLAN: b"["}, {"script-digest": PLAN, "signatures": PLAN}),
    "a step is left out of the script": (
        with_step_left_out,
        {"script-digest": "script.md is not the one", "signatures": "testimonies/1.json"},
    ),
    "the script is the other fleet's": (
        lambda s: from_other(s.files, s.other.files, SCRIPT),
        {"script-digest": "script.md is not the one", "signatures": "testimonies/1.json"},
    ),
    "the commitments are the other fleet's": (
        lambda s: from_other(s.files, s.other.files, CUSTODY),
        {"custodian-threshold": "custody.json is not the one of the ceremony"},
    ),
    "a commitment is somebody else's": (
        lambda s: edited(s.files, CUSTODY, renamed),
        {"custodian-threshold": "custody.json is not the one of the ceremony"},
    ),
    "commitments and transcript name somebody else": (
        lambda s: retold(
            files := edited(s.files, CUSTODY, renamed),
            saying("custody", "done", custody_sha256=Dossier(files).sha256(CUSTODY)),
        ),
        {"custodian-threshold": "custody.json is of other custodians", "signatures": "testimonies/1.json"},
    ),
    "a custodian's testimony is signed by another key": (
        own_testimony,
        {"signatures": "testimonies/4.json", "custodian-threshold": "testimonies/4.json"},
    ),
    "a custodian's objection is turned into agreement": (
        lambda s: put(s.files, "testimonies/4.json", b"without deception", b"without  deception"),
        {"signatures": "testimonies/4.json"},
    ),
    "a custodian signed the file for something else": (
        for_git,
        {"signatures": "testimonies/4.json: the SSH signature is not for hsm-vault-ceremony"},
    ),
    "a participant signed twice": (
        twice_signed,
        {"signatures": "Eve signed twice: testimonies/5.json and testimonies/5.dsse.json"},
    ),
    "a testimony in an envelope is the other fleet's": (
        lambda s: from_other(s.files, s.other.files, "testimonies/5.dsse.json"),
        {"signatures": "testimonies/5.dsse.json: Eve did not sign"},
    ),
    "a testimony is about the other fleet": (
        lambda s: from_other(s.files, s.other.files, "testimonies/4.json", "testimonies/4.json.sig"),
        {"signatures": "testimonies/4.json"},
    ),
    "only the signature of a testimony is left": (
        lambda s: without(s.files, "testimonies/4.json"),
        {"signatures": "testimonies/4.json is missing"},
    ),
    "somebody testifies who is not in the plan": (
        lambda s: {**s.files, "testimonies/6.json": b"{}"},
        {"signatures": "testimonies/6.json is of nobody", "custodian-threshold": "testimonies/6.json"},
    ),
    "a root may be read out, by its record": (
        lambda s: edited(s.files, "tokens/2.json", root_attribute("CKA_EXTRACTABLE", True)),
        {
            "key-attributes": "tokens/2.json: fleet-root in token 2 has CKA_EXTRACTABLE = True",
            "sealed": "tokens/2.json: the root is extractable",
        },
    ),
    "a root may be read out, by record and transcript": (
        lambda s: recorded(s, edited(s.files, "tokens/2.json", root_attribute("CKA_EXTRACTABLE", True)), 2),
        {"key-attributes": "tokens/2.json", "sealed": "tokens/2.json", "signatures": "testimonies/1.json"},
    ),
    "an attribute that audit does not ask for is another": (
        lambda s: edited(s.files, "tokens/2.json", root_attribute("CKA_LABEL", "old-root")),
        {"key-attributes": "tokens/2.json is not the record that the ceremony made"},
    ),
    "an object is added to a token's record": (
        lambda s: edited(s.files, "tokens/3.json", more_objects("")),
        {"key-attributes": "tokens/3.json: token 3 holds an object of no role"},
    ),
    "a second root is added to a token's record": (
        lambda s: edited(s.files, "tokens/3.json", more_objects("fleet-root")),
        {"key-attributes": "tokens/3.json: token 3 holds 2 objects in the role fleet-root", "sealed": "fleet-root"},
    ),
    "an object is left out of a token's record": (
        lambda s: edited(s.files, "tokens/3.json", lambda record: record["objects"].pop()),
        {"key-attributes": "tokens/3.json: token 3 holds 0 objects in the role replica-link"},
    ),
    "a key in a token's record is another": (
        lambda s: edited(
            s.files, "tokens/3.json", lambda record: record["public_keys"].update({"replica-link": point(5).hex()})
        ),
        {"key-binding": "not those of tokens/3.json", "key-attributes": "tokens/3.json is not the record"},
    ),
    "the records of two tokens change places": (
        lambda s: exchanged(s.files, "tokens/1.json", "tokens/2.json"),
        {"key-attributes": "tokens/1.json is of token 2", "key-binding": "tokens/1.json is of token 2"},
    ),
    "a token's record is the other fleet's": (
        lambda s: from_other(s.files, s.other.files, "tokens/2.json"),
        {"key-attributes": "tokens/2.json", "key-binding": "tokens/2.json"},
    ),
    "a token's record is no record": (
        lambda s: {**s.files, "tokens/2.json": b"null"},
        {"key-attributes": "tokens/2.json", "key-binding": "tokens/2.json", "sealed": "tokens/2.json"},
    ),
    "there is a token that the fleet does not have": (
        lambda s: {**s.files, "tokens/4.json": s.files["tokens/3.json"]},
        {"key-attributes": "tokens/4.json is of nobody"},
    ),
    "a link key in the fleet is another": (
        lambda s: replicas(s.files, lambda found: found[1].update(link_public=point(5).hex())),
        {"key-binding": "the keys of replica 2 in fleet.json are not those that the ceremony made"},
    ),
    "the fleet's sealing key is another": (
        lambda s: own_fleet(s, "kem_public", point(5).hex()),
        {"key-binding": "kem_public in fleet.json is not the one that the ceremony made"},
    ),
    "the fleet's check of its codes is another": (
        lambda s: own_fleet(s, "id_check", "00" * 32),
        {"key-binding": "id_check in fleet.json"},
    ),
    "a replica is left out of the fleet": (
        lambda s: replicas(s.files, lambda found: found.pop()),
        {"key-binding": "fleet.json has other replicas", "key-attributes": "tokens/3.json"},
    ),
    "the fleet calls itself maintained": (
        lambda s: own_fleet(s, "custody", "maintained"),
        {"key-binding": "fleet.json is of another fleet or custody", "key-attributes": "tokens/1.json"},
    ),
    "the fleet has another name": (
        lambda s: own_fleet(s, "fleet", "fleet-1"[::-1]),
        {"key-binding": "fleet.json is of another fleet", "signatures": STATEMENT},
    ),
    "the fleet says that makers vouch for it": (
        lambda s: edited(s.files, FLEET, lambda fleet: fleet["assurance"].update(key_custody="vendor-rooted")),
        {"attestation-chain": "fleet.json claims that makers vouch for its keys"},
    ),
    "the record of the software is the weaker program's": (
        weaker_software,
        {"software-digest": "software.json is not the one that the transcript begins with"},
    ),
    "the weaker program ran, and transcript and record say so": (
        lambda s: retold(
            files := weaker_software(s), saying("", "begin", software_sha256=Dossier(files).sha256(SOFTWARE))
        ),
        {"software-digest": "differ, first in hsm_app/token/carry.py", "signatures": "testimonies/1.json"},
    ),
    "the record of the software contradicts itself": (
        lambda s: put(s.files, SOFTWARE, b'"files_sha256": "', b'"files_sha256": "00'),
        {"software-digest": SOFTWARE},
    ),
}  # fmt: skip

BY_OTHER_MEANS: dict[str, Tampering] = {
    "Mallory's key is in the first replica's place and signs everything": (
        mallorys,
        {"key-binding": "the keys of replica 1 in fleet.json are not those that the ceremony made"},
    ),
    "Mallory's key signs everything, and no fleet names it": (
        lambda s: s.made.remade(s.files, MALLORY),
        {"signatures": "transcript.sig is not the first token's signature of transcript.jsonl"},
    ),
    "the first token signs a statement about less": (
        lambda s: statement_over(s, without(s.files, CUSTODY)),
        {"signatures": "custody.json is not named by statement.dsse.json", "manifest": "another statement"},
    ),
    "the first token signs a statement about less, and the rest is removed": (
        lambda s: without(statement_over(s, without(s.files, CUSTODY)), CUSTODY),
        {
            "signatures": "statement.dsse.json does not name custody.json",
            "custodian-threshold": "custody.json is missing",
        },
    ),
    "the first token signs a statement of another fleet's name": (
        lambda s: statement_over(s, s.files, fleet="fleet-2"),
        {"signatures": "statement.dsse.json is of fleet fleet-2", "manifest": "another statement"},
    ),
    "the first token signs a statement of another ceremony": (
        lambda s: statement_over(s, s.files, ceremony="new-fleet"),
        {"signatures": "statement.dsse.json is of fleet fleet-1, new-fleet"},
    ),
    "the manifest names another statement": (
        lambda s: with_manifest(s, evidence_sha256=bytes(32)),
        {"manifest": "manifest.json names another statement, or none"},
    ),
    "the manifest names no statement": (
        lambda s: with_manifest(s, evidence_sha256=None),
        {"manifest": "manifest.json names another statement, or none"},
    ),
    "the manifest has another key": (
        lambda s: with_manifest(s, kem_public=point(5)),
        {"manifest": "the entry of the fleet in manifest.json is not fleet.json"},
    ),
    "the manifest has another fleet only": (
        lambda s: with_manifest(s, fleet="fleet-2"),
        {"manifest": "manifest.json: "},
    ),
}  # fmt: skip


def holds(scene: Scene, files: Files, expected: dict[str, str]) -> None:
    assert files != scene.files, "nothing was changed"
    for check, words in expected.items():
        assert words in scene.why(files, check)


@pytest.mark.parametrize("name", WITHOUT_A_KEY)
def test_found_and_named(scene: Scene, name: str) -> None:
    change, expected = WITHOUT_A_KEY[name]
    holds(scene, change(scene), expected)


@pytest.mark.parametrize("name", WITH_THE_FIRST_TOKEN)
def test_found_and_named_although_everything_was_made_again(scene: Scene, name: str) -> None:
    change, expected = WITH_THE_FIRST_TOKEN[name]
    holds(scene, scene.remade(change(scene)), expected)


@pytest.mark.parametrize("name", BY_OTHER_MEANS)
def test_found_and_named_when(scene: Scene, name: str) -> None:
    change, expected = BY_OTHER_MEANS[name]
    holds(scene, change(scene), expected)


def test_what_was_made_again_from_the_same_files_is_found_by_nobody(scene: Scene) -> None:
    """So the tables above see what was changed, and not that something was made again."""
    again = scene.remade(scene.files)
    assert again[STATEMENT] != scene.files[STATEMENT]
    assert [name for name, one in audit(again, scene.made.beliefs).items() if one.outcome is Outcome.FAIL] == []


def test_bytes_that_change_anywhere_are_found(scene: Scene) -> None:
    """Seeded. Left out: the two that may be written in more than one way, an envelope and a log's cosignatures."""
    random = Random("evidence")
    for round_ in range(150):
        path = random.choice([*EACH_FILE, MANIFEST])
        content = bytearray(scene.files[path])
        mutate(content, random, list(scene.files.values())[:3])
        files = {**scene.files, path: bytes(content)}
        if files == scene.files:
            continue
        found = [one.why for one in audit(files, scene.made.beliefs).values() if one.outcome is Outcome.FAIL]
        assert any(path in why for why in found), f"round {round_}: {path}"


def test_statement_and_bundle_may_say_nothing_else_whatever_their_bytes(scene: Scene) -> None:
    random = Random("beside")
    for _ in range(100):
        path = random.choice([STATEMENT, BUNDLE])
        content = bytearray(scene.files[path])
        mutate(content, random, [scene.other.files[path]])
        verdicts = audit({**scene.files, path: bytes(content)}, scene.made.beliefs)
        if not any(one.outcome is Outcome.FAIL for one in verdicts.values()):
            assert read_envelope(bytes(content) if path == STATEMENT else scene.files[STATEMENT]).raw == (
                read_envelope(scene.files[STATEMENT]).raw
            )
