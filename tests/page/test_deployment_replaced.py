"""The page about a replaced token, with all evidence before it, held against `hsm-vault audit NEW --before OLD`.

Covered: the tables of tests/evidence/test_replaced.py, and files that are missing or changed in either evidence; the
log by the reader's root of trust; each evidence in full; the command. Not covered: more than one replacement that
holds, for want of a second real one; that the newest evidence is the newest, which no page can tell.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

import pytest

from hsm_app.errors import ConfigError, LogError, VaultError
from hsm_app.evidence.audit import audit_chain
from hsm_app.evidence.beliefs import Beliefs
from hsm_app.evidence.dossier import CUSTODY, FLEET, PLAN, SCRIPT, Dossier
from hsm_app.evidence.statement import STATEMENT, read_envelope
from hsm_app.evidence.verdict import Outcome, Verdicts
from hsm_app.fleet.root_of_trust import Role
from hsm_app.pages.deployment import BEFORE, EVIDENCE, deployment_files
from hsm_app.pages.site import LIST
from tests.ceremony.plans import PEOPLE
from tests.cli.command import run, well
from tests.evidence.deployment import Deployment, Files
from tests.evidence.replacement import OBJECTION, Replaced
from tests.evidence.tampering import put, without
from tests.evidence.test_replaced import BY_OTHER_MEANS, CHAINS, MADE_AGAIN, RECORD, incarnation, of_replica
from tests.fleet import trust
from tests.fleet.trust import root_of_trust
from tests.page.browser import Browser
from tests.page.deployments import Checks, Look, begun_anew, by_address, leaves_plan, look_at_sites
from tests.page.test_sites import plainly_served

OF_AN_ORDER = {  # that statements do not have: each names one before it, or none
    "the older one is given first",
    "one too many",
    "the newer one twice",
    "the older one twice",
}
NEWEST = {name: (change, 0, expected) for name, (change, expected) in (MADE_AGAIN | BY_OTHER_MEANS).items()}
SEEN_BY_NOBODY = {"a file is added that nobody signed"}  # who reads by address
LOST, WITHHELD = "another token was lost", "the evidence before is not there"
TWICE = "a second replacement has the token of the first"
LEFT_TO_AUDIT = frozenset({"log-inclusion"})  # without a root of trust
Chain = Sequence[Mapping[str, bytes]]


@dataclass(frozen=True, kw_only=True)
class Case:
    """A chain of evidence, what the page says of it, and what an audit says of what a page can see."""

    chain: Chain
    look: Look
    audit: Sequence[Verdicts]

    @property
    def differing(self) -> list[tuple[set[str], set[str]]]:
        """Return which checks fail in page and audit, for each evidence where they do not agree."""
        both = zip(self.chain, (self.look.checks, *self.look.before), self.audit, strict=False)
        return [
            (failed(shown), {name for name, one in verdicts.items() if one.outcome is Outcome.FAIL})
            for files, shown, verdicts in both
            if not agree(files, shown, verdicts)
        ]


def agree(files: Mapping[str, bytes], shown: Checks, verdicts: Verdicts) -> bool:
    """Without a statement a page has no files, so more fails; of a plan that it does not read it tells less."""
    ours = failed(shown) - LEFT_TO_AUDIT
    theirs = {name for name, one in verdicts.items() if one.outcome is Outcome.FAIL}
    if not has_statement(files):
        return ours >= theirs
    return ours <= theirs if leaves_plan(shown) else ours == theirs


def has_statement(files: Mapping[str, bytes]) -> bool:
    try:
        read_envelope(files[STATEMENT])
    except (KeyError, LogError):
        return False
    return True


def failed(checks: Checks) -> set[str]:
    return {name for name, (outcome, _) in checks.items() if outcome == Outcome.FAIL}


def site_of(chain: Chain) -> Mapping[str, bytes]:
    """What an operator serves: each evidence where the statement after it says, whatever it is."""
    try:
        return deployment_files(*chain)
    except (KeyError, LogError):
        return deployment_files(chain[0])  # no statement says where the one before it is


def tampered(replaced: Replaced, other: Deployment) -> Iterator[tuple[str, Chain]]:
    files, old = replaced.files, replaced.old.files
    for name, (chain, _, _) in CHAINS.items():
        if name not in OF_AN_ORDER:
            yield name, chain(replaced, other)
    for name, (change, _) in MADE_AGAIN.items():
        identity = name.startswith("the new member is left out")
        yield name, [change(replaced) if identity else replaced.remade(change(replaced)), old]
    for name, (change, _) in BY_OTHER_MEANS.items():
        yield name, [change(replaced), old]
    yield "the newer one is in the place of the older one", [files, files]
    yield TWICE, [replaced.remade(files, previous=read_envelope(files[STATEMENT]).digest), files, old]
    for path in (RECORD, STATEMENT):
        yield f"{path} is missing", [without(files, path), old]
    for path in (CUSTODY, FLEET, PLAN, STATEMENT):
        yield f"{path} is changed in the one before", [files, {**old, path: old[path][:-2] + b"?" + old[path][-1:]}]


def with_a_lost_token(replaced: Replaced) -> Files:
    """Plan and script say that another token could not be reached, and all but the people's signatures follow."""
    files = put(replaced.files, PLAN, b"replicas = 3", b"replicas = 3\nlost = [ 3 ]  # it burnt")
    return replaced.remade(begun_anew(put(files, SCRIPT, b"Tokens: 3.", b"Tokens: 2. Not here: fleet-1-3.")))


def untold(replaced: Replaced) -> Iterator[tuple[str, Chain]]:
    """What no evidence can tell: nothing fails, and less passes."""
    old = replaced.old.files
    keys = [person.key.encode() for person in Dossier(replaced.files).plan.custodians]
    yield "an incarnation is missing", [replaced.remade(incarnation(3)(replaced)), old]
    yield "another replica came back", [replaced.remade(of_replica(3, incarnation=2)(replaced)), old]
    yield "another replica came back twice", [replaced.remade(of_replica(3, incarnation=3)(replaced)), old]
    other_keys = put(put(old, PLAN, keys[0], b"Ed25519:" + b"01" * 32), PLAN, keys[1], b"Ed25519:" + b"02" * 32)
    yield "custodians had other keys", [replaced.files, other_keys]


@pytest.fixture(scope="module")
def cases(chromium: Browser, replaced: Replaced, deployment: Deployment) -> Mapping[str, Case]:
    """Every tampering, in one sitting of one browser."""
    chains = {"honest": [replaced.files, replaced.old.files], **dict(tampered(replaced, deployment))}
    chains |= {LOST: [with_a_lost_token(replaced), replaced.old.files], WITHHELD: [replaced.files]}
    chains |= dict(untold(replaced))
    looks = look_at_sites(chromium, {name: site_of(chain) for name, chain in chains.items()})
    return {
        name: Case(
            chain=chain,
            look=looks[name],
            audit=audit_chain([by_address(files) for files in chain], Beliefs(now=0)),
        )
        for name, chain in chains.items()
    }


def test_it_says_of_every_tampering_what_an_audit_says(cases: Mapping[str, Case]) -> None:
    """The same checks fail, of each evidence, by two programs that share no code."""
    differing = {name: case.differing for name, case in cases.items() if name != WITHHELD and case.differing}
    assert not differing, "\n".join(map(str, differing.items()))
    assert len(cases) > 50


def test_it_turns_red_on_each_tampering(cases: Mapping[str, Case], replaced: Replaced, deployment: Deployment) -> None:
    names = {name for name, _ in tampered(replaced, deployment)} - SEEN_BY_NOBODY
    assert {name for name in names if cases[name].look.verdict != Outcome.FAIL} == set()
    for name in names:
        look = cases[name].look
        assert all(check in look.banner for checks in (look.checks, *look.before) for check in failed(checks)), name


def test_each_check_fails_for_the_reason_for_which_it_fails_in_an_audit(cases: Mapping[str, Case]) -> None:
    """Or one that is not made would go unseen where the participants' signatures fail, too."""
    differing = {}
    for name, (_, which, expected) in (CHAINS | NEWEST).items():
        if name not in OF_AN_ORDER | SEEN_BY_NOBODY:
            look = cases[name].look
            said = {check: why for check, (_, why) in (look.checks, *look.before)[which].items()}
            differing |= {(name, check): said[check] for check, words in expected.items() if words not in said[check]}
    assert not differing, "\n".join(map(str, differing.items()))


def test_what_no_evidence_can_tell_is_not_proven(cases: Mapping[str, Case], replaced: Replaced) -> None:
    """Outcomes are the audit's, one by one; so are they of what is honest."""
    for name in ("honest", *(name for name, _ in untold(replaced))):
        case = cases[name]
        for shown, verdicts in zip((case.look.checks, *case.look.before), case.audit, strict=True):
            told = {check: outcome for check, (outcome, _) in shown.items()}
            assert told == {check: verdict.outcome for check, verdict in verdicts.items()}, name
    assert "1 of them with the key of the evidence before" in cases["custodians had other keys"].look.text
    assert "replica 2 went from incarnation 1 to 3" in cases["an incarnation is missing"].look.text


def test_it_goes_back_to_the_genesis(cases: Mapping[str, Case]) -> None:
    look = cases[TWICE].look
    assert look.named(Outcome.FAIL) == {"key-binding", "manifest"}  # which is the first one's token, and its epoch
    assert [failed(each) for each in look.before] == [set(), set()]
    assert look.before[1]["key-binding"][1] == "3 replicas and the fleet's four keys"


def test_evidence_that_is_named_and_not_in_the_site_is_red(cases: Mapping[str, Case]) -> None:
    """Not proven in an audit, by somebody who did not bring it; the page's site is the operator's."""
    look = cases[WITHHELD].look
    assert look.verdict == Outcome.FAIL
    assert look.named(Outcome.FAIL) == {"signatures", "key-binding", "custodian-threshold"}
    assert "in the evidence before: statement.dsse.json is missing" in look.checks["signatures"][1]


def test_a_plan_that_names_lost_tokens_is_read(cases: Mapping[str, Case]) -> None:
    checks = cases[LOST].look.checks
    assert {checks[name][0] for name in ("script-digest", "key-binding", "key-attributes")} == {Outcome.PASS}


# -- the site that the command writes


@pytest.fixture(scope="module")
def site(replaced: Replaced, tmp_path_factory: pytest.TempPathFactory) -> Path:
    written = tmp_path_factory.mktemp("page") / "site"
    well("ceremony", "page", replaced.rehearsal.root, written, "--before", replaced.old.root)
    return written


@pytest.fixture(scope="module")
def address(site: Path) -> Iterator[str]:
    with plainly_served(site) as served_at:
        yield served_at


def older(replaced: Replaced) -> str:
    """The SHA-256 of the statement of the genesis."""
    return Dossier(replaced.old.files).statement.digest.hex()


def test_it_shows_the_replacement_and_what_was_before(chromium: Browser, replaced: Replaced, address: str) -> None:
    chromium.resize(390, 844)
    chromium.open(address)
    assert chromium.verdict() == Outcome.NOT_PROVEN, chromium.text("#banner")
    assert chromium.text("#eyebrow").lower() == "how a token was replaced"
    said = chromium.text("#facts")
    for text in ("A token was replaced: replica 2 got a fresh one", "1 new of 3", "5 of 5 agree", "epoch 3"):
        assert text in said
    titles = re.findall(r"^## [0-9]+\. (.*)  \(", replaced.files[SCRIPT].decode(), re.MULTILINE)
    steps = chromium.run("return [...document.querySelectorAll('#steps .name')].map(one => one.textContent)")
    assert [step.split(". ", 1)[1] for step in steps] == titles
    assert chromium.run("return document.querySelectorAll('#tokens > li').length") == 1
    card = chromium.text("[data-before]")
    for text in ("Genesis: the fleet's first keys", "3 of 5 agree; objects: 1; did not sign: 1", older(replaced)):
        assert text in card
    trouble = chromium.text("#trouble")
    assert "In the evidence before it: Cleo (custodian) objects:" in trouble
    assert OBJECTION in trouble
    chromium.run("for (const one of document.querySelectorAll('details')) one.open = true")
    assert chromium.run("return document.documentElement.scrollWidth") <= 390
    asked = chromium.run("return performance.getEntriesByType('resource').map(one => one.name)")
    assert all(url.startswith(address) for url in asked)


def test_the_evidence_before_is_shown_in_full_and_leads_back(
    chromium: Browser, replaced: Replaced, address: str
) -> None:
    chromium.open(address)
    chromium.verdict()
    chromium.open(chromium.run("return document.querySelector('#chain a').href"))
    assert chromium.verdict() == Outcome.NOT_PROVEN, chromium.text("#banner")
    people = chromium.run("return [...document.querySelectorAll('[data-person]')].map(card => card.dataset.state)")
    assert people == ["agrees", "did not sign", "objects", "agrees", "agrees"]
    assert [name for name, _ in PEOPLE][2] == "Cleo"
    assert "Exception in step clock:" in chromium.text("#trouble")
    file = chromium.run("return document.querySelector('[data-path=\"script.md\"] a').href")
    assert urlopen(file).read() == replaced.old.files[SCRIPT]
    assert chromium.run("return document.querySelector('#older').checkVisibility()")
    chromium.open(chromium.run("return document.querySelector('#newest').href"))
    chromium.verdict()
    assert not chromium.run("return document.querySelector('#older').checkVisibility()")
    assert chromium.text("#statement-digest") == Dossier(replaced.files).statement.digest.hex()


def test_evidence_that_is_not_there_is_red(chromium: Browser, address: str) -> None:
    chromium.open(f"{address}?of={'0' * 64}")
    assert chromium.verdict() == Outcome.FAIL
    assert "is not the evidence that this page was asked for" in chromium.text("#banner")


def test_the_log_is_looked_into_for_each_evidence(chromium: Browser, address: str, tmp_path: Path) -> None:
    """By any of the reader's roots of trust: evidence keeps the proof of its day, and keys are rotated."""
    rows = "return [...document.querySelectorAll('[data-check=log-inclusion]')].map(row => row.dataset.outcome)"
    then, now = tmp_path / "1.json", tmp_path / "2.json"
    for version, path in enumerate((then, now), 1):
        signed_by = Role(1, (trust.auditor(version - 1).key,))
        path.write_bytes(root_of_trust(version=version, auditors=signed_by).raw)
    chromium.open(address)
    chromium.verdict()
    for given, outcome in (((then,), Outcome.PASS), ((now,), Outcome.FAIL), ((then, now), Outcome.PASS)):
        chromium.run("document.querySelector('#own-root').value = ''")
        chromium.give_file("#own-root", *given)
        assert chromium.verdict() == (Outcome.NOT_PROVEN if outcome is Outcome.PASS else Outcome.FAIL)
        assert chromium.run(rows) == [outcome, outcome]
        said = chromium.text("#own-root-found")
        assert f"log-inclusion {outcome}" in said
        assert f"log-inclusion of the evidence before it {outcome}" in said
        in_banner = "log-inclusion of the evidence before it" in chromium.text("#banner")
        assert in_banner == (outcome is Outcome.FAIL)
    assert chromium.text("[data-check=log-inclusion] .why").split(": ")[1].startswith("version 1, ")
    assert [version in chromium.text("#own-root-said") for version in ("Version 2 for", "Version 1 for")] == [True] * 2
    (tmp_path / "none.json").write_text("{}")
    chromium.give_file("#own-root", then, tmp_path / "none.json")
    chromium.verdict()
    assert chromium.run(rows) == [Outcome.NOT_PROVEN] * 2
    assert "Not taken" in chromium.text("#own-root-error")


def test_the_command_that_the_page_shows_says_what_an_audit_of_the_directories_says(
    chromium: Browser, replaced: Replaced, address: str
) -> None:
    chromium.open(address)
    chromium.verdict()
    words = chromium.text("#command").split(" --root-of-trust")[0].split()
    assert words[:2] == ["hsm-vault", "audit"]
    assert words[2:] == [f"{address}{EVIDENCE}/", "--before", f"{address}{BEFORE}/{older(replaced)}/"]
    there, here = (
        json.loads(run("audit", *places, "--json").stdout)
        for places in (words[2:], (replaced.evidence, "--before", replaced.old.evidence))
    )
    assert [one["checks"] for one in (there, *there["before"])] == [one["checks"] for one in (here, *here["before"])]


def test_the_site_holds_both_evidences_byte_for_byte(replaced: Replaced, site: Path) -> None:
    for place, files in ((EVIDENCE, replaced.files), (f"{BEFORE}/{older(replaced)}", replaced.old.files)):
        root = site / place
        assert {p.relative_to(root).as_posix(): p.read_bytes() for p in root.rglob("*") if p.is_file()} == files
    again = site.with_name("again")
    well("ceremony", "page", site, again, "--before", site / BEFORE / older(replaced))
    assert (again / LIST).read_bytes() == (site / LIST).read_bytes()


def refused(kind: type[VaultError], *words: str | Path) -> str:
    error = run("ceremony", "page", *words).exception
    assert isinstance(error, kind), error
    return str(error)


def test_a_chain_that_is_not_whole_or_in_another_order_gets_no_page(
    replaced: Replaced, deployment: Deployment, tmp_path: Path
) -> None:
    new, old, site = replaced.evidence, replaced.old.evidence, tmp_path / "site"
    assert f"SHA-256 {older(replaced)}. Give it too" in refused(ConfigError, new, site)
    assert "is another" in refused(LogError, new, site, "--before", deployment.evidence)
    assert "a fleet begins with this evidence" in refused(LogError, old, site, "--before", new)
    assert "a fleet begins with this evidence" in refused(LogError, new, site, "--before", old, "--before", old)
    assert "holds no evidence" in refused(ConfigError, new, site, "--before", tmp_path)
    assert "lies in the evidence" in refused(ConfigError, new, old / "site", "--before", old)
    assert not site.exists()
