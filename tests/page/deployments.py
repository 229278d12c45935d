"""Many sites behind one server, looked at together by one browser; and ceremonies that were told and signed anew."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from hsm_app.errors import LogError
from hsm_app.evidence.dossier import BESIDE, PLAN, SCRIPT, SOFTWARE, Dossier
from hsm_app.evidence.participants import encode_testimony, sign_testimony
from hsm_app.evidence.statement import STATEMENT, read_envelope
from hsm_app.evidence.verdict import Outcome
from hsm_app.key_files import read_key_file
from hsm_app.net.http import HttpServer, Reply
from hsm_app.pages.deployment import deployment_files
from hsm_app.pages.web_files import INDEX, TYPES
from tests.evidence.deployment import KINDS, Deployment, Files, ssh_sign
from tests.evidence.tampering import retold, saying, without
from tests.page.browser import Browser, fresh

AT_ONCE = 24  # pages that one tab loads beside each other
LOOK = """
    const found = {};
    for (const frame of document.querySelectorAll("iframe")) {
      const page = frame.contentDocument?.documentElement;
      if (!page?.dataset.verdict) return null;
      const foundIn = (list) => Object.fromEntries([...list.querySelectorAll("[data-check]")].map((row) =>
        [row.dataset.check, [row.dataset.outcome, row.querySelector(".why").textContent]]));
      const checks = foundIn(page.querySelector("#checks"));
      const before = [...page.querySelectorAll("[data-before]")].map(foundIn);
      const banner = page.querySelector("#banner").textContent, text = page.querySelector("main").textContent;
      const isRehearsal = !page.querySelector("#rehearsal").hidden;
      found[frame.name] = { verdict: page.dataset.verdict, banner, text, checks, before, isRehearsal };
    }
    return JSON.stringify(found);
"""
GIVE = """
    for (const [name, encoded] of Object.entries(GIVEN)) {
      const { contentDocument: page, contentWindow: of } = document.querySelector(`iframe[name="${name}"]`);
      delete page.documentElement.dataset.verdict;
      const chosen = new of.DataTransfer(), input = page.querySelector("#own-root");
      chosen.items.add(new of.File([Uint8Array.from(atob(encoded), (one) => one.charCodeAt(0))], "root.json"));
      input.files = chosen.files;
      input.dispatchEvent(new of.Event("change"));
    }
"""


Checks = Mapping[str, tuple[str, str]]


@dataclass(frozen=True, kw_only=True)
class Look:
    """What a page says of a site. `checks` are outcome and reason by name, `before` those of each evidence before."""

    verdict: str
    banner: str
    text: str
    checks: Checks
    before: Sequence[Checks]
    rehearsal: bool

    def named(self, outcome: Outcome) -> set[str]:
        return {name for name, (said, _) in self.checks.items() if said == outcome}


def leaves_plan(checks: Checks) -> bool:
    """Say whether a plan is written in a way that the page does not read, so that less fails than in an audit."""
    return any("is written in a way that this page does not read" in why for _, why in checks.values())


def by_address(files: Files) -> Files:
    """Return what somebody gets who has the statement's list only; everything when it does not read."""
    try:
        named = set(read_envelope(files[STATEMENT]).files)
    except (KeyError, LogError):
        return files
    return {path: content for path, content in files.items() if path in named | BESIDE}


@contextmanager
def served(sites: Mapping[str, Mapping[str, bytes]]) -> Iterator[str]:
    """Each site below its name, and below together/ a page that holds those that are named there, with + between."""

    def answer(method: str, path: str, body: bytes) -> Reply:
        site, _, name = path.removeprefix("/").partition("/")
        if site == "together":
            frames = "".join(f'<iframe name="{one}" src="/{one}/"></iframe>' for one in name.split("+"))
            return Reply(200, f"<!doctype html>{frames}".encode(), {"Content-Type": TYPES[".html"]})
        files, name = sites.get(site, {}), name or INDEX
        if name not in files:
            return Reply(404)
        return Reply(200, files[name], {"Content-Type": TYPES.get(Path(name).suffix, "application/octet-stream")})

    server = HttpServer(fresh(), answer)
    try:
        yield f"http://127.0.0.1:{server.port}/"
    finally:
        server.close()


def look_at(
    chromium: Browser, evidences: Mapping[str, Files], roots: Mapping[str, bytes] = MappingProxyType({})
) -> dict[str, Look]:
    """Let a page look at each evidence, and return what it says once it was given the root of trust of that name."""
    return look_at_sites(chromium, {name: deployment_files(files) for name, files in evidences.items()}, roots)


def look_at_sites(
    chromium: Browser, made: Mapping[str, Mapping[str, bytes]], roots: Mapping[str, bytes] = MappingProxyType({})
) -> dict[str, Look]:
    """The same of whole sites."""
    names = {str(number): name for number, name in enumerate(made)}
    sites = {number: made[name] for number, name in names.items()}
    found: dict[str, dict[str, Any]] = {}
    with served(sites) as address:
        for start in range(0, len(sites), AT_ONCE):
            shown = list(sites)[start : start + AT_ONCE]
            chromium.open(f"{address}together/{'+'.join(shown)}")
            chromium.until(LOOK)
            given = {one: base64.b64encode(roots[names[one]]).decode() for one in shown if names[one] in roots}
            chromium.run(GIVE.replace("GIVEN", json.dumps(given)))
            found |= json.loads(chromium.until(LOOK))
    return {
        names[number]: Look(
            verdict=one["verdict"],
            banner=one["banner"],
            text=one["text"],
            checks=_checks(one["checks"]),
            before=[_checks(each) for each in one["before"]],
            rehearsal=one["isRehearsal"],
        )
        for number, one in found.items()
    }


def _checks(found: Mapping[str, Sequence[str]]) -> Checks:
    return {check: (outcome, why) for check, (outcome, why) in found.items()}


def signed_anew(made: Deployment, files: Files, room: Path, objections: Mapping[int, str]) -> Files:
    """Let every participant sign these files, with their own keys; then the first token, manifest and log follow."""
    dossier = Dossier(files)
    told = without(files, *(path for path in files if path.startswith("testimonies/")))
    room.mkdir()
    for number, person in enumerate(dossier.plan.people, 1):
        raw = encode_testimony(person, dossier.record, objections.get(number))
        path, key = f"testimonies/{number}", made.keys / f"key-{number}"
        if KINDS[number - 1] == "file":
            told[f"{path}.dsse.json"] = sign_testimony(raw, read_key_file(key)) + b"\n"
        else:
            (room / str(number)).write_bytes(raw)
            told |= {f"{path}.json": raw, f"{path}.json.sig": ssh_sign(key, room / str(number))}
    return made.remade(told)


def begun_anew(files: Files) -> Files:
    """Let the transcript begin with the plan, script and software that are there."""
    begun = {"plan_sha256": PLAN, "script_sha256": SCRIPT, "software_sha256": SOFTWARE}
    digests = {name: Dossier(files).sha256(path) for name, path in begun.items()}
    return retold(files, saying("", "begin", **digests))
