"""The page for people in a real browser: green for an honest log, red for every file that somebody changed.

Covered: each file of a log changed, missing, rolled back or replaced by another history; another root of trust; an
entry that parsers read differently; a browser without Ed25519. Not covered: an auditor who serves another page.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hsm_app.auditor.page import page_files
from hsm_app.auditor.site import serving
from hsm_app.fleet.manifest_json import parse_manifest
from hsm_app.fleet.role_keys import RoleKey
from hsm_app.fleet.root_of_trust import Role, RootOfTrust, encode_root_of_trust
from hsm_app.net.http import HttpServer
from hsm_app.tlog.merkle import leaf_hash
from hsm_app.tlog.tiles import pack_entries, unpack_entries
from tests.auditor.world import World, following, manifest, world
from tests.fleet import trust
from tests.page.browser import Browser, browser, driver, fresh

WITHOUT_ED25519 = """
    const known = SubtleCrypto.prototype.importKey;
    SubtleCrypto.prototype.importKey = function (format, data, algorithm, ...rest) {
      if (algorithm.name === "Ed25519") return Promise.reject(new DOMException("no", "NotSupportedError"));
      return known.call(this, format, data, algorithm, ...rest);
    };"""
ENTRIES, TILE = "tile/entries/000.p/3", "tile/0/000.p/3"


def logged(audited: World) -> list[bytes]:
    """Three epochs: a fleet, another key of it, and nothing but a new time."""
    first = manifest()
    second = following(first, fleets=(trust.next_members(),))
    third = following(second, fleets=(trust.next_members(),))
    for raw in (first, second, third):
        audited.whole(raw)
    return [first, second, third]


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world(tmp_path_factory.mktemp("page")) as made:
        logged(made)
        yield made


@contextmanager
def served(audited: World) -> Iterator[str]:
    """The site on a port of its own, and so without the browser's memory of another one."""
    answer = serving(audited.auditor / "public", page=page_files([audited.root]))
    server = HttpServer(fresh(), answer)
    try:
        yield f"http://127.0.0.1:{server.port}/"
    finally:
        server.close()


def failed(chromium: Browser) -> set[str]:
    """The names of the checks that the page shows as failed."""
    rows = "[...document.querySelectorAll('[data-check][data-outcome=FAIL]')].map(row => row.dataset.check)"
    return set(chromium.run(f"return {rows}"))


@contextmanager
def changed(path: Path, change: Callable[[bytes], bytes] | None) -> Iterator[None]:
    kept = path.read_bytes()
    path.unlink() if change is None else path.write_bytes(change(kept))
    try:
        yield
    finally:
        path.write_bytes(kept)


def test_an_honest_log_is_green_and_says_what_changed(chromium: Browser, honest: World) -> None:
    chromium.resize(1100, 900)
    with served(honest) as site:
        chromium.open(site)
        assert chromium.verdict() == "PASS", chromium.text("main")
        assert chromium.text("#namespace") == trust.NAMESPACE
        cards = chromium.run("return [...document.querySelectorAll('.card')].map(card => card.innerText)")
        assert [card.split("\n")[0] for card in cards] == ["Epoch 3", "Epoch 2", "Epoch 1"]
        old, new = (
            fleet.groups[0].replicas[0].identity_public.hex()
            for fleet in (parse_manifest(manifest()).fleets[0], trust.next_members())
        )
        assert "No fleet changed" in cards[0]
        assert all(text in cards[1] for text in ("identity key", old, new))
        assert "is new" in cards[2]
        assert honest.root.auditors.keys[0].id[:8] in cards[0]
        assert trust.operator().key.id[:8] in cards[0]
        assert chromium.text("#root-digest") == honest.root.digest.hex()
        assert f"hsm-vault log verify {site}" in chromium.text("#command")


def test_a_second_look_is_consistent_with_the_first(chromium: Browser, honest: World) -> None:
    consistency = "return document.querySelector('[data-check=consistency]').dataset.outcome"
    with served(honest) as site:
        for outcome, title in (
            ("NOT-PROVEN", "Every check passed that a first look can make"),
            ("PASS", "Every check passed"),
        ):
            chromium.open(site)
            assert chromium.verdict() == "PASS"
            assert chromium.run(consistency) == outcome
            assert chromium.text("#verdict") == title


def test_it_fits_a_phone_and_asks_no_other_site(chromium: Browser, honest: World) -> None:
    chromium.resize(360, 740)
    with served(honest) as site:
        chromium.open(site)
        assert chromium.verdict() == "PASS"
        assert chromium.run("return document.documentElement.scrollWidth") <= 360
        asked = chromium.run("return performance.getEntriesByType('resource').map(one => one.name)")
        assert len(asked) > 10
        assert all(url.startswith(site) for url in asked)


def test_its_policy_lets_no_script_run_that_is_not_a_file_of_the_site(chromium: Browser, honest: World) -> None:
    with served(honest) as site:
        chromium.open(site)
        chromium.verdict()
        chromium.run(
            "const made = document.createElement('script'); made.textContent = 'window.ran = true';"
            "document.addEventListener('securitypolicyviolation', () => { window.refused = true; });"
            "document.body.append(made);"
        )
        assert chromium.until("return window.refused") == "True"
        assert chromium.run("return window.ran === undefined")


def flipped(at: int) -> Callable[[bytes], bytes]:
    return lambda data: data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def cosignature_of_another_time(note: bytes) -> bytes:
    lines = note.split(b"\n")
    return b"\n".join([*lines[:-2], lines[-2][:-30] + b"AAAA" + lines[-2][-26:], b""])


TAMPERED: dict[str, tuple[str, str, Callable[[bytes], bytes] | None]] = {
    "an entry changed": ("inclusion", ENTRIES, flipped(200)),
    "a signature in an entry changed": ("inclusion", ENTRIES, lambda data: data.replace(b'"sig":"', b'"sig":"A', 1)),
    "a key id in an entry changed": ("inclusion", ENTRIES, lambda data: data.replace(b"keyid", b"keyie", 1)),
    "the last entry cut short": ("inclusion", ENTRIES, lambda data: data[:-1]),
    "the entries missing": ("inclusion", ENTRIES, None),
    "a tile changed": ("inclusion", TILE, flipped(40)),
    "a tile cut short": ("inclusion", TILE, lambda data: data[:-1]),
    "a tile missing": ("inclusion", TILE, None),
    "the checkpoint's size changed": ("proof", "checkpoint", lambda data: data.replace(b"\n3\n", b"\n2\n", 1)),
    "the checkpoint's root changed": ("proof", "checkpoint", lambda data: data.replace(b"\n3\n", b"\n3\nA", 1)),
    "the checkpoint's origin changed": ("proof", "checkpoint", lambda data: data.replace(b"log", b"lag", 1)),
    "the log's signature left out": (
        "proof",
        "checkpoint",
        lambda data: b"\n".join(data.split(b"\n")[:4] + data.split(b"\n")[5:]),
    ),
    "a cosignature changed": ("witnesses", "checkpoint", cosignature_of_another_time),
    "a cosignature left out": ("witnesses", "checkpoint", lambda data: b"\n".join(data.split(b"\n")[:-2]) + b"\n"),
    "the checkpoint missing": ("proof", "checkpoint", None),
}


@pytest.mark.parametrize(("check", "file", "change"), TAMPERED.values(), ids=TAMPERED.keys())
def test_it_turns_red_with(
    chromium: Browser, honest: World, check: str, file: str, change: Callable[[bytes], bytes] | None
) -> None:
    with served(honest) as site:
        with changed(honest.auditor / "public" / file, change):
            chromium.open(site)
            assert chromium.verdict() == "FAIL"
            assert check in failed(chromium), chromium.text("main")
            assert "fail" in chromium.run("return document.getElementById('banner').className")
        chromium.open(site)
        assert chromium.verdict() == "PASS"


def test_it_turns_red_when_entry_and_tile_were_changed_to_fit_each_other(chromium: Browser, honest: World) -> None:
    """Only the root that was signed tells: the operator's key id is covered by no signature."""
    public = honest.auditor / "public"
    entries = unpack_entries((public / ENTRIES).read_bytes(), 3)
    head, sign, rest = entries[2].rpartition(b'"keyid":"')
    entries[2] = head + sign + flipped(0)(rest)
    tile = b"".join(map(leaf_hash, entries))
    with (
        served(honest) as site,
        changed(public / ENTRIES, lambda _: pack_entries(entries)),
        changed(public / TILE, lambda _: tile),
    ):
        chromium.open(site)
        assert chromium.verdict() == "FAIL"
        assert failed(chromium) == {"inclusion"}


def test_it_turns_red_when_the_log_goes_back(chromium: Browser, tmp_path: Path) -> None:
    """The older checkpoint is signed and cosigned, so only a browser that was there before can tell."""
    with world(tmp_path) as audited, served(audited) as site:
        first = manifest()
        audited.whole(first)
        public = audited.auditor / "public"
        older = {name: (public / name).read_bytes() for name in ("checkpoint", "tile/0/000.p/1")}
        audited.whole(following(first))
        chromium.open(site)
        assert chromium.verdict() == "PASS"
        for name, data in older.items():
            (public / name).write_bytes(data)
        chromium.open(site)
        assert chromium.verdict() == "FAIL"
        assert failed(chromium) == {"consistency"}


def test_it_turns_red_when_the_log_has_another_history(chromium: Browser, tmp_path: Path) -> None:
    with world(tmp_path) as audited, served(audited) as site:
        audited.whole(manifest())
        chromium.open(site)
        assert chromium.verdict() == "PASS"
        place = f"hsm-vault-log {audited.root.origin}"
        chromium.run(f"localStorage.setItem({json.dumps(place)}, JSON.stringify({{size: 1, root: '{'00' * 32}'}}))")
        chromium.open(site)
        assert chromium.verdict() == "FAIL"
        assert failed(chromium) == {"consistency"}


def root_with(root: RootOfTrust, auditors: tuple[RoleKey, ...], operators: tuple[RoleKey, ...]) -> bytes:
    return encode_root_of_trust(
        namespace=root.namespace,
        version=root.version,
        issued_at=root.issued_at,
        expires_at=root.expires_at,
        auditors=Role(1, auditors),
        operators=Role(1, operators),
        origin=root.origin,
        policy=root.policy_lines,
        minimum_epoch=root.minimum_epoch,
        maximum_age=root.maximum_age,
    )


def test_a_reader_s_own_root_of_trust_decides(chromium: Browser, honest: World, tmp_path: Path) -> None:
    ours = honest.root
    stranger = (trust.auditor(7).key,)
    cases = {
        "auditor-signature": root_with(ours, stranger, ours.operators.keys),
        "counter-signature": root_with(ours, ours.auditors.keys, (trust.operator(7).key,)),
        "": root_with(ours, (*stranger, *ours.auditors.keys), ours.operators.keys),
    }
    with served(honest) as site:
        for check, raw in cases.items():
            path = tmp_path / f"root-{check}.json"
            path.write_bytes(raw)
            chromium.open(site)
            chromium.verdict()
            chromium.give_file("#own-root", path)
            assert chromium.verdict() == ("FAIL" if check else "PASS")
            assert failed(chromium) == ({check} if check else set())


def test_another_root_of_trust_than_before_is_doubted_until_its_reader_gives_it(
    chromium: Browser, honest: World, tmp_path: Path
) -> None:
    """Both are honest here, so that nothing else tells them apart."""
    root = "return document.querySelector('[data-check=root]').dataset.outcome"
    with served(honest) as site:
        chromium.open(site)
        assert (chromium.verdict(), chromium.run(root)) == ("PASS", "NOT-PROVEN")
        chromium.run("localStorage.setItem('hsm-vault-root vault.example/fleets', JSON.stringify('another'))")
        for _ in range(2):
            chromium.open(site)
            assert (chromium.verdict(), chromium.run(root)) == ("NOT-PROVEN", "NOT-PROVEN")
        (tmp_path / "root.json").write_bytes(honest.root.raw)
        chromium.give_file("#own-root", tmp_path / "root.json")
        assert (chromium.verdict(), chromium.run(root)) == ("PASS", "PASS")
        chromium.open(site)
        assert (chromium.verdict(), chromium.run(root)) == ("PASS", "PASS")


def test_an_entry_that_can_be_read_in_two_ways_is_shown_and_red(chromium: Browser, tmp_path: Path) -> None:
    """A client reads the escaped name; a page that passed over the entry would hide an epoch that clients believe."""
    with world(tmp_path) as audited, served(audited) as site:
        envelope = audited.sign(manifest()).replace(b'"keyid"', b'"\\u006beyid"')
        audited.publish(envelope)
        chromium.open(site)
        assert chromium.verdict() == "FAIL"
        assert failed(chromium) == {"artifact"}


def test_a_log_over_several_tiles_is_read_whole(chromium: Browser, tmp_path: Path) -> None:
    with world(tmp_path) as audited, served(audited) as site:
        opened = audited.open()
        opened.log.append([b"somebody else's entry %d" % number for number in range(300)])
        opened.namespaces.catch_up()
        opened.close()
        audited.whole(manifest())
        chromium.open(site)
        assert chromium.verdict() == "PASS", chromium.text("main")
        with changed(audited.auditor / "public/tile/1/000.p/1", flipped(0)):
            chromium.open(site)
            assert chromium.verdict() == "FAIL"
            assert failed(chromium) >= {"inclusion"}


def test_an_empty_log_is_neither_green_nor_red(chromium: Browser, tmp_path: Path) -> None:
    with world(tmp_path) as audited, served(audited) as site:
        chromium.open(site)
        assert chromium.verdict() == "NOT-PROVEN"
        assert "Nothing is logged yet" in chromium.text("#banner")


def test_a_browser_without_ed25519_says_so(honest: World) -> None:
    """Older ones refuse the algorithm's name; here it is taken away before the page's own code runs."""
    with driver() as address, browser(address) as old, served(honest) as site:
        old.devtools("Page.addScriptToEvaluateOnNewDocument", {"source": WITHOUT_ED25519})
        old.open(site)
        assert old.verdict() == "NOT-PROVEN"
        assert "Ed25519" in old.text("#banner")
        assert failed(old) == set()
        passed = "[data-check=counter-signature][data-outcome=PASS]"  # by P-256, which every browser has
        assert old.run(f"return document.querySelectorAll('{passed}').length") == 3
