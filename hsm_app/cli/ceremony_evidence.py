"""`hsm-vault ceremony testimony` and `publish`: what happens after the ceremony."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import click
from click.core import ParameterSource

from hsm_app.ceremony.plan import CeremonyName, Person, Plan, parse_plan
from hsm_app.ceremony.transcript import LIMIT as TRANSCRIPT_LIMIT
from hsm_app.cli.files import read_whole, write_once
from hsm_app.cli.fleet_create import next_steps
from hsm_app.cli.fleet_options import FleetOptions, development_tenant, fleet_options
from hsm_app.durable import replace_file
from hsm_app.errors import ConfigError
from hsm_app.evidence.dossier import PLAN, SCRIPT, TRANSCRIPT
from hsm_app.evidence.participants import SSH_NAMESPACE, CeremonyRecord, encode_testimony, key_of, sign_testimony
from hsm_app.operator.ceremonies.hall import Place
from hsm_app.operator.ceremonies.publish import EVIDENCE, TESTIMONIES, publish, read_genesis
from hsm_app.operator.ceremonies.publish_replacement import publish_replacement
from hsm_app.signers import read_signer

Directory = click.Path(path_type=Path, file_okay=False, exists=True)


@click.command()
@click.argument("directory", type=Directory)
@click.argument("number", type=click.IntRange(1))
@click.option("--object", "objection", help="Do not agree, and say why; it is published as it is.")
@click.option("--key", type=click.Path(path_type=Path, dir_okay=False), help="Sign here: key file, PEM or .toml.")
def testimony(directory: Path, number: int, objection: str | None, key: Path | None) -> None:
    """Write what participant NUMBER of the plan signs about the ceremony in DIRECTORY, and sign it with --key.

    Without --key the participant signs the file with OpenSSH, on whatever machine: the command is printed. Nobody has
    to agree; a participant who does not says so with --object, and both are published.

    Example: hsm-vault ceremony testimony ./ceremony 3
    """
    person = _person(parse_plan(read_whole(directory / PLAN)), number)
    record = CeremonyRecord(_digest(directory / SCRIPT), _digest(directory / TRANSCRIPT))
    raw = encode_testimony(person, record, objection)
    (directory / TESTIMONIES).mkdir(exist_ok=True)
    if key is None:
        path = directory / TESTIMONIES / f"{number}.json"
        _write_unsigned(path, raw)
        click.echo(f"{path}: what {person.name} ({person.role}) says. To sign it (into {path.name}.sig):")
        click.echo(f"  ssh-keygen -Y sign -n {SSH_NAMESPACE} -f KEY {path}")
        return
    signer = read_signer(key)
    if signer.key != key_of(person):
        raise ConfigError(f"{key} is not the key of {person.name} in the plan", "Sign with the key that was announced")
    path = directory / TESTIMONIES / f"{number}.dsse.json"
    write_once(path, sign_testimony(raw, signer) + b"\n")
    click.echo(f"{path}: signed by {person.name} ({person.role})")


@click.command("publish")
@click.argument("directory", type=Directory)
@fleet_options
def publish_evidence(directory: Path, options: FleetOptions) -> None:
    """Put the evidence of the ceremony in DIRECTORY together; after a genesis, write the fleet's files beside it.

    The manifest names the evidence, so do this once, when the participants have signed. After an interruption do it
    again, with the same options. The directory `evidence` is what is published; nothing in it is secret.

    After a replace-token ceremony the evidence goes on from the one that the fleet's manifest names now, and
    `hsm-vault fleet replace-replica` has the next manifest name it. No option but --module belongs to it then.

    \b
    Examples: hsm-vault ceremony publish ./ceremony --root-of-trust root-of-trust.json
              hsm-vault ceremony publish ./replacement
    """
    root = directory.resolve()
    plan = parse_plan(read_whole(root / PLAN))
    if plan.ceremony is CeremonyName.REPLACE_TOKEN:
        _publish_replacement(root, plan, options)
        return
    genesis, ended = read_genesis(root, plan)
    place = Place(root=root, home=root, module=options.module)
    tokens = {token.replica: place.location(plan, token) for token in plan.tokens}
    fleet = options.plan(root, plan.fleet, len(plan.tokens), sealed=plan.is_sealed, tokens=tokens)
    if not fleet.tenants:
        fleet = replace(fleet, tenants=(development_tenant(root),))
    _tell_silent(root, plan)
    manifest = publish(fleet, genesis, ended, lambda text: click.echo(f"  {text}"))
    click.echo(f"  manifest written: {root / 'manifest.json'} (SHA-256 {manifest.digest.hex()})")
    for line in (
        *next_steps(fleet, options),
        f"and look at it as a stranger would: hsm-vault audit {root / EVIDENCE}",
        f"and give people a page, once its bundle.json is there: hsm-vault ceremony page {directory} SITE",
    ):
        click.echo(f"  {line}")


def _publish_replacement(root: Path, plan: Plan, options: FleetOptions) -> None:
    context = click.get_current_context()
    given = [name for name in context.params if context.get_parameter_source(name) is not ParameterSource.DEFAULT]
    if of_genesis := sorted(set(given) - {"directory", "module"}):
        raise click.UsageError(f"A fleet that is there keeps what it has: leave out --{of_genesis[0]}.")
    home = Path(plan.fleet_directory).resolve()
    _tell_silent(root, plan)
    evidence = publish_replacement(Place(root=root, home=home, module=options.module), plan)
    click.echo(f"  evidence put together and signed by the new token: {evidence}")
    click.echo(f"  next: hsm-vault fleet replace-replica {home} --replica {plan.replica}")
    click.echo("        its manifest names this evidence, and lies beside it then; only then publish the directory")


def _person(plan: Plan, number: int) -> Person:
    if number > len(plan.people):
        raise ConfigError(f"the plan has {len(plan.people)} participants", f"Choose 1 to {len(plan.people)}")
    return plan.people[number - 1]


def _tell_silent(root: Path, plan: Plan) -> None:
    """Say who has not signed, and ask whether to go on with fewer custodians than an audit wants."""
    silent = _silent(root, plan)
    for name in silent:
        click.echo(f"  {name} has not signed; who signs later is not in this evidence")
    _ask_without_custodians(plan, silent)


def _write_unsigned(path: Path, raw: bytes) -> None:
    """Write what is to be signed. As long as nobody signed it, it is nobody's word, and may become another one."""
    signature = path.with_name(f"{path.name}.sig")
    if signature.exists() and path.exists() and read_whole(path) != raw:
        raise ConfigError(f"{path} is signed, and says something else", f"To replace it take it and {signature} away")
    replace_file(path, raw)


def _silent(root: Path, plan: Plan) -> list[str]:
    """Return who has signed neither with OpenSSH nor with another key."""
    signed = {path.name.split(".")[0] for path in (root / TESTIMONIES).glob("*.sig")}
    signed |= {path.name.split(".")[0] for path in (root / TESTIMONIES).glob("*.dsse.json")}
    return [person.name for number, person in enumerate(plan.people, 1) if str(number) not in signed]


def _ask_without_custodians(plan: Plan, silent: Sequence[str]) -> None:
    signed = sum(person.name not in silent for person in plan.custodians)
    if signed >= plan.threshold:
        return
    click.echo(
        f"  {signed} of {len(plan.custodians)} custodians have signed, and {plan.threshold} have to agree: every audit "
        "of this fleet will say FAIL, custodian-threshold, for good"
    )
    if sys.stdin.isatty():
        click.confirm("  Publish all the same?", abort=True)


def _digest(path: Path) -> bytes:
    return hashlib.sha256(read_whole(path, TRANSCRIPT_LIMIT)).digest()
