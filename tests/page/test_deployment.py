"""The page about a deployment in a real browser, on real evidence, held against what `hsm-vault audit` says of it.

Covered: the tables of tests/evidence/test_tampering.py; each file changed and missing, JSON files that hold nothing of
what they should, bytes that change anywhere; a plan that is written otherwise or is not the printed one; objections,
exceptions and markup; a browser without Ed25519. Not covered: an operator who serves another page; other browsers.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from random import Random
from urllib.request import urlopen

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_ssh_private_key

from hsm_app.ceremony.plan import parse_plan
from hsm_app.ceremony.transcript import Entry, EntryKind
from hsm_app.evidence.audit import audit
from hsm_app.evidence.beliefs import Beliefs
from hsm_app.evidence.checks import CHECKS
from hsm_app.evidence.dossier import BESIDE, CUSTODY, FLEET, PLAN, SCRIPT, SIGNATURE, SOFTWARE, Dossier
from hsm_app.evidence.participants import encode_testimony, sign_testimony
from hsm_app.evidence.statement import STATEMENT, read_envelope, sign_statement
from hsm_app.evidence.verdict import Outcome, Verdicts
from hsm_app.pages.deployment import EVIDENCE, deployment_files
from tests.ceremony.plans import PEOPLE
from tests.cli.command import run, well
from tests.evidence.deployment import Deployment, Files, ssh_sign
from tests.evidence.tampering import Document, edited, put, retold, root_attribute, saying, without
from tests.evidence.test_tampering import (
    BY_OTHER_MEANS,
    EACH_FILE,
    WITH_THE_FIRST_TOKEN,
    WITHOUT_A_KEY,
    Scene,
    more_objects,
)
from tests.fleet import trust
from tests.fuzz.mutator import mutate
from tests.page.browser import Browser, browser, driver
from tests.page.deployments import Look, begun_anew, by_address, leaves_plan, look_at, served, signed_anew
from tests.page.test_page import WITHOUT_ED25519
from tests.page.test_sites import plainly_served

MARKUP = '<img src=x onerror="window.ran = 1"><script>window.ran = 1</script>'
OBJECTION = f"The video was off.\n{MARKUP}"
MUTATIONS = 16
LEFT_TO_AUDIT = frozenset({"log-inclusion"})  # with a root of trust: test_deployment_log.py
NO_LIST = frozenset(
    {f"{STATEMENT} is missing", f"{STATEMENT} is null", "the statement is no envelope", "the statement is missing"}
)  # and so a page, as an audit by address, finds no files
BUNDLES = (
    "the manifest is the other fleet's",
    "the manifest is the same with blanks",
    "the bundle is of the other fleet's manifest",
)


@dataclass(frozen=True, kw_only=True)
class Case:
    """Other evidence than the honest one, what the page says of it, and what an audit by its address says."""

    files: Files
    look: Look
    audit: Verdicts


def beliefs() -> Beliefs:
    """Those of a page: it brings nothing along."""
    return Beliefs(now=0)


def failed(verdicts: Verdicts) -> set[str]:
    return {name for name, verdict in verdicts.items() if verdict.outcome is Outcome.FAIL}


def mutated(files: Files) -> Iterator[tuple[str, Files]]:
    """Seeded. The statement is left out: as an envelope it may be written in more than one way."""
    random = Random("page")
    for number in range(MUTATIONS):
        path = random.choice(EACH_FILE)
        content = bytearray(files[path])
        mutate(content, random, [files[EACH_FILE[0]]])
        yield f"mutation {number} of {path}", {**files, path: bytes(content)}


def near_its_end(content: bytes) -> bytes:
    """Return the content with its last byte but one changed."""
    return content[:-2] + (b"?" if content[-2:-1] != b"?" else b"!") + content[-1:]


def changed_files(files: Files) -> dict[str, Files]:
    cases = {f"{path} is changed": {**files, path: near_its_end(files[path])} for path in EACH_FILE}
    cases |= {f"{path} is missing": without(files, path) for path in (*EACH_FILE, STATEMENT)}
    cases |= {f"{path} is null": {**files, path: b"null"} for path in files if path.endswith(".json")}
    return cases | dict(mutated(files))


@pytest.fixture(scope="module")
def cases(
    chromium: Browser, deployment: Deployment, other_deployment: Deployment, tmp_path_factory: pytest.TempPathFactory
) -> Mapping[str, Case]:
    """Every tampering, in one sitting of one browser."""

    def scene() -> Scene:
        return Scene(made=deployment, other=other_deployment, room=tmp_path_factory.mktemp("scene"))

    evidences = changed_files(deployment.files)
    evidences |= {name: change(scene()) for name, (change, _) in (WITHOUT_A_KEY | BY_OTHER_MEANS).items()}
    again = {f"{name}, and all is made again": change(scene()) for name, (change, _) in WITH_THE_FIRST_TOKEN.items()}
    evidences |= {name: deployment.remade(files) for name, files in again.items()}
    looks = look_at(chromium, evidences)
    return {
        name: Case(files=files, look=looks[name], audit=audit(by_address(files), beliefs()))
        for name, files in evidences.items()
    }


def test_it_says_of_every_tampering_what_an_audit_says(cases: Mapping[str, Case]) -> None:
    """Which checks fail is the same, by two programs that share no code; red it is when one of them fails.

    Of a plan that is written in a way that it does not read, a page says less than an audit, and is red for the rest.
    """
    differing = {}
    for name in sorted(cases.keys() - NO_LIST):
        look, audited = cases[name].look, cases[name].audit
        ours, theirs = look.named(Outcome.FAIL) - LEFT_TO_AUDIT, failed(audited) - LEFT_TO_AUDIT
        is_same = bool(ours) and ours <= theirs if leaves_plan(look.checks) else ours == theirs
        if not is_same or (look.verdict == Outcome.FAIL) != bool(look.named(Outcome.FAIL)):
            differing[name] = (ours - theirs, theirs - ours)
    assert not differing, "\n".join(map(str, differing.items()))
    assert len(cases) > 130


@pytest.mark.parametrize("name", sorted(NO_LIST))
def test_without_a_statement_it_is_red_and_not_greener_than_an_audit(cases: Mapping[str, Case], name: str) -> None:
    look, audited = cases[name].look, cases[name].audit
    assert look.verdict == Outcome.FAIL
    assert look.named(Outcome.PASS) <= {check for check, one in audited.items() if one.outcome is Outcome.PASS}


@pytest.mark.parametrize("path", EACH_FILE)
def test_each_file_is_named_that_was_changed_or_is_missing(cases: Mapping[str, Case], path: str) -> None:
    for what in ("changed", "missing"):
        look = cases[f"{path} is {what}"].look
        assert look.verdict == Outcome.FAIL
        reasons = " ".join(why for outcome, why in look.checks.values() if outcome == Outcome.FAIL)
        # A fleet's entry has the key that all signatures are looked at with.
        assert path in reasons or (path == FLEET and SIGNATURE in reasons)
        assert all(check in look.banner for check in look.named(Outcome.FAIL))


@pytest.mark.parametrize("name", BUNDLES)
def test_a_bundle_of_another_manifest_is_red(cases: Mapping[str, Case], name: str) -> None:
    assert "log-inclusion" in cases[name].look.named(Outcome.FAIL)


def test_a_rehearsal_stays_one_when_only_the_transcript_calls_it_real(cases: Mapping[str, Case]) -> None:
    assert cases["the rehearsal is called real, and all is made again"].look.rehearsal


# -- honest evidence, and what people have to see of it


@pytest.fixture(scope="module")
def site(deployment: Deployment, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the command writes."""
    written = tmp_path_factory.mktemp("page") / "site"
    assert str(written / "index.html") in well("ceremony", "page", deployment.root, written)
    return written


@pytest.fixture(scope="module")
def address(site: Path) -> Iterator[str]:
    with plainly_served(site) as served_at:
        yield served_at


def test_an_honest_deployment_is_not_red_and_shows_what_there_is(
    chromium: Browser, deployment: Deployment, address: str
) -> None:
    chromium.resize(1000, 900)
    chromium.open(address)
    assert chromium.verdict() == Outcome.NOT_PROVEN, chromium.text("#banner")
    rows = chromium.run(
        "return [...document.querySelectorAll('[data-check]')].map(row => [row.dataset.check, row.dataset.outcome])"
    )
    assert rows == [[name, verdict.outcome] for name, verdict in audit(deployment.files, beliefs()).items()]
    page = chromium.run("return document.querySelector('main').textContent")
    dossier = Dossier(deployment.files)
    titles = re.findall(r"^## [0-9]+\. (.*)  \(", dossier.file(SCRIPT).decode(), re.MULTILINE)
    tokens = [dossier.token(replica.replica).information for replica in dossier.replicas]
    for text in (
        *(text for check in CHECKS for text in (check.says, check.is_silent_on)),
        *titles,
        *(person.key for person in dossier.plan.people),
        *(text for token in tokens for text in (token["label"], token["serial"])),
        f"hsm-vault audit {address}{EVIDENCE}/",
        dossier.statement.digest.hex(),
        dossier.sha256(SCRIPT),
        "5 of 5 agree",
    ):
        assert text in page, text
    assert len(titles) == chromium.run("return document.querySelectorAll('#steps [data-step]').length") > 20
    operations = [entry for entry in dossier.entries if entry.kind is EntryKind.OPERATION]
    assert "5 answers" in chromium.text("[data-step=roll-call] summary")
    assert len(operations) == chromium.run("return document.querySelectorAll('#steps .call').length")
    assert "Rehearsal" in chromium.run("return document.querySelector('#rehearsal').innerHTML")
    assert chromium.run("return [...document.querySelectorAll('#rehearsal, #trouble')].map(one => one.hidden)") == [
        False,
        True,
    ]


def test_it_shows_who_took_part_and_what_each_signed(chromium: Browser, address: str) -> None:
    chromium.open(address)
    chromium.verdict()
    people = chromium.run(
        "return [...document.querySelectorAll('[data-person]')].map(card => [card.querySelector('h3').textContent, "
        "card.querySelector('.head span').textContent, card.dataset.state])"
    )
    assert people == [[name, role, "agrees"] for name, role in PEOPLE]


def test_what_is_downloaded_is_the_evidence(chromium: Browser, deployment: Deployment, address: str) -> None:
    chromium.open(address)
    chromium.verdict()
    links = chromium.run(
        "return [...document.querySelectorAll('[data-path]')].map(row => "
        "[row.dataset.path, row.querySelector('a').href, row.innerText])"
    )
    got = {path: urlopen(href).read() for path, href, _ in links}
    assert got == deployment.files
    for path, _, text in links:
        assert sha256(got[path]).hexdigest() in text
        assert f"{len(got[path])} bytes" in text
        assert ("beside the statement" if path in BESIDE else "as signed") in text


def test_an_audit_by_the_page_s_address_says_the_same(deployment: Deployment, address: str) -> None:
    here, there = (run("audit", place) for place in (deployment.evidence, f"{address}{EVIDENCE}/"))
    assert there.stdout == here.stdout
    assert [one.exception.code for one in (here, there) if isinstance(one.exception, SystemExit)] == [11, 11]


def test_it_asks_no_other_site_and_fits_a_phone(chromium: Browser, address: str) -> None:
    chromium.resize(360, 740)
    chromium.open(address)
    chromium.verdict()
    chromium.run("for (const one of document.querySelectorAll('details')) one.open = true")
    assert chromium.run("return document.documentElement.scrollWidth") <= 360
    asked = chromium.run("return performance.getEntriesByType('resource').map(one => one.name)")
    assert len(asked) > 30
    assert all(url.startswith(address) for url in asked)


def test_without_javascript_it_names_the_command(site: Path) -> None:
    (said,) = re.findall(r"<noscript>(.*?)</noscript>", (site / "index.html").read_text(), re.DOTALL)
    assert "hsm-vault audit ADDRESS-OF-THIS-PAGE/evidence/" in said
    assert (site / re.findall(r'href="([^"]+)"', said)[0]).is_file()


def test_a_browser_without_ed25519_finds_nothing_wrong(address: str) -> None:
    """Ada, Ben, Cleo and Eve have such keys; Dan and the token have P-256."""
    with driver() as started, browser(started) as old:
        old.devtools("Page.addScriptToEvaluateOnNewDocument", {"source": WITHOUT_ED25519})
        old.open(address)
        assert old.verdict() == Outcome.NOT_PROVEN
        states = old.run("return [...document.querySelectorAll('[data-person]')].map(card => card.dataset.state)")
        assert states == ["not checked", "not checked", "not checked", "agrees", "not checked"]
        for check in ("signatures", "custodian-threshold", "exceptions"):
            row = f"document.querySelector('[data-check={check}]')"
            assert old.run(f"return {row}.dataset.outcome") == Outcome.NOT_PROVEN
            assert "Ed25519" in old.run(f"return {row}.textContent")


# -- ceremonies that went otherwise


def with_trouble(entries: list[Entry]) -> list[Entry]:
    """Something unexpected happened in the second step, and the ceremony was interrupted in it."""
    start = next(number for number, entry in enumerate(entries) if entry.step == "clock")
    first = entries[start]
    sheet = replace(first, kind=EntryKind.EXCEPTION, body={"what": f"answered {MARKUP}", "reason": "a cup fell"})
    breaks = [replace(first, kind=kind, step="", body={}) for kind in (EntryKind.PAUSED, EntryKind.RESUMED)]
    return [*entries[: start + 1], sheet, *breaks, *entries[start:]]


@pytest.fixture(scope="module")
def unlucky(deployment: Deployment, tmp_path_factory: pytest.TempPathFactory) -> Files:
    room = tmp_path_factory.mktemp("unlucky") / "signed"
    return signed_anew(deployment, retold(deployment.files, with_trouble), room, {4: OBJECTION})


def test_objections_and_exceptions_stand_at_the_top_as_text(chromium: Browser, unlucky: Files) -> None:
    with served({"site": deployment_files(unlucky)}) as address:
        chromium.resize(360, 740)
        chromium.open(f"{address}site/")
        assert chromium.verdict() == Outcome.NOT_PROVEN, chromium.text("#banner")
        assert chromium.run("return document.querySelector('#trouble').checkVisibility()")
        trouble = chromium.text("#trouble")
        for text in (
            "Dan (custodian) objects:",
            OBJECTION,
            "Exception in step clock:",
            f"answered {MARKUP}",
            "a cup fell",
        ):
            assert text in trouble
        assert "Interrupted, and resumed at" in trouble
        assert chromium.run("return document.querySelector('[data-person=\"4\"]').dataset.state") == "objects"
        assert chromium.run("return document.querySelector('[data-person=\"4\"]').className") == "card fail"
        assert OBJECTION in chromium.text("[data-person='4']")
        assert chromium.run("return document.querySelector('[data-step=clock] details').open")
        step = chromium.text("[data-step=clock]")
        assert all(text in step for text in ("Exception sheet", MARKUP, "Paused at", "Interrupted, and resumed at"))
        assert chromium.run("return [typeof window.ran, document.querySelectorAll('main img').length]") == [
            "undefined",
            0,
        ]
        chromium.run("for (const one of document.querySelectorAll('details')) one.open = true")
        assert chromium.run("return document.documentElement.scrollWidth") <= 360


PLANS: dict[str, tuple[bytes, bytes]] = {
    "a name is quoted": (b'name = "Ada"', b'"name" = "Ada"'),
    "a text has an escape": (b'name = "Ada"', b'name = "\\u0041da"'),
    "a text has several lines": (b'name = "Ada"', b'name = """\\\n  Ada"""'),
    "a text is written as one of several lines": (b'role = "auditor"', b"role = '''auditor''' # role = \"witness\""),
    "a number has a sign": (b"threshold = 2", b"threshold = +2"),
    "a name has an escape": (b'name = "Ada"', b'"na\\u006de" = "Ada"'),
}


def with_accents(files: Files) -> Files:
    """A custodian has a name that JSON may write in two ways, and that this program writes in ASCII."""
    old, new = "Cleo", "Cléo Müller"
    renamed = {path: put(files, path, old.encode(), new.encode())[path] for path in (PLAN, SCRIPT)}
    custody = edited(files, CUSTODY, lambda document: document["shares"][0].update(custodian=new))[CUSTODY]
    return retold(
        {**files, **renamed, CUSTODY: custody},
        lambda entries: saying("custody", "done", custody_sha256=sha256(custody).hexdigest())(
            [replace(each, body=json.loads(json.dumps(each.body).replace(old, new))) for each in entries]
        ),
    )


@pytest.fixture(scope="module")
def plans(
    chromium: Browser, deployment: Deployment, tmp_path_factory: pytest.TempPathFactory
) -> Mapping[str, tuple[Files, Look]]:
    """The same ceremony after another plan, or after one that is not what the script shows; all else is made again."""
    room, files = tmp_path_factory.mktemp("plans"), deployment.files
    written = {name: put(files, PLAN, old, new) for name, (old, new) in PLANS.items()}
    written["it has comments"] = put(files, PLAN, b"threshold = 2", b"# two\nthreshold = 2  # of three")
    written["a name has accents"] = with_accents(files)
    written["it is not the printed one"] = put(files, PLAN, b'role = "auditor"', b'role = "witness"')
    made = {
        name: signed_anew(deployment, begun_anew(each), room / str(number), {})
        for number, (name, each) in enumerate(written.items())
    }
    looks = look_at(chromium, made)
    return {name: (made[name], looks[name]) for name in made}


@pytest.mark.parametrize("name", PLANS)
def test_a_plan_that_it_cannot_read_proves_nothing(plans: Mapping[str, tuple[Files, Look]], name: str) -> None:
    files, look = plans[name]
    assert not failed(audit(files, beliefs()))
    assert look.verdict == Outcome.NOT_PROVEN
    for check in ("script-digest", "signatures", "custodian-threshold", "key-binding", "exceptions"):
        assert look.checks[check][0] == Outcome.NOT_PROVEN
        assert "plan.toml: line" in look.checks[check][1]
    assert look.rehearsal


@pytest.mark.parametrize("name", ["it has comments", "a name has accents"])
def test_a_plan_that_is_written_plainly_is_read(plans: Mapping[str, tuple[Files, Look]], name: str) -> None:
    files, look = plans[name]
    audited = audit(files, beliefs())
    assert {name: outcome for name, (outcome, _) in look.checks.items()} == {
        name: verdict.outcome for name, verdict in audited.items()
    }


def recorded_anew(files: Files, number: int, edit: Callable[[Document], object]) -> Files:
    """A token's record says something else, and so does the ceremony."""
    changed = edited(files, f"tokens/{number}.json", edit)
    digest = sha256(changed[f"tokens/{number}.json"]).hexdigest()
    return retold(changed, saying(f"inventory-{number}", "done", record_sha256=digest))


def of_two_minds(made: Deployment, room: Path) -> Files:
    """Ada signs that she agrees, and an objection with it."""
    path = "testimonies/1.json"
    files = edited(made.files, path, lambda document: document.update(objection=OBJECTION))
    (room / "1").write_bytes(files[path])
    return made.remade({**files, f"{path}.sig": ssh_sign(made.keys / "key-1", room / "1")})


def by_one_hand(made: Deployment, room: Path) -> Files:
    """Cleo signs for Eve, too: the plan has one key for both, once as OpenSSH writes it and once in digits."""
    private = load_ssh_private_key((made.keys / "key-3").read_bytes(), None)
    assert isinstance(private, Ed25519PrivateKey)
    cleo, before = trust.EdSigner(private), parse_plan(made.files[PLAN]).people[4].key
    after = f"Ed25519:{cleo.key.public.hex()}"
    files = put(put(made.files, PLAN, before.encode(), after.encode()), SCRIPT, before.encode(), after.encode())
    signed = signed_anew(made, begun_anew(files), room, {})
    eve = Dossier(signed).plan.people[4]
    testimony = sign_testimony(encode_testimony(eve, Dossier(signed).record), cleo)
    return made.remade({**signed, "testimonies/5.dsse.json": testimony + b"\n"})


def test_what_all_have_signed_is_looked_at_all_the_same(
    chromium: Browser, deployment: Deployment, tmp_path: Path
) -> None:
    """Nothing is forged here: everybody signed that this is how it was, or that it was not."""
    files = deployment.files
    agreed = {
        "key-attributes": recorded_anew(files, 3, more_objects("")),
        "sealed": recorded_anew(files, 2, root_attribute("CKA_EXTRACTABLE", True)),
        "key-binding": retold(files, saying("carry-3", "done", same_root=False)),
        "software-digest": begun_anew(put(files, SOFTWARE, b'"files_sha256": "', b'"files_sha256": "00')),
    }
    made = {check: signed_anew(deployment, each, tmp_path / check, {}) for check, each in agreed.items()}
    objecting = {3: "I was not there.", 5: "Nor was I."}
    made["custodian-threshold"] = signed_anew(deployment, files, tmp_path / "objecting", objecting)
    made["signatures"] = of_two_minds(deployment, tmp_path)
    made["exceptions"] = by_one_hand(deployment, tmp_path / "one hand")
    looks = look_at(chromium, made)
    for check, each in made.items():
        assert check in looks[check].named(Outcome.FAIL) == failed(audit(each, beliefs()))


def test_a_statement_about_something_else_is_red(chromium: Browser, deployment: Deployment) -> None:
    said = json.loads(read_envelope(deployment.files[STATEMENT]).raw)
    raw = json.dumps({**said, "predicateType": "urn:hsm-vault:something-else:v1"}).encode()
    other = {**deployment.files, STATEMENT: sign_statement(raw, deployment.first_token)}
    look = look_at(chromium, {"other": other})["other"]
    assert look.verdict == Outcome.FAIL
    assert "the statement is about something else" in look.checks["signatures"][1]
    assert failed(audit(other, beliefs())) == {"signatures", "manifest"} <= look.named(Outcome.FAIL)


def test_a_plan_that_is_not_the_printed_one_is_not_proven(plans: Mapping[str, tuple[Files, Look]]) -> None:
    """An audit lets this pass: who reads the script has read something else about Ben."""
    files, look = plans["it is not the printed one"]
    assert audit(files, beliefs())["script-digest"].outcome is Outcome.PASS
    assert look.checks["script-digest"][0] == Outcome.NOT_PROVEN
    assert "script.md does not show" in look.checks["script-digest"][1]
