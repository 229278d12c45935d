"""The page reads each document as strictly as `hsm-vault audit`: what the program's parsers refuse, it refuses.

Covered: the tables of tests/page/document_kinds.py, which exchange every value of every document, before both parsers;
and documents that are malformed in one place and signed anew by all who have to, before page and audit as wholes. Not
covered: JSON that is not in its plain form, numbers of a transcript that are not whole, and TOML beyond the plainest,
which the page reads less of.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_ssh_private_key

from hsm_app.ceremony.plan import parse_plan
from hsm_app.ceremony.transcript import Entry
from hsm_app.evidence.audit import audit
from hsm_app.evidence.beliefs import Beliefs
from hsm_app.evidence.dossier import (
    BESIDE,
    CUSTODY,
    FLEET,
    MANIFEST,
    PLAN,
    SCRIPT,
    SIGNATURE,
    SOFTWARE,
    TO_CONFIRM,
    TRANSCRIPT,
)
from hsm_app.evidence.participants import SSH_NAMESPACE, sign_testimony
from hsm_app.evidence.sshsig import BEGIN, END, MAGIC
from hsm_app.evidence.statement import STATEMENT, encode_statement, parse_statement, sign_statement
from hsm_app.evidence.verdict import Outcome
from hsm_app.key_files import read_key_file
from hsm_app.monitor.evidence_source import LARGEST
from hsm_app.pages.deployment import deployment_files
from hsm_app.tlog.base64 import encode64
from tests.evidence.deployment import Deployment, Files
from tests.evidence.tampering import Document, edited, put, retold, saying
from tests.page.browser import Browser
from tests.page.deployments import begun_anew, by_address, look_at, served, signed_anew
from tests.page.document_kinds import kinds

READ = """
    const READERS = async () => {
      const name = (file) => import(`${location.origin}/site/${file}.js`);
      const [{ CannotTell, Refused }, documents, fleet, plan, people, transcript, trust, checks] = await Promise.all(
        ["bytes", "documents", "fleet", "plan", "people", "transcript", "trust", "checks_fleet"].map(name));
      const forms = await (await fetch("/site/page.json")).json();
      return {
        Refused,
        fleet: fleet.parseFleet,
        manifest: fleet.parseManifest,
        custody: documents.parseCustody,
        token: documents.parseToken,
        statement: (bytes) => documents.parseStatement(bytes, forms.statement),
        transcript: transcript.parseTranscript,
        testimony: (bytes) => people.parseTestimony(bytes, forms.testimony),
        plan: plan.parsePlan,
        root: trust.parseRoot,
        software: async (bytes) => {
          const evidence = { software: documents.parseSoftware(bytes), begin: {}, sha256: () => undefined };
          await checks.softwareDigest(evidence).catch((error) => {
            if (!(error instanceof CannotTell)) throw error; // for want of a wheel
          });
        },
      };
    };
    const read = async () => {
      const readers = await READERS();
      return Promise.all((await (await fetch("/site/cases.json")).json()).map(async ([reader, encoded]) => {
        const bytes = Uint8Array.from(atob(encoded), (one) => one.charCodeAt(0));
        try {
          await readers[reader](bytes);
          return "reads";
        } catch (error) {
          return error instanceof readers.Refused ? "Refused" : `${error.constructor.name}: ${error.message}`;
        }
      }));
    };
    read().then((found) => { window.found = JSON.stringify(found); }, (error) => { window.found = `"${error}"`; });
"""


def read_by_page(chromium: Browser, made: Deployment, cases: list[tuple[str, bytes]]) -> list[str]:
    """Return what the page's parsers, by their names, come to."""
    encoded = json.dumps([(reader, base64.b64encode(raw).decode()) for reader, raw in cases]).encode()
    with served({"site": {**deployment_files(made.files), "cases.json": encoded}}) as address:
        chromium.open(f"{address}site/")
        chromium.verdict()
        chromium.run(READ)
        found = json.loads(chromium.until("return window.found"))
    assert isinstance(found, list), found
    return found


def test_it_refuses_what_the_programs_parsers_refuse(chromium: Browser, deployment: Deployment) -> None:
    """And reads what they read: of each kind there are documents on both sides."""
    all_kinds = kinds(deployment.files)
    cases = [(path, name) for path, kind in all_kinds.items() for name in kind.cases]
    found = read_by_page(
        chromium, deployment, [(all_kinds[path].reader, all_kinds[path].cases[name]) for path, name in cases]
    )
    differing = {}
    seen: dict[str, set[str]] = {path: set() for path in all_kinds}
    for (path, name), ours in zip(cases, found, strict=True):
        theirs = all_kinds[path].outcome(name)
        seen[path].add(theirs)
        if ours != theirs:
            differing[path, name] = f"page: {ours}, program: {theirs}"
    assert not differing, "\n".join(map(str, differing.items()))
    assert all(one == {"reads", "Refused"} for one in seen.values()), seen
    assert len(cases) > 2000


# -- one document that is malformed, and signed anew by all who have to, before page and audit as wholes


def sealed(made: Deployment, files: Files) -> Files:
    """Let the first token sign these files, and the manifest have the fleet's entry, whatever it says."""
    kept = {path: content for path, content in files.items() if path not in BESIDE}
    kept[SIGNATURE] = made.first_token.sign(kept[TRANSCRIPT])
    statement = encode_statement(files=kept, fleet=made.fleet, ceremony="genesis", assurance="self-asserted")
    entry = {**json.loads(kept[FLEET]), "evidence_sha256": parse_statement(statement).digest.hex()}
    manifest = edited(files, MANIFEST, lambda said: said.update(fleets=[entry]))[MANIFEST]
    return {**kept, STATEMENT: sign_statement(statement, made.first_token), MANIFEST: manifest}


def member(*at: str, value: object) -> Callable[[Document], None]:
    """Return what sets a member to a value; the last name may be one that is not there."""

    def edit(document: Document) -> None:
        for name in at[:-1]:
            document = document[name]
        document[at[-1]] = value

    return edit


def misspelt(document: Document) -> None:
    document["attempts"]["charges_per_hours"] = document["attempts"].pop("charges_per_hour")


FLEETS: dict[str, Callable[[Document], None]] = {
    "an assurance is misspelt": member("assurance", "key_custody", value="elf-asserted"),
    "a limit's name is misspelt": misspelt,
    "there are eleven guesses": member("attempts", "maximum", value=11),
    "nobody waits": member("attempts", "waits_seconds", value=[]),
    "Argon2 has no memory": member("argon2", "memory_kib", value=1),
    "there is no tenant": member("tenants", value=[]),
    "the state is none": member("state", value="resting"),
}
BY_FLEET = {"signatures", "key-attributes", "key-binding", "sealed", "attestation-chain", "manifest"}


def recorded(files: Files, path: str, step: str, edit: Callable[[Document], object]) -> Files:
    """A document says something else, and so does the ceremony's step that names its digest."""
    changed = edited(files, path, edit)
    name = {CUSTODY: "custody_sha256"}.get(path, "record_sha256")
    return retold(changed, saying(step, "done", **{name: sha256(changed[path]).hexdigest()}))


def long_testimony(made: Deployment) -> Files:
    """Eve signs a testimony that is longer than any."""
    path = "testimonies/5.dsse.json"
    payload = base64.b64decode(json.loads(made.files[path])["payload"])
    signed = sign_testimony(payload + b" " * 16 * 1024, read_key_file(made.keys / "key-5"))
    return made.remade({**made.files, path: signed + b"\n"})


def long_signature(made: Deployment) -> Files:
    """Ada's signature holds, and has a field before the hash that nobody needs, so it is longer than any."""
    path = "testimonies/1.json"
    private = load_ssh_private_key((made.keys / "key-1").read_bytes(), None)
    assert isinstance(private, Ed25519PrivateKey)
    key = field(b"ssh-ed25519") + field(private.public_key().public_bytes_raw())
    head, reserved = field(SSH_NAMESPACE.encode()), field(bytes(4096))
    signed = MAGIC + head + reserved + field(b"sha256") + field(sha256(made.files[path]).digest())
    signature = field(field(b"ssh-ed25519") + field(private.sign(signed)))
    blob = MAGIC + b"\0\0\0\1" + field(key) + head + reserved + field(b"sha256") + signature
    return made.remade({**made.files, f"{path}.sig": "\n".join((BEGIN, encode64(blob), END, "")).encode()})


def field(value: bytes) -> bytes:
    return len(value).to_bytes(4, "big") + value


def without_an_answer(files: Files, word: str) -> Files:
    """The script asks people to type what a language calls nothing, and nobody typed anything."""
    asked = next(line for line in files[SCRIPT].decode().split("\n") if line.endswith(": type here"))
    question = asked.removeprefix(TO_CONFIRM)
    other = question.removesuffix("here") + word

    def tell(entries: list[Entry]) -> list[Entry]:
        said = {"asked": other, "answer": None}
        return [replace(one, body=said) if one.body.get("asked") == question else one for one in entries]

    return begun_anew(retold(put(files, SCRIPT, question.encode(), other.encode()), tell))


def documents(made: Deployment, room: Path) -> Mapping[str, tuple[set[str], Files]]:
    """Return which checks have to fail, and the evidence."""
    files, record = made.files, "tokens/3.json"
    by_step = {
        "custodian-threshold": recorded(files, CUSTODY, "custody", member("identifier", value=2**15)),
        "key-attributes": recorded(files, record, "inventory-3", member("token", "label", value="\u00e9")),
        "software-digest": begun_anew(edited(files, SOFTWARE, member("commit", value="main"))),
        "script-digest": without_an_answer(files, "null"),
    }
    more = {"key-attributes": {"key-binding", "sealed"}}
    cases = {
        check: ({check, *more.get(check, ())}, signed_anew(made, each, room / check, {}))
        for check, each in by_step.items()
    }
    unknown = sealed(made, begun_anew(put(files, PLAN, b"threshold = 2", b"threshold = 2\nfloor = 4")))
    cases["a plan with an unknown member"] = ({"script-digest", "key-attributes", "key-binding"}, unknown)
    nothing = without_an_answer(files, "None")
    cases["an answer"] = ({"script-digest"}, signed_anew(made, nothing, room / "nothing", {}))
    begun = retold(files, saying("", "begin", fleet="fleet-2"))
    cases["a beginning"] = ({"script-digest"}, signed_anew(made, begun, room / "begun", {}))
    cases["a signature"] = ({"signatures", "custodian-threshold", "exceptions"}, long_signature(made))
    cases["a testimony"] = ({"signatures", "custodian-threshold", "exceptions"}, long_testimony(made))
    cases["a manifest"] = ({"manifest"}, edited(files, MANIFEST, member("not_before", value="2026-02-30T00:00:00Z")))
    return cases | {name: (BY_FLEET, sealed(made, edited(files, FLEET, edit))) for name, edit in FLEETS.items()}


def test_what_is_malformed_and_signed_anew_fails_the_checks_that_it_fails_in_an_audit(
    chromium: Browser, deployment: Deployment, tmp_path: Path
) -> None:
    """An operator who cheats signs what no parser should take; where the page took it, it would be greener."""
    cases = documents(deployment, tmp_path)
    looks = look_at(chromium, {name: files for name, (_, files) in cases.items()})
    differing = {}
    for name, (expected, files) in cases.items():
        audited = audit(by_address(files), Beliefs(now=0))
        theirs = {check for check, verdict in audited.items() if verdict.outcome is Outcome.FAIL}
        ours = looks[name].named(Outcome.FAIL) - {"log-inclusion"}  # which audit leaves, without a root of trust
        assert expected <= theirs, name
        if ours != theirs:
            differing[name] = (ours - theirs, theirs - ours)
    assert not differing, "\n".join(map(str, differing.items()))


def test_a_file_that_no_audit_reads_is_red(chromium: Browser, deployment: Deployment) -> None:
    """An audit ends before its first check; so does the page."""
    files = {**deployment.files, SCRIPT: deployment.files[SCRIPT] + b"\n" * LARGEST}
    with served({"site": deployment_files(sealed(deployment, files))}) as address:
        chromium.open(f"{address}site/")
        assert chromium.verdict() == Outcome.FAIL
        assert f"{SCRIPT} has more than {LARGEST} bytes" in chromium.text("#banner")


def in_capitals(files: Files) -> Files:
    """Eve's key has capital digits, and blanks between them."""
    key = parse_plan(files[PLAN]).people[4].key
    algorithm, _, digits = key.partition(":")
    other = f"{algorithm}:{bytes.fromhex(digits).hex(' ', 8).upper()}"
    return begun_anew(put(put(files, PLAN, key.encode(), other.encode()), SCRIPT, key.encode(), other.encode()))


def test_without_a_fault_nothing_fails(chromium: Browser, deployment: Deployment, tmp_path: Path) -> None:
    """Or the cases above would fail for what is done to them besides; and a key in digits may have capital ones."""
    honest = {
        "sealed": sealed(deployment, deployment.files),
        "in capitals": signed_anew(deployment, in_capitals(deployment.files), tmp_path / "capitals", {}),
    }
    for name, look in look_at(chromium, honest).items():
        audited = audit(by_address(honest[name]), Beliefs(now=0))
        assert {check: outcome for check, (outcome, _) in look.checks.items()} == {
            check: verdict.outcome for check, verdict in audited.items()
        }, name
        assert look.named(Outcome.FAIL) == set(), name
