"""`hsm-vault audit`: check how a fleet was made, from what was published about it, without the operator's help."""

from __future__ import annotations

import json
import textwrap
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from hsm_app.cli.files import read_whole
from hsm_app.evidence.audit import audit_chain
from hsm_app.evidence.beliefs import Beliefs
from hsm_app.evidence.checks import CHECKS
from hsm_app.evidence.verdict import Outcome, Verdicts, overall, worst
from hsm_app.fleet.manifest_json import parse_manifest
from hsm_app.fleet.root_of_trust import parse_root_of_trust
from hsm_app.monitor.evidence_source import read_evidence
from hsm_app.operator.software import wheel_files

File = click.Path(path_type=Path, dir_okay=False)
WIDTH = 78
INDENT = 8  # so that a SHA-256 stays in one piece
Audited = tuple[str, Verdicts]  # the evidence's location, and what was found


@click.command()
@click.argument("location", metavar="DIRECTORY|URL")
@click.option(
    "--before",
    multiple=True,
    metavar="DIRECTORY|URL",
    help="The evidence before it, where a token was replaced; repeat it back to the genesis, newest first.",
)
@click.option(
    "--root-of-trust",
    "documents",
    type=File,
    multiple=True,
    help="Whom you believe about manifests, for log-inclusion; repeat it for those from before keys were rotated.",
)
@click.option("--manifest", "believed", type=File, help="The manifest that your client believes now, for manifest.")
@click.option("--wheel", type=File, help="The wheel that you built from the published source, for software-digest.")
@click.option("--attestation-root", "roots", type=File, multiple=True, help="A maker's root (PEM); may be repeated.")
@click.option("--explain", is_flag=True, help="Say of each check what a PASS means, and what it does not prove.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def audit(
    location: str,
    before: tuple[str, ...],
    documents: tuple[Path, ...],
    believed: Path | None,
    wheel: Path | None,
    roots: tuple[Path, ...],
    explain: bool,
    as_json: bool,
) -> None:
    """Audit the evidence at DIRECTORY or URL: PASS, FAIL or NOT-PROVEN for each check, and why.

    Evidence of a replaced token shows that token, and for the rest goes on from the evidence before it: give that with
    --before, and so on back to the genesis. Each is audited for itself, and as what goes on from the next.

    Evidence says nothing of what came after it. With --manifest it has to be about the fleet as that manifest lists it.

    Ends with 0 when every check passes, 10 when one fails, 11 when none fails and something is not proven. The
    signatures and digests by hand, with openssl and sha256sum: docs/audit.md.

    \b
    Examples: hsm-vault audit https://vault.example/fleet-1 --root-of-trust root-of-trust.json --wheel hsm_vault.whl
              hsm-vault audit ./replacement/evidence --before ./fleet/evidence
    """
    present, *former = (parse_root_of_trust(read_whole(document)) for document in documents) if documents else (None,)
    beliefs = Beliefs(
        now=int(time.time()),
        root_of_trust=present,
        former_roots=tuple(former),
        manifest=None if believed is None else parse_manifest(read_whole(believed)),
        attestation_roots=tuple(map(read_whole, roots)),
        wheel=None if wheel is None else wheel_files(wheel),
    )
    locations = (location, *before)
    chain = audit_chain([read_evidence(each) for each in locations], beliefs)
    audited = list(zip(locations, chain, strict=True))
    outcome = worst(overall(verdicts) for _, verdicts in audited)
    click.echo(_as_json(audited, outcome) if as_json else "\n".join(_text(audited, outcome, explain=explain)))
    raise SystemExit(outcome.exit_code)


def _text(audited: Sequence[Audited], outcome: Outcome, *, explain: bool) -> Iterator[str]:
    for number, (location, verdicts) in enumerate(audited):
        if len(audited) > 1:
            yield f"{'before it: ' if number else ''}{location}"
        yield from _lines(verdicts, explain=explain)
        if len(audited) > 1:
            yield f"{'this evidence':<20} {overall(verdicts)}\n"
    yield f"{'all together':<20} {outcome}"


def _lines(verdicts: Verdicts, *, explain: bool) -> list[str]:
    lines = []
    for check in CHECKS:
        verdict = verdicts[check.name]
        text = f"{check.name:<20} {verdict.outcome:<10} {verdict.why}"
        lines += textwrap.wrap(text, WIDTH, subsequent_indent=" " * INDENT)
        if explain:
            lines += textwrap.wrap(f"A PASS means: {check.says}", WIDTH, initial_indent="  ", subsequent_indent="  ")
            lines += textwrap.wrap(
                f"It does not prove: {check.is_silent_on}", WIDTH, initial_indent="  ", subsequent_indent="  "
            )
    return lines


def _as_json(audited: Sequence[Audited], outcome: Outcome) -> str:
    newest, *before = (
        {"evidence": location, "outcome": overall(verdicts).value, "checks": _checks(verdicts)}
        for location, verdicts in audited
    )
    return json.dumps({**newest, "outcome": outcome.value, "before": before}, indent=1)


def _checks(verdicts: Verdicts) -> list[dict[str, str]]:
    return [
        {
            "check": check.name,
            "outcome": verdicts[check.name].outcome.value,
            "why": verdicts[check.name].why,
            "means": check.says,
            "does_not_prove": check.is_silent_on,
        }
        for check in CHECKS
    ]
