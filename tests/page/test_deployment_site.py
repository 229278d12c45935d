"""`hsm-vault ceremony page`: a site is written whole or not at all, over its own kind only, of evidence that holds.

Covered: an older site, stale files, somebody else's files, a full disk, a crash between the renames, a second run at
the same time. Not covered: a device that loses what it said it wrote.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest

from hsm_app.durable import beside as beside_file
from hsm_app.durable import own_directory, replace_file
from hsm_app.errors import ConfigError, LogError, StoreError, VaultError
from hsm_app.evidence.checks import CHECKS
from hsm_app.evidence.dossier import PLAN
from hsm_app.evidence.token_record import expected_objects
from hsm_app.pages import site as site_module
from hsm_app.pages.deployment import EVIDENCE, FORMS, deployment_files
from hsm_app.pages.site import LIST, replace_site
from hsm_app.pages.web_files import INDEX
from tests.cli.command import run, well
from tests.evidence.deployment import Deployment, Files

OLD, NEW = {"index.html": b"old", "gone/stale.txt": b"1"}, {"index.html": b"new", "evidence/a": b"2"}


def content(root: Path) -> Files:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def beside(site: Path) -> list[str]:
    return sorted(path.name for path in site.parent.iterdir())


@pytest.fixture
def site(tmp_path: Path) -> Path:
    replace_site(tmp_path / "site", OLD)
    return tmp_path / "site"


def refused(kind: type[VaultError], *words: str | Path) -> str:
    error = run("ceremony", "page", *words).exception
    assert isinstance(error, kind), error
    return str(error)


def test_the_site_holds_the_evidence_byte_for_byte_and_nothing_else(deployment: Deployment, tmp_path: Path) -> None:
    well("ceremony", "page", deployment.root, tmp_path / "site")
    written = content(tmp_path / "site")
    listed = written.pop(LIST).decode().splitlines()
    assert written == deployment_files(deployment.files)
    assert content(tmp_path / "site" / EVIDENCE) == deployment.files
    assert listed == sorted(listed, key=lambda line: line[66:])
    assert dict(line.split("  ")[::-1] for line in listed) == {
        path: sha256(data).hexdigest() for path, data in written.items()
    }


def test_what_the_page_takes_from_this_program_is_of_one_source(deployment: Deployment) -> None:
    forms = json.loads(deployment_files(deployment.files)[FORMS])
    assert [(one["name"], one["says"], one["is_silent_on"]) for one in forms["checks"]] == [
        (check.name, check.says, check.is_silent_on) for check in CHECKS
    ]
    assert forms["objects"] == {"sealed": expected_objects(sealed=True), "maintained": expected_objects(sealed=False)}


def test_ceremony_evidence_and_an_older_site_make_the_same_site(deployment: Deployment, tmp_path: Path) -> None:
    site = tmp_path / "site"
    for source in (deployment.root, deployment.evidence, site, site / EVIDENCE):
        well("ceremony", "page", source, site)
        assert content(site / EVIDENCE) == deployment.files
        assert (site / INDEX).is_file()
    assert beside(site) == ["site"]


def test_an_older_site_is_replaced_in_whole(site: Path) -> None:
    replace_site(site, NEW)
    assert content(site).keys() == {*NEW, LIST}
    assert (site / "index.html").read_bytes() == b"new"
    assert not (site / "gone").exists()
    assert beside(site) == ["site"]


@pytest.mark.parametrize("name", ["CNAME", ".git/config", "gone/mine.txt"])
def test_what_somebody_else_put_there_is_not_replaced(site: Path, name: str) -> None:
    (site / name).parent.mkdir(exist_ok=True)
    (site / name).write_text("mine")
    before = content(site)
    with pytest.raises(ConfigError, match=f"holds {name}, which no page"):
        replace_site(site, NEW)
    assert content(site) == before
    assert beside(site) == ["site"]


def test_a_link_is_somebody_else_s_too(site: Path) -> None:
    (site / "linked").symlink_to(site.parent)
    with pytest.raises(ConfigError, match="holds linked"):
        replace_site(site, NEW)


def test_a_directory_that_is_no_site_is_refused_and_an_empty_one_taken(deployment: Deployment, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "empty").mkdir()
    assert "is no directory" in refused(ConfigError, deployment.root, tmp_path / "file")
    assert "which no page of this program wrote" in refused(ConfigError, deployment.root, tmp_path)
    assert "is no directory. Make it first" in refused(ConfigError, deployment.root, tmp_path / "missing" / "site")
    well("ceremony", "page", deployment.root, tmp_path / "empty")
    assert (tmp_path / "file").read_text() == "mine"


def test_a_site_that_is_a_link_is_replaced_where_it_leads(site: Path) -> None:
    (site.parent / "current").symlink_to("site")
    replace_site(site.parent / "current", NEW)
    assert (site.parent / "current").is_symlink()
    assert (site / "index.html").read_bytes() == b"new"


def test_a_full_disk_leaves_the_older_site(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, data: bytes) -> None:
        if path.name == "a":
            raise StoreError(f"cannot write {path}: No space left on device")
        path.write_bytes(data)

    before = content(site)
    monkeypatch.setattr(site_module, "replace_file", full)
    with pytest.raises(StoreError, match="No space left"):
        replace_site(site, NEW)
    assert content(site) == before
    assert beside(site) == ["site"]


def test_a_rename_that_fails_leaves_the_older_site(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rename = Path.rename

    def failing(path: Path, target: Path) -> Path:
        if path.name == ".site.new":
            raise OSError(5, "Input/output error")
        return rename(path, target)

    before = content(site)
    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises(StoreError, match="Input/output error"):
        replace_site(site, NEW)
    assert content(site) == before
    assert beside(site) == ["site"]


def test_after_a_crash_between_the_renames_the_older_site_comes_back_first(site: Path) -> None:
    before = content(site)
    site.rename(site.with_name(".site.old"))
    shutil.copytree(site.with_name(".site.old"), site.with_name(".site.new"))
    (site.with_name(".site.old") / "CNAME").write_text("mine")  # so that this run stops once it looked
    with pytest.raises(ConfigError, match="holds CNAME"):
        replace_site(site, NEW)
    assert content(site) == {**before, "CNAME": b"mine"}
    (site / "CNAME").unlink()
    replace_site(site, NEW)
    assert beside(site) == ["site"]


OTHERS = {
    "a directory with files": lambda path: (path.mkdir(), (path / "thesis.txt").write_text("mine")),
    "a directory of directories": lambda path: (path / "photos").mkdir(parents=True),
    "a file": lambda path: path.write_text("mine"),
    "a link": lambda path: path.symlink_to(path.parent / "site"),
}


@pytest.mark.parametrize("is_there", [True, False], ids=["an older site", "no site"])
@pytest.mark.parametrize("name", [".site.new", ".site.old"])
@pytest.mark.parametrize("make", OTHERS.values(), ids=OTHERS)
def test_what_somebody_else_has_beside_the_site_stays(
    site: Path, make: Callable[[Path], object], name: str, is_there: bool
) -> None:
    if not is_there:
        shutil.rmtree(site)
    make(site.with_name(name))
    before = list(site.parent.rglob("*"))
    with pytest.raises(ConfigError, match=re.escape(str(site.with_name(name)))):
        replace_site(site, NEW)
    assert list(site.parent.rglob("*")) == before


@pytest.mark.parametrize("writes", range(4))
def test_what_a_crash_left_of_a_new_site_goes(site: Path, monkeypatch: pytest.MonkeyPatch, writes: int) -> None:
    """The process ends between any two writes, or in the middle of one, and cleans up nothing."""
    done = []

    def dies(path: Path, data: bytes) -> None:
        if len(done) == writes:
            beside_file(path).write_bytes(data[:1])
            raise KeyboardInterrupt
        done.append(path)
        replace_file(path, data)

    with monkeypatch.context() as patched:
        patched.setattr(site_module, "replace_file", dies)
        patched.setattr(shutil, "rmtree", lambda *_, **__: None)
        if writes < 3:
            with pytest.raises(KeyboardInterrupt):
                replace_site(site, NEW)
        else:
            replace_site(site, NEW)
    assert len(beside(site)) == 2
    replace_site(site, {**NEW, "later": b"3"})
    assert set(content(site)) == {*NEW, "later", LIST}
    assert beside(site) == ["site"]


def test_two_runs_at_a_time_are_one_too_many(site: Path) -> None:
    owned = own_directory(site.parent)
    try:
        with pytest.raises(StoreError, match="another process"):
            replace_site(site, NEW)
    finally:
        os.close(owned)
    assert (site / "index.html").read_bytes() == b"old"


def test_evidence_that_does_not_hold_gets_no_page(deployment: Deployment, tmp_path: Path) -> None:
    evidence = tmp_path / "evidence"
    shutil.copytree(deployment.evidence, evidence)
    (evidence / "minutes.txt").write_text("All went well.")
    why = refused(LogError, evidence, tmp_path / "site")
    assert "signatures: minutes.txt is not named by statement.dsse.json" in why
    assert "No page was written" in why
    assert beside(evidence) == ["evidence"]


def test_evidence_of_another_ceremony_gets_no_page(deployment: Deployment, tmp_path: Path) -> None:
    """Whose transcript no command checks as a deployment."""
    shutil.copytree(deployment.evidence, tmp_path / "evidence")
    plan = (tmp_path / "evidence" / PLAN).read_text()
    (tmp_path / "evidence" / PLAN).write_text(f'fleet_directory = "."\n{plan.replace("genesis", "destroy-fleet")}')
    assert "this is the evidence of destroy-fleet" in refused(ConfigError, tmp_path, tmp_path / "site")
    assert not (tmp_path / "site").exists()


def test_a_directory_without_evidence_is_refused(tmp_path: Path) -> None:
    assert "holds no evidence" in refused(ConfigError, tmp_path, tmp_path / "site")


@pytest.mark.parametrize("place", ["", "site", "tokens/site"])
def test_a_site_in_the_evidence_is_refused(deployment: Deployment, place: str) -> None:
    """There it would be a file that nobody signed."""
    assert "lies in the evidence" in refused(ConfigError, deployment.root, deployment.evidence / place)
    assert content(deployment.evidence) == deployment.files
