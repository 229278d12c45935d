"""`hsm-vault auditor`: sign manifests by the rules, and keep the public log of all that was signed."""

from __future__ import annotations

import json
import time
from pathlib import Path

import click

from hsm_app.auditor.auditor import Auditor
from hsm_app.auditor.log_directory import LogDirectory
from hsm_app.auditor.page import page_files, write_page
from hsm_app.auditor.plexi import PlexiView
from hsm_app.auditor.settings import AuditorSettings, create_auditor, read_auditor
from hsm_app.auditor.site import serving
from hsm_app.auditor.whole import verify_whole
from hsm_app.cli.files import check_place, read_whole, write_once
from hsm_app.cli.serving import serve_until_told
from hsm_app.durable import replace_file
from hsm_app.errors import LogError, QuorumError
from hsm_app.fleet.root_of_trust import RootOfTrust
from hsm_app.key_files import read_key_file
from hsm_app.net.address import parse_address
from hsm_app.net.http import HttpProgram
from hsm_app.root_files import read_root_of_trust

Directory = click.Path(path_type=Path, file_okay=False, exists=True)
File = click.Path(path_type=Path, dir_okay=False)


@click.group()
def auditor() -> None:
    """Sign manifests that keep the rules, and log them where all can see them.

    The auditor is another organisation than the fleet's operator: neither can make clients believe a key alone.
    """


@auditor.command()
@click.argument("directory", type=click.Path(path_type=Path, file_okay=False))
@click.option("--origin", required=True, help="The log's name for ever, such as log.example/fleets; no scheme.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")
def init(directory: Path, origin: str, as_json: bool) -> None:
    """Make an auditor: two Ed25519 keys in files, a configuration, and an empty log, in a new DIRECTORY.

    Example: hsm-vault auditor init ./auditor --origin log.example/fleets
    """
    made = create_auditor(directory, origin)
    settings, key = read_auditor(directory)
    LogDirectory.create(directory, key, read_key_file(settings.log_key).sign).close()
    if as_json:
        click.echo(json.dumps({"log": made.log.text, "auditor": made.auditor}))
        return
    click.echo(f"log key       {made.log.text}")
    click.echo(f"auditor key   Ed25519:{made.auditor}")
    click.echo(f"Both go into the root of trust; then enter that under [namespaces] in {directory / 'auditor.toml'}.")


@auditor.command()
@click.argument("directory", type=Directory)
@click.argument("manifest", type=File)
@click.option("--out", type=File, required=True, help="Where the signed envelope goes.")
@click.option("--yes", is_flag=True, help="Sign without asking, for scripts that looked at the changes themselves.")
def sign(directory: Path, manifest: Path, out: Path, yes: bool) -> None:
    """Check the next MANIFEST of a namespace, show what changes with it, ask, and sign.

    Refused: another epoch than the next, another predecessor, a manifest that is not valid now, a fleet that claims
    more than its operator's word without evidence, and a second content for an epoch that was signed before.

    Example: hsm-vault auditor sign ./auditor manifest.json --out manifest.dsse.json
    """
    now = int(time.time())
    check_place(out)
    opened = Auditor(directory, now)
    try:
        proposal = opened.propose(read_whole(manifest), now)
        click.echo(f"{proposal.manifest.namespace}, epoch {proposal.manifest.epoch}, {proposal.manifest.digest.hex()}")
        for line in proposal.changes:
            click.echo(f"  {line}")
        if not yes:
            _ask("Sign this?")
        write_once(out, opened.sign(proposal) + b"\n")
    finally:
        opened.close()
    click.echo(f"Signed: {out}. The operator counter-signs it next.")


def _ask(question: str) -> None:
    """Go on with yes only. Abort for no, for no answer, and where nobody can answer, and say that nothing was done."""
    try:
        click.confirm(question, abort=True)
    except click.Abort:
        click.echo("\nNothing was signed. A script that looked at the changes itself says --yes.", err=True)
        raise


@auditor.command()
@click.argument("directory", type=Directory)
@click.option("--envelope", type=File, required=True, help="What `auditor sign` wrote.")
@click.option("--countersignature", type=File, required=True, help="What `namespace countersign` wrote.")
@click.option("--out", type=File, required=True, help="Where the bundle goes; an older one there is replaced.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")
def append(directory: Path, envelope: Path, countersignature: Path, out: Path, as_json: bool) -> None:
    """Log a counter-signed manifest, have the witnesses cosign the log, and write the bundle for the fleet.

    Safe to repeat: nothing is logged twice, and the witnesses are asked again, which keeps the bundle fresh. Ends with
    10 when too few witnesses cosigned; the entry is logged then, and the same command goes on. Ends with 7 when the
    bundle is good for what they said before, and too few said it again: repeat it before that is too old.

    Example: hsm-vault auditor append ./auditor --envelope manifest.dsse.json --countersignature counter.dsse.json
    --out bundle
    """
    now = int(time.time())
    check_place(out)
    opened = Auditor(directory, now)
    try:
        published = opened.publish(read_whole(envelope), read_whole(countersignature), now)
    finally:
        opened.close()
    replace_file(out, published.bundle)
    if as_json:
        said = {"index": published.index, "size": published.size, "missing": dict(published.missing)}
        click.echo(json.dumps(said | {"renewed": published.is_renewed, "bytes": len(published.bundle)}))
    else:
        click.echo(f"Entry {published.index} of {published.size}; bundle of {len(published.bundle)} bytes: {out}")
        for name, why in published.missing.items():
            click.echo(f"  witness {name} did not cosign: {why}")
    if not published.is_renewed:
        raise QuorumError(
            "too few witnesses cosigned anew; the bundle is good for what they said before",
            "Run it again when they answer, before that is too old",
        )


@auditor.command()
@click.argument("directory", type=Directory)
@click.option("--listen", default="127.0.0.1:8480", show_default=True, help="host:port.")
@click.option("--verbose", is_flag=True, help="Log more.")
def serve(directory: Path, listen: str, verbose: bool) -> None:
    """Serve the log and its page over HTTP until told to stop. Any web server can serve DIRECTORY/public instead.

    The page shows each epoch, and checks the log in its reader's browser; which works over HTTPS, and on loopback.

    Example: hsm-vault auditor serve ./auditor --listen 127.0.0.1:8480
    """
    address = parse_address(listen)
    settings, _ = read_auditor(directory)
    plexi = PlexiView(directory, read_key_file(settings.plexi_key)) if settings.plexi_key else None
    answer = serving(directory / "public", plexi, page_files(_roots(settings)))
    program = HttpProgram(address, answer, closing=lambda: None)
    serve_until_told(program, f"log ready on http://{address}", verbose=verbose)


@auditor.command()
@click.argument("directory", type=Directory)
def page(directory: Path) -> None:
    """Write the page that `auditor serve` shows into DIRECTORY/public, for a web server of your own.

    Give it again after a change of a root of trust, or of this program's version.

    Example: hsm-vault auditor page ./auditor
    """
    settings, _ = read_auditor(directory)
    write_page(directory / "public", page_files(_roots(settings)))
    click.echo(f"The page is {directory / 'public' / 'index.html'}; a web server has to serve that directory.")


def _roots(settings: AuditorSettings) -> list[RootOfTrust]:
    """Also those that have expired: the log goes on being served, and the page says so."""
    return [read_root_of_trust(path) for path in settings.namespaces.values()]


@auditor.command()
@click.argument("directory", type=Directory)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")
def verify(directory: Path, as_json: bool) -> None:
    """Compute the whole log anew from its entries and compare it with every file. Reads all, changes nothing.

    Example: hsm-vault auditor verify ./auditor
    """
    settings, key = read_auditor(directory)
    log = LogDirectory(directory, key, read_key_file(settings.log_key).sign)
    try:
        whole = verify_whole(log, key)
    finally:
        log.close()
    if as_json:
        click.echo(json.dumps({"entries": whole.entries, "tiles": whole.tiles, "published": whole.published}))
    else:
        click.echo(f"{whole.entries} entries and {whole.tiles} tiles make the root that was signed.")
    if whole.published < whole.entries:
        raise LogError(
            "proof",
            f"the public checkpoint has {whole.published} of {whole.entries} entries",
            "Give the last `hsm-vault auditor append` again",
        )
