"""`hsm-vault audit`: check how a fleet was made, from what was published about it, without the operator's help."""

from __future__ import annotations

import json
import textwrap
import time
from pathlib import Path

import click

from hsm_app.cli.files import read_whole
from hsm_app.evidence.audit import audit as look
from hsm_app.evidence.beliefs import Beliefs
from hsm_app.evidence.checks import CHECKS
from hsm_app.evidence.verdict import Outcome, Verdicts, overall
from hsm_app.fleet.root_of_trust import parse_root_of_trust
from hsm_app.monitor.evidence_source import read_evidence
from hsm_app.operator.software import wheel_files

File = click.Path(path_type=Path, dir_okay=False)
WIDTH = 78
INDENT = 8  # so that a SHA-256 stays in one piece


@click.command()
@click.argument("location", metavar="DIRECTORY|URL")
@click.option("--root-of-trust", "document", type=File, help="Whom you believe about manifests, for log-inclusion.")
@click.option("--wheel", type=File, help="The wheel that you built from the published source, for software-digest.")
@click.option("--attestation-root", "roots", type=File, multiple=True, help="A maker's root (PEM); may be repeated.")
@click.option("--explain", is_flag=True, help="Say of each check what a PASS means, and what it does not prove.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def audit(
    location: str, document: Path | None, wheel: Path | None, roots: tuple[Path, ...], explain: bool, as_json: bool
) -> None:
    """Audit the evidence at DIRECTORY or URL: PASS, FAIL or NOT-PROVEN for each check, and why.

    Ends with 0 when every check passes, 10 when one fails, 11 when none fails and something is not proven. The same
    steps by hand, with openssl and sha256sum: docs/audit.md.

    Example: hsm-vault audit https://vault.example/fleet-1 --root-of-trust root-of-trust.json --wheel hsm_vault.whl
    """
    beliefs = Beliefs(
        now=int(time.time()),
        root_of_trust=None if document is None else parse_root_of_trust(read_whole(document)),
        attestation_roots=tuple(map(read_whole, roots)),
        wheel=None if wheel is None else wheel_files(wheel),
    )
    verdicts = look(read_evidence(location), beliefs)
    outcome = overall(verdicts)
    click.echo(_as_json(verdicts, outcome) if as_json else "\n".join(_lines(verdicts, outcome, explain=explain)))
    raise SystemExit(outcome.exit_code)


def _lines(verdicts: Verdicts, outcome: Outcome, *, explain: bool) -> list[str]:
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
    return [*lines, f"{'all together':<20} {outcome}"]


def _as_json(verdicts: Verdicts, outcome: Outcome) -> str:
    checks = [
        {
            "check": check.name,
            "outcome": verdicts[check.name].outcome.value,
            "why": verdicts[check.name].why,
            "means": check.says,
            "does_not_prove": check.is_silent_on,
        }
        for check in CHECKS
    ]
    return json.dumps({"outcome": outcome.value, "checks": checks}, indent=1)
