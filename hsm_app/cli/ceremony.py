"""`hsm-vault ceremony`: plan, print, play and resume ceremonies."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from pathlib import Path

import click

from hsm_app.ceremony.catalogue import script_of
from hsm_app.ceremony.document import digest, markdown, page
from hsm_app.ceremony.example import NAMES, example_plan
from hsm_app.ceremony.plan import Kind, Plan, parse_plan
from hsm_app.ceremony.words import fingerprint_words
from hsm_app.cli.ceremony_evidence import publish_evidence, testimony
from hsm_app.cli.ceremony_page import write_page
from hsm_app.cli.files import read_whole
from hsm_app.cli.fleet_options import SOFTHSM
from hsm_app.evidence.dossier import MANIFEST
from hsm_app.evidence.software import encode_software
from hsm_app.operator.ceremonies.dry_run import dry_run
from hsm_app.operator.ceremonies.hall import Place
from hsm_app.operator.ceremonies.journal import Journal
from hsm_app.operator.ceremonies.publish import EVIDENCE
from hsm_app.operator.ceremonies.run import PLAN, TRANSCRIPT, Ceremony, begin, go_on
from hsm_app.operator.ceremonies.standing import standing
from hsm_app.operator.ceremonies.terminal import TerminalRoom
from hsm_app.operator.software import measure_software

File = click.Path(path_type=Path, dir_okay=False, exists=True)
Directory = click.Path(path_type=Path, file_okay=False)
Module = click.option("--module", type=click.Path(path_type=Path), default=SOFTHSM, show_default=True,
                      help="SoftHSM module, for the throw-away tokens of a rehearsal.")  # fmt: skip


@click.group()
def ceremony() -> None:
    """Make and keep a fleet's keys with custodians and witnesses, and a transcript that anyone can check."""


@ceremony.command()
@click.argument("name", type=click.Choice(NAMES))
def plan(name: str) -> None:
    """Print a plan to fill in: who takes part, with which keys, on which tokens.

    Example: hsm-vault ceremony plan rehearsal > plan.toml
    """
    click.echo(example_plan(name), nl=False)


@ceremony.command()
@click.argument("plan_file", metavar="PLAN", type=click.Path(path_type=Path))
@click.option("--html", "as_html", is_flag=True, help="One HTML page for a browser to print, instead of Markdown.")
def script(plan_file: Path, as_html: bool) -> None:
    """Print the script of a ceremony, to be read, printed and initialled beforehand. PLAN is a file or a name.

    The SHA-256 of the Markdown form goes to standard error, with the words that are read aloud. HTML has both on its
    first page; a document cannot hold its own digest, so on printed Markdown they are written by hand.

    Example: hsm-vault ceremony script plan.toml > script.md
    """
    made = script_of(parse_plan(_plan_bytes(plan_file)))
    words = fingerprint_words(digest(made))
    click.echo((page(made, words) if as_html else markdown(made)).decode(), nl=False)
    click.echo(f"SHA-256 {digest(made).hex()}\nwords: {words}", err=True)
    click.echo("Write the words on the first page of each sheet (the HTML form has them there)", err=True)


@ceremony.command()
@click.argument("plan_file", metavar="PLAN", type=click.Path(path_type=Path))
@click.argument("directory", type=Directory, required=False)
@click.option("--dry-run", "transcript", type=click.Path(path_type=Path, dir_okay=False),
              help="Touch no token and ask nobody: write the transcript that would be to this file.")  # fmt: skip
@Module
def run(plan_file: Path, directory: Path | None, transcript: Path | None, module: Path) -> None:
    """Play the ceremony of PLAN in DIRECTORY, which must not hold anything yet.

    Examples: hsm-vault ceremony run plan.toml ./ceremony
              hsm-vault ceremony run plan.toml --dry-run transcript.jsonl
    """
    raw = _plan_bytes(plan_file)
    if transcript is not None:
        dry_run(raw, transcript)
        return
    if directory is None:
        raise click.UsageError("Name the DIRECTORY of the ceremony, or --dry-run with a file.")
    playing = _ceremony(directory, raw, module)
    begin(playing, _room(playing.plan))
    _ended(directory)


@ceremony.command()
@click.argument("directory", type=Directory)
@Module
def resume(directory: Path, module: Path) -> None:
    """Go on with the ceremony in DIRECTORY, from the first step that is not done. Nothing is done twice.

    Example: hsm-vault ceremony resume ./ceremony
    """
    playing = _ceremony(directory, read_whole(directory / PLAN), module)
    go_on(playing, _room(playing.plan))
    _ended(directory)


@ceremony.command()
@click.argument("directory", type=Directory)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def status(directory: Path, as_json: bool) -> None:
    """Say where the ceremony in DIRECTORY stands, and what each token is left with.

    Example: hsm-vault ceremony status ./ceremony
    """
    now = standing(script_of(parse_plan(read_whole(directory / PLAN))), Journal.read(directory / TRANSCRIPT, _clock))
    following = None if now.next_step is None else now.next_step.id
    if as_json:
        click.echo(json.dumps({**asdict(now), "next_step": following}))
        return
    click.echo(f"{now.done} of {now.of} steps are done, with {now.exceptions} exception sheets")
    for label, said in now.tokens.items():
        click.echo(f"  token {label}: {said}")
    if following is not None:
        click.echo(f"next: {following}; go on with: hsm-vault ceremony resume {directory}")
    elif now.is_ended:
        _ended(directory)


ceremony.add_command(testimony)
ceremony.add_command(publish_evidence)
ceremony.add_command(write_page)


def _plan_bytes(plan_file: Path) -> bytes:
    """Return the plan of a file, or the example of that name."""
    name = str(plan_file)
    return example_plan(name).encode() if name in NAMES and not plan_file.exists() else read_whole(plan_file)


def _ceremony(directory: Path, raw: bytes, module: Path) -> Ceremony:
    root, plan = directory.resolve(), parse_plan(raw)
    home = Path(plan.fleet_directory).resolve() if plan.fleet_directory else root
    software = encode_software(measure_software(module=_one_module(plan, module)))
    return Ceremony(place=Place(root=root, home=home, module=module), plan_bytes=raw, software=software, clock=_clock)


def _one_module(plan: Plan, throw_away: Path) -> Path | None:
    """Return the PKCS#11 module that all tokens have, if it is a file; the record of the software has place for one."""
    modules = {throw_away} if plan.kind is Kind.REHEARSAL else {Path(token.module) for token in plan.tokens}
    return next(iter(modules)) if len(modules) == 1 and all(module.is_file() for module in modules) else None


def _room(plan: Plan) -> TerminalRoom:
    title = f"{plan.ceremony} of {plan.fleet}" + (" (REHEARSAL)" if plan.kind == "rehearsal" else "")
    return TerminalRoom(title, [f"{person.name} ({person.role})" for person in plan.people], _clock)


def _ended(directory: Path) -> None:
    click.echo(f"The ceremony has ended. Its transcript: {directory / TRANSCRIPT}")
    if (directory / EVIDENCE / MANIFEST).exists():
        click.echo(f"Its evidence is published, and is not changed any more: {directory / EVIDENCE}")
    else:
        click.echo(f"next: each participant signs: hsm-vault ceremony testimony {directory} NUMBER")


def _clock() -> int:
    return int(time.time())
