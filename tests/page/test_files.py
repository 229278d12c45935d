"""What the site serves and what it does not, and that the page's files travel with the package."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import pytest

from hsm_app.auditor.page import page_files, write_page
from hsm_app.auditor.site import serving
from hsm_app.pages.web_files import SOURCE, TYPES, Page
from tests.fleet.trust import root_of_trust

ROOT = Path(__file__).parents[2]


@pytest.fixture
def public(tmp_path: Path) -> Path:
    (tmp_path / "public").mkdir()
    (tmp_path / "public" / "other.txt").write_text("no file of the site")
    (tmp_path / "secret.json").write_text("outside")
    return tmp_path / "public"


def test_the_page_is_served_with_its_types(public: Path) -> None:
    answer = serving(public, page=page_files([root_of_trust()]))
    for path, kind in {"/": "text/html", "/page.js": "text/javascript", "/page.css": "text/css"}.items():
        reply = answer("GET", path, b"")
        assert (reply.status, reply.headers["X-Content-Type-Options"]) == (200, "nosniff")
        assert reply.headers["Content-Type"].startswith(kind)
    (listed,) = json.loads(answer("GET", "/namespaces.json", b"").body)
    assert answer("GET", f"/{listed['root_of_trust']}", b"").body == root_of_trust().raw


def test_a_web_server_gets_the_same_files(public: Path) -> None:
    files = page_files([root_of_trust()])
    write_page(public, files)
    assert {name: (public / name).read_bytes() for name in files} == files
    assert (public / "index.html").is_file()


@pytest.mark.parametrize(
    "path",
    ["/other.txt", "/../secret.json", "//page.js", "/roots-of-trust/../namespaces.json", "/roots-of-trust/", "/tile",
     "/.page.js.new", "/web/page.js"],
)  # fmt: skip
def test_nothing_else_is_served(public: Path, path: str) -> None:
    write_page(public, page_files([root_of_trust()]))
    assert serving(public)("GET", path, b"").status == 404


def test_only_get_is_answered(public: Path) -> None:
    assert serving(public)("POST", "/", b"").status == 404


def test_the_page_names_no_other_place_and_writes_no_markup() -> None:
    for path in (path for path in SOURCE.rglob("*") if path.is_file()):
        text = path.read_text()
        assert path.suffix in TYPES, path
        assert not re.search(r"https?://|//cdn|innerHTML|outerHTML|insertAdjacent|document\.write|eval\(", text), path


@pytest.mark.parametrize("name", Page)
def test_its_policy_is_strict(name: Page) -> None:
    page = (SOURCE / name / "index.html").read_text()
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]+)"', page)
    assert policy is not None
    assert "default-src 'none'" in policy[1]
    assert "unsafe" not in policy[1]
    assert not re.search(r"<script(?![^>]* src=)|<style| style=| on\w+=", page)


def test_the_package_carries_it() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert project["tool"]["setuptools"]["package-data"]["hsm_app.pages"] == ["web/*/*"]
