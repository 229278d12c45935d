"""The page where a site has several namespaces, where another web server serves it, and where a log is too long for it.

Covered: the switch between namespaces by link, address and history, also when one of them is broken or is not there;
the files that `hsm-vault auditor page` writes behind Python's plain web server; logs at and above the page's limit.
Not covered: other web servers than Python's; each has its own ideas of types and caches.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hsm_app.auditor.page import LISTED, page_files, write_page
from hsm_app.auditor.site import serving
from hsm_app.auditor.witnesses import gather
from hsm_app.fleet.root_of_trust import RootOfTrust, parse_root_of_trust
from hsm_app.net.http import HttpServer
from tests.auditor.world import World, following, manifest, world
from tests.cli.command import well
from tests.fleet import trust
from tests.page.browser import Browser, fresh
from tests.patience import PATIENCE

FIRST, SECOND = trust.NAMESPACE, "vault.example/second"
LARGEST = 20_000  # entries, as web/tree.js has it


def with_second(audited: World) -> RootOfTrust:
    """Let the same auditor and operator have a second namespace in the same log: one epoch in it, two in the first."""
    raw = audited.root.raw.replace(FIRST.encode(), SECOND.encode())
    (audited.directory / "second.json").write_bytes(raw)
    with (audited.auditor / "auditor.toml").open("a") as settings:
        settings.write(f'"{SECOND}" = "../second.json"\n')
    first = manifest()
    audited.whole(first)
    audited.whole(manifest(namespace=SECOND))
    audited.whole(following(first, fleets=(trust.next_members(),)))
    return parse_root_of_trust(raw)


@pytest.fixture(scope="module")
def audited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world(tmp_path_factory.mktemp("two")) as made:
        with_second(made)
        well("auditor", "page", made.auditor)
        yield made


@contextmanager
def plainly_served(public: Path) -> Iterator[str]:
    """A web server that knows nothing of logs."""
    at = fresh()
    server = [sys.executable, "-u", "-m", "http.server", "--bind", at.host, "--directory", str(public), str(at.port)]
    process = subprocess.Popen(server, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert process.stdout is not None
        assert f" port {at.port} " in process.stdout.readline()  # from here on it listens
        yield f"http://{at}/"
    finally:
        process.terminate()
        process.wait(PATIENCE)
        if process.stdout is not None:
            process.stdout.close()


@pytest.fixture
def site(audited: World) -> Iterator[str]:
    with plainly_served(audited.auditor / "public") as address:
        yield address


@contextmanager
def changed(path: Path, data: bytes | None) -> Iterator[None]:
    kept = path.read_bytes()
    path.unlink() if data is None else path.write_bytes(data)
    try:
        yield
    finally:
        path.write_bytes(kept)


def shown(chromium: Browser) -> tuple[str, str, int]:
    """The namespace in the heading, the one that is marked among the links, and how many epochs can be seen."""
    script = """return [
        document.getElementById('namespace').innerText,
        document.querySelector('#namespaces [aria-current]')?.innerText ?? '',
        [...document.querySelectorAll('.card')].filter(card => card.checkVisibility()).length]"""
    heading, current, epochs = chromium.run(script)
    return heading, current, epochs


def click(name: str) -> str:
    return f"[...document.querySelectorAll('#namespaces a')].find(a => a.innerText === {json.dumps(name)}).click()"


def test_a_plain_web_server_is_enough(chromium: Browser, site: str) -> None:
    chromium.open(site)
    assert chromium.verdict() == "PASS", chromium.text("main")
    assert "Epoch 2 is in force" in chromium.text("#summary")


def test_a_reader_switches_between_namespaces(chromium: Browser, audited: World, site: str) -> None:
    chromium.open(site)
    assert chromium.verdict() == "PASS"
    assert shown(chromium) == (FIRST, FIRST, 2)
    digest = chromium.text("#root-digest")
    assert chromium.verdict_after(click(SECOND)) == "PASS"
    assert shown(chromium) == (SECOND, SECOND, 1)
    assert digest != chromium.text("#root-digest")
    assert chromium.run("return location.hash") == "#vault.example%2Fsecond"
    assert chromium.text("#command").split()[3] == site
    assert chromium.verdict_after("history.back()") == "PASS"
    assert shown(chromium) == (FIRST, FIRST, 2)
    assert chromium.text("#root-digest") == digest == audited.root.digest.hex()


def test_a_link_leads_to_its_namespace(chromium: Browser, site: str) -> None:
    chromium.open(f"{site}index.html#vault.example%2Fsecond")
    assert chromium.verdict() == "PASS"
    assert shown(chromium) == (SECOND, SECOND, 1)
    assert chromium.text("#command").split()[3] == site


def test_one_namespace_needs_no_links(chromium: Browser, audited: World) -> None:
    answer = serving(audited.auditor / "public", page=page_files([audited.root]))
    server = HttpServer(fresh(), answer)
    try:
        chromium.open(f"http://127.0.0.1:{server.port}/")
        assert chromium.verdict() == "PASS"
        assert shown(chromium) == (FIRST, "", 2)
    finally:
        server.close()


@pytest.mark.parametrize("wanted", ["vault.example%2Fthird", "%", "__proto__"])
def test_a_namespace_that_is_not_there_is_said(chromium: Browser, site: str, wanted: str) -> None:
    """Whoever follows a link to it must not be shown another one's green."""
    chromium.open(f"{site}#{wanted}")
    assert chromium.verdict() == "NOT-PROVEN"
    assert "names no namespace" in chromium.text("#summary")
    assert shown(chromium) == ("Fleet keys in the open", "", 0)
    assert chromium.verdict_after(click(SECOND)) == "PASS"
    assert shown(chromium) == (SECOND, SECOND, 1)


@pytest.mark.parametrize(
    ("data", "why"), [(None, "is missing"), (b"{}", "no root of trust"), (b'{"a":1,"a":2}', "in two ways")]
)
def test_a_broken_namespace_shows_nothing_of_the_one_before(
    chromium: Browser, audited: World, site: str, data: bytes | None, why: str
) -> None:
    public = audited.auditor / "public"
    (path,) = (one["root_of_trust"] for one in json.loads((public / LISTED).read_bytes()) if one["namespace"] == SECOND)
    chromium.open(site)
    assert chromium.verdict() == "PASS"
    with changed(public / path, data):
        assert chromium.verdict_after(click(SECOND)) == "FAIL"
        assert why in chromium.text("#summary")
        assert shown(chromium) == (SECOND, SECOND, 0)
        assert audited.root.digest.hex() not in chromium.text("body")
        assert chromium.verdict_after(click(FIRST)) == "PASS"
        assert shown(chromium) == (FIRST, FIRST, 2)


def test_a_root_of_trust_under_another_one_s_name_is_refused(chromium: Browser, audited: World, site: str) -> None:
    """A list that offers the first one's document as the second's would show the first one's green."""
    listed = audited.auditor / "public" / LISTED
    swapped = json.loads(listed.read_bytes())
    swapped[1]["root_of_trust"] = swapped[0]["root_of_trust"]
    with changed(listed, json.dumps(swapped).encode()):
        chromium.open(f"{site}#vault.example%2Fsecond")
        assert chromium.verdict() == "FAIL"
        assert f"its root of trust is for {FIRST}" in chromium.text("#summary")
        assert shown(chromium) == (SECOND, SECOND, 0)


@pytest.mark.parametrize(
    ("listed", "outcome", "why"),
    [
        (b"[]", "NOT-PROVEN", "names no namespace"),
        (b"", "NOT-PROVEN", "names no namespace"),
        (b"null", "FAIL", "does not read"),
        (b"{}", "FAIL", "does not read"),
        (b'"text"', "FAIL", "does not read"),
        (b"[null]", "FAIL", "does not read"),
        (b'[{"namespace":"vault.example/fleets"}]', "FAIL", "does not read"),
        (b"[", "FAIL", "not JSON"),
        (b"\xff", "FAIL", "not UTF-8"),
    ],
)
def test_a_list_of_namespaces_that_gives_none_is_said(
    chromium: Browser, audited: World, site: str, listed: bytes, outcome: str, why: str
) -> None:
    with changed(audited.auditor / "public" / LISTED, listed):
        chromium.open(site)
        assert chromium.verdict() == outcome
        assert why in chromium.text("#summary")
        assert shown(chromium)[2] == 0


def test_a_server_that_tells_files_by_their_times_hides_no_change(chromium: Browser, audited: World, site: str) -> None:
    """Tools that publish sites give all files one time; the browser would then keep what it has."""
    public = audited.auditor / "public"
    for path in public.rglob("*"):
        os.utime(path, (10**9, 10**9))
    chromium.open(site)
    assert chromium.verdict() == "PASS"
    checkpoint = (public / "checkpoint").read_bytes()
    with changed(public / "checkpoint", checkpoint.replace(b"\n3\n", b"\n2\n", 1)):
        os.utime(public / "checkpoint", (10**9, 10**9))
        chromium.open(site)
        assert chromium.verdict() == "FAIL"


def test_a_log_that_is_too_long_for_a_page_is_said_to_be(chromium: Browser, tmp_path: Path) -> None:
    """At the limit it is read whole; one entry more, and nothing is claimed about it, nor that it is empty."""
    with world(tmp_path) as audited:
        public = audited.auditor / "public"
        write_page(public, page_files([audited.root]))
        audited.whole(manifest())
        opened = audited.open()
        with plainly_served(public) as site:
            for count, outcome in ((LARGEST - 1, "PASS"), (1, "NOT-PROVEN")):
                opened.log.append([b""] * count)
                note = gather(opened.log.note, opened.log.prove_growth, audited.root.policy.witnesses).note
                opened.log.publish(note)
                chromium.open(site)
                assert chromium.verdict() == outcome, chromium.text("main")
        opened.close()
        assert "20001 entries, more than a page should read" in chromium.text("#summary")
        assert "hsm-vault log verify" in chromium.text("#summary")
        assert "othing is logged" not in chromium.text("#banner")
        assert shown(chromium)[2] == 0
