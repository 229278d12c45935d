"""`hsm-vault ceremony page`: the evidence of a deployment as a site for people."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from hsm_app.ceremony.plan import CeremonyName
from hsm_app.errors import ConfigError, LogError
from hsm_app.evidence.audit import audit_chain
from hsm_app.evidence.beliefs import Beliefs
from hsm_app.evidence.dossier import Dossier
from hsm_app.evidence.statement import STATEMENT
from hsm_app.evidence.verdict import Outcome
from hsm_app.monitor.evidence_source import read_evidence
from hsm_app.pages.deployment import BEFORE, EVIDENCE, deployment_files
from hsm_app.pages.site import replace_site

USE_AUDIT = "Look with: hsm-vault audit"
READ = (CeremonyName.GENESIS, CeremonyName.NEW_FLEET, CeremonyName.REPLACE_TOKEN)
Directory = click.Path(path_type=Path, file_okay=False, exists=True)


@click.command("page")
@click.argument("directory", metavar="CEREMONY|EVIDENCE", type=Directory)
@click.argument("site", type=click.Path(path_type=Path))
@click.option(
    "--before",
    multiple=True,
    type=Directory,
    metavar="CEREMONY|EVIDENCE",
    help="The evidence before it, where a token was replaced; repeat it back to the genesis, newest first.",
)
def write_page(directory: Path, site: Path, before: tuple[Path, ...]) -> None:
    """Write a page about a deployment, with its evidence, into the new directory SITE, for any web server.

    The page shows the ceremony, and its reader's browser checks the evidence; over HTTPS, or on loopback. A SITE that
    this command wrote before is replaced in whole; any other directory that is not empty is refused. So is evidence
    that does not hold, and then nothing is written.

    Evidence of a replaced token goes on from the evidence before it: give that with --before, and so on back to the
    genesis. The site holds all of it.

    \b
    Examples: hsm-vault ceremony page ./ceremony ./site
              hsm-vault ceremony page ./replacement ./site --before ./fleet
    """
    places = [_evidence(each) for each in (directory, *before)]
    for place in places:
        if place.resolve() in (site.resolve(), *site.resolve().parents):
            raise ConfigError(f"{site} lies in the evidence, which may hold nothing else", "Choose another directory")
    chain = [read_evidence(str(place)) for place in places]
    _check(chain)
    replace_site(site, deployment_files(*chain))
    click.echo(f"The page is {site / 'index.html'}; serve that directory with any web server, over HTTPS.")
    more = f" --before https://ITS-ADDRESS/{BEFORE}/.../" if before else ""
    click.echo(f"next: hsm-vault audit https://ITS-ADDRESS/{EVIDENCE}/{more}   # what the page tells its readers to do")


def _evidence(directory: Path) -> Path:
    evidence = directory if (directory / STATEMENT).exists() else directory / EVIDENCE
    if not (evidence / STATEMENT).exists():
        raise ConfigError(f"{directory} holds no evidence", "Publish it first: hsm-vault ceremony publish")
    return evidence


def _check(chain: Sequence[Mapping[str, bytes]]) -> None:
    """ConfigError for evidence that the page does not read, LogError for what would be red, such as a stray file."""
    for ceremony in (Dossier(files).plan.ceremony for files in chain):
        if ceremony not in READ:
            raise ConfigError(f"this is the evidence of {ceremony}, which no page shows", "Choose another one")
    for verdicts in audit_chain(chain, Beliefs(now=int(time.time()))):
        for name, verdict in verdicts.items():
            if verdict.outcome is Outcome.FAIL:
                raise LogError(name, verdict.why, f"No page was written. {USE_AUDIT}")
    if (previous := Dossier(chain[-1]).statement.previous) is not None:
        raise ConfigError(
            f"a token was replaced, and the evidence before it is not here; its statement has SHA-256 {previous.hex()}",
            "Give it too, and all before it: --before",
        )
