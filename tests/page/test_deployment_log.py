"""The page about a deployment looks into the log by its reader's root of trust, and says what an audit by it says.

Covered: the tables of tests/page/log_cases.py; seeded mutations of a bundle; a bundle that the real programs of an
auditor and two witnesses made; files that are no root of trust; a root of trust that the site offers; a browser without
Ed25519. Not covered: an operator who serves another page.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import pytest

from hsm_app.errors import ConfigError, LogError
from hsm_app.evidence.audit import audit
from hsm_app.evidence.beliefs import Beliefs
from hsm_app.evidence.dossier import BUNDLE
from hsm_app.evidence.verdict import Outcome, Verdict
from hsm_app.fleet.root_of_trust import parse_root_of_trust
from hsm_app.pages.deployment import EVIDENCE, deployment_files
from tests.auditor.world import world
from tests.evidence.deployment import Deployment
from tests.evidence.tampering import without
from tests.fleet.trust import root_of_trust
from tests.page.browser import Browser, browser, driver
from tests.page.deployments import Look, look_at, served
from tests.page.log_cases import Case, Scene, by_entry, by_file, by_proof, by_root, mutated, no_roots
from tests.page.test_page import WITHOUT_ED25519

CHECK = "log-inclusion"
ROW = f"document.querySelector('[data-check={CHECK}]')"


@dataclass(frozen=True, kw_only=True)
class Found:
    """What page and audit say of a case."""

    case: Case
    look: Look
    audit: Verdict

    @property
    def outcome(self) -> str:
        return self.look.checks[CHECK][0]

    @property
    def why(self) -> str:
        return self.look.checks[CHECK][1]


def audited(case: Case) -> Verdict:
    beliefs = Beliefs(now=0, root_of_trust=parse_root_of_trust(case.root))
    return audit(case.files, beliefs)[CHECK]


@pytest.fixture(scope="module")
def scene(deployment: Deployment, other_deployment: Deployment) -> Scene:
    return Scene(deployment, other_deployment)


@pytest.fixture(scope="module")
def tables(scene: Scene) -> dict[str, Case]:
    return by_root(scene) | by_entry(scene) | by_proof(scene) | by_file(scene)


@pytest.fixture(scope="module")
def found(
    chromium: Browser, scene: Scene, tables: dict[str, Case], tmp_path_factory: pytest.TempPathFactory
) -> Mapping[str, Found]:
    """Every case, in one sitting of one browser."""
    cases = dict(tables)
    cases |= {f"mutation {number}": Case(files=files) for number, files in enumerate(mutated(scene))}
    cases["the bundle is missing"] = Case(files=without(scene.files, BUNDLE))
    cases["real programs made it"] = by_programs(scene, tmp_path_factory.mktemp("world"))
    looks = look_at(
        chromium,
        {name: case.files for name, case in cases.items()},
        {name: case.root for name, case in cases.items()},
    )
    return {name: Found(case=case, look=looks[name], audit=audited(case)) for name, case in cases.items()}


def by_programs(scene: Scene, room: Path) -> Case:
    """An auditor signs and logs the manifest, the operator counter-signs it, and two witnesses cosign."""
    with world(room) as made:
        bundle = made.whole(scene.manifest).bundle
    return Case(files=scene.bundled(bundle), root=made.root.raw)


def test_it_says_of_every_bundle_what_an_audit_says(found: Mapping[str, Found]) -> None:
    differing = {
        name: (one.outcome, one.why, one.audit) for name, one in found.items() if one.outcome != one.audit.outcome
    }
    assert not differing, "\n".join(map(str, differing.items()))
    assert len(found) > 90


def test_each_case_holds_or_fails_for_its_own_reason(tables: dict[str, Case], found: Mapping[str, Found]) -> None:
    """So the agreement above is about what the name of the case says, and not about something else."""
    for name in tables:
        one = found[name]
        expected = Outcome.FAIL if one.case.why else Outcome.PASS
        assert (one.outcome, one.case.why in one.why) == (expected, True), f"{name}: {one.outcome}, {one.why}"


def test_what_real_programs_made_is_in_the_log(found: Mapping[str, Found]) -> None:
    one = found["real programs made it"]
    assert one.outcome == one.audit.outcome == Outcome.PASS
    assert sha256(one.case.root).hexdigest() in one.why


def test_the_banner_follows_and_nothing_else_changes(found: Mapping[str, Found]) -> None:
    good, bad = found["all as it was published"].look, found["the auditor is another"].look
    assert (good.verdict, bad.verdict) == (Outcome.NOT_PROVEN, Outcome.FAIL)
    assert CHECK not in good.banner
    assert f"{CHECK}: {bad.checks[CHECK][1]}" in bad.banner
    assert {**good.checks, CHECK: None} == {**bad.checks, CHECK: None}


# -- the reader and the file


@pytest.fixture
def address(deployment: Deployment) -> Iterator[str]:
    """A site that offers a root of trust wherever one could look for it."""
    offered = root_of_trust().raw
    files = deployment_files(deployment.files)
    places = ("root-of-trust.json", "namespaces.json", f"{EVIDENCE}/root-of-trust.json")
    with served({"site": {**files, **dict.fromkeys(places, offered)}}) as at:
        yield f"{at}site/"


@pytest.fixture
def give(chromium: Browser, tmp_path: Path) -> Callable[[bytes], tuple[str, str]]:
    """Choose a file as a person does, and return what the check says then."""

    def given(raw: bytes) -> tuple[str, str]:
        (tmp_path / "mine.json").write_bytes(raw)
        chromium.run("document.querySelector('#own-root').value = ''")
        chromium.give_file("#own-root", tmp_path / "mine.json")
        chromium.verdict()
        return check(chromium)

    return given


def check(chromium: Browser) -> tuple[str, str]:
    outcome, why = chromium.run(f"return [{ROW}.dataset.outcome, {ROW}.querySelector('.why').textContent]")
    return outcome, why


def test_a_root_of_trust_of_the_site_is_no_proof(chromium: Browser, address: str) -> None:
    for more in ("", "?root-of-trust=root-of-trust.json", "#root-of-trust.json"):
        chromium.open(address + more)
        chromium.verdict()
        outcome, why = check(chromium)
        assert outcome == Outcome.NOT_PROVEN
        assert "give this page your root of trust" in why
        asked = chromium.run("return performance.getEntriesByType('resource').map(one => one.name)")
        assert not any("root-of-trust" in url or "namespaces" in url for url in asked)


def test_a_person_gives_one_and_sees_whose_it_was(
    chromium: Browser, give: Callable[[bytes], tuple[str, str]], address: str
) -> None:
    chromium.open(address)
    chromium.verdict()
    chromium.run(f"{ROW}.previousElementSibling.querySelector('details').open = true")
    raw = root_of_trust().raw
    outcome, why = give(raw)
    assert outcome == Outcome.PASS
    assert sha256(raw).hexdigest() in why
    assert sha256(raw).hexdigest() in chromium.text("#own-root-said")
    assert chromium.text("#own-root-found") == f"{CHECK} PASS"
    assert chromium.run(f"return {ROW}.previousElementSibling.querySelector('details').open")
    chromium.run("document.querySelector('#own-root').value = ''")
    chromium.verdict_after("document.querySelector('#own-root').dispatchEvent(new Event('change'))")
    assert check(chromium)[0] == Outcome.NOT_PROVEN
    assert chromium.text("#own-root-said") == chromium.text("#own-root-found") == ""


def test_a_file_that_is_no_root_of_trust_is_an_error_beside_the_input(
    chromium: Browser, scene: Scene, give: Callable[[bytes], tuple[str, str]], address: str
) -> None:
    """Each is refused by the program, too; the rest of the page stays, and what was proven by another file does not."""
    chromium.open(address)
    chromium.verdict()
    assert give(root_of_trust().raw)[0] == Outcome.PASS
    others = f"[...document.querySelectorAll('[data-check]')].filter(one => one !== {ROW}).map(one => one.outerHTML)"
    before = chromium.run(f"return {others}")
    for name, raw in no_roots(scene.manifest).items():
        with pytest.raises((ConfigError, LogError)):
            parse_root_of_trust(raw)
        outcome, why = give(raw)
        error = chromium.text("#own-root-error")
        assert outcome == Outcome.NOT_PROVEN, name
        found = re.fullmatch(r"Not taken: (.+)\. Choose another file\.", error)
        assert found is not None, f"{name}: {error}"
        assert found[1] in why, name
        assert chromium.text("#own-root-said") == chromium.text("#own-root-found") == "", name
    assert chromium.run(f"return {others}") == before
    assert len(before) == 11
    assert give(root_of_trust().raw)[0] == Outcome.PASS
    assert chromium.text("#own-root-error") == ""


def test_a_browser_without_ed25519_does_not_tell(address: str, tmp_path: Path) -> None:
    (tmp_path / "mine.json").write_bytes(root_of_trust().raw)
    with driver() as started, browser(started) as old:
        old.devtools("Page.addScriptToEvaluateOnNewDocument", {"source": WITHOUT_ED25519})
        old.open(address)
        old.verdict()
        old.give_file("#own-root", tmp_path / "mine.json")
        old.verdict()
        outcome, why = check(old)
    assert outcome == Outcome.NOT_PROVEN
    assert "Ed25519" in why
