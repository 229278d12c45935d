"""`hsm-vault ceremony page`: the evidence of a deployment as a site for people."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

import click

from hsm_app.ceremony.plan import CeremonyName
from hsm_app.errors import ConfigError, LogError
from hsm_app.evidence.audit import audit
from hsm_app.evidence.beliefs import Beliefs
from hsm_app.evidence.dossier import Dossier
from hsm_app.evidence.statement import STATEMENT
from hsm_app.evidence.verdict import Outcome
from hsm_app.monitor.evidence_source import read_evidence
from hsm_app.pages.deployment import EVIDENCE, deployment_files
from hsm_app.pages.site import replace_site

USE_AUDIT = "Look with: hsm-vault audit"


@click.command("page")
@click.argument("directory", metavar="CEREMONY|EVIDENCE", type=click.Path(path_type=Path, file_okay=False, exists=True))
@click.argument("site", type=click.Path(path_type=Path))
def write_page(directory: Path, site: Path) -> None:
    """Write a page about a deployment, with its evidence, into the new directory SITE, for any web server.

    The page shows the ceremony, and its reader's browser checks the evidence; over HTTPS, or on loopback. A SITE that
    this command wrote before is replaced in whole; any other directory that is not empty is refused. So is evidence
    that does not hold, and then nothing is written.

    Example: hsm-vault ceremony page ./ceremony ./site
    """
    evidence = directory if (directory / STATEMENT).exists() else directory / EVIDENCE
    if not (evidence / STATEMENT).exists():
        raise ConfigError(f"{directory} holds no evidence", "Publish it first: hsm-vault ceremony publish")
    if evidence.resolve() in (site.resolve(), *site.resolve().parents):
        raise ConfigError(f"{site} lies in the evidence, which may hold nothing else", "Choose a directory beside it")
    files = read_evidence(str(evidence))
    _check(files)
    replace_site(site, deployment_files(files))
    click.echo(f"The page is {site / 'index.html'}; serve that directory with any web server, over HTTPS.")
    click.echo(f"next: hsm-vault audit https://ITS-ADDRESS/{EVIDENCE}/   # what the page tells its readers to do")


def _check(files: Mapping[str, bytes]) -> None:
    """ConfigError for evidence that the page does not read, LogError for what would be red, such as a stray file."""
    ceremony = Dossier(files).plan.ceremony
    if ceremony not in (CeremonyName.GENESIS, CeremonyName.NEW_FLEET):
        raise ConfigError(f"this is the evidence of {ceremony}, and the page is for that of a new fleet", USE_AUDIT)
    for name, verdict in audit(files, Beliefs(now=int(time.time()))).items():
        if verdict.outcome is Outcome.FAIL:
            raise LogError(name, verdict.why, f"No page was written. {USE_AUDIT}")
