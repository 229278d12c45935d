"""`hsm-vault fleet`: make a development fleet, and show what a manifest says."""

from __future__ import annotations

import json
import time
from pathlib import Path

import click

from hsm_app.cli.fleet_status import status
from hsm_app.cli.replace import enter, replace_replica
from hsm_app.cli.tenant import make_tenant_key
from hsm_app.epochs import read_manifest
from hsm_app.errors import ConfigError
from hsm_app.fleet.manifest import Argon2Costs, AttemptPolicy, Manifest, TenantKeys
from hsm_app.model import FleetId
from hsm_app.operator.first_anchors import anchor_stores
from hsm_app.operator.fleet_files import FleetPlan, write_fleet_files
from hsm_app.operator.genesis import make_fleet
from hsm_app.operator.layout import make_directory

SOFTHSM = "/usr/lib/softhsm/libsofthsm2.so"
FIRST_PORT = 7700
TENANT = "demo"
SIZES = ("3", "5", "7", "9")


@click.group()
def fleet() -> None:
    """Make a fleet of tokens and look at it."""


@fleet.command()
@click.argument("directory", type=click.Path(path_type=Path))
@click.option("--replicas", type=click.Choice(SIZES), default="5", show_default=True, help="Tokens of the fleet.")
@click.option("--fleet-id", default="dev-fleet", show_default=True, help="Name of the fleet, also in account tokens.")
@click.option(
    "--sealed/--maintained",
    default=True,
    show_default=True,
    help="Sealed: nobody can ever add a token. Maintained: whoever holds the security officers' PINs can.",
)
@click.option("--module", type=click.Path(path_type=Path), default=SOFTHSM, show_default=True, help="SoftHSM module.")
@click.option("--ports", default="", help="Comma-separated: the relay's, then two for each replica. [default: 7700 up]")
@click.option("--days", type=click.IntRange(1, 3650), default=365, show_default=True, help="Validity of the manifest.")
@click.option(
    "--waits",
    default="0,0,0,30,60,300,600,1800,3600",
    show_default=True,
    help="Seconds to wait after the 1st, 2nd, ... wrong guess in a row.",
)
@click.option("--argon2", default="3,65536,4", show_default=True, help="Argon2id: iterations, memory in KiB, lanes.")
@click.option("--delay", type=click.IntRange(1), default=7 * 86_400, show_default=True,
              help="Seconds before a delete or replace without the owner's signature takes effect.")  # fmt: skip
@click.option(
    "--hourly", default="1000000,1000", show_default=True, help="A tenant's charges and destructions an hour."
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def create(
    directory: Path,
    replicas: str,
    fleet_id: str,
    sealed: bool,
    module: Path,
    ports: str,
    days: int,
    waits: str,
    argon2: str,
    delay: int,
    hourly: str,
    as_json: bool,
) -> None:
    """Make a fleet of SoftHSM tokens below DIRECTORY, which must not hold anything yet.

    This is the development path. The key transport is the real one: every key is made inside a token, and the
    fleet's root travels under an RSA key that the security officer marked TRUSTED. But one person on one machine does
    it, without custodians, attestation or evidence, so the manifest says self-asserted. Do not keep real backups in it.

    Example: hsm-vault fleet create ./my-fleet --replicas 5
    """
    count = int(replicas)
    root = directory.resolve()
    numbers = _numbers(ports, "--ports") or tuple(range(FIRST_PORT, FIRST_PORT + 2 * count + 1))
    if len(numbers) != 2 * count + 1:
        raise ConfigError(f"--ports names {len(numbers)} ports", f"A fleet of {count} needs {2 * count + 1}")
    iterations, memory, lanes = _exactly(3, argon2, "--argon2")
    charges, destructions = _exactly(2, hourly, "--hourly")
    attempts = AttemptPolicy(
        maximum=10,
        waits_seconds=_numbers(waits, "--waits"),
        replace_delay_seconds=delay,
        charges_per_hour=charges,
        destructions_per_hour=destructions,
    )
    say = _quiet if as_json else _say
    say("development path: real PKCS#11 key transport, but one machine and one person hold every PIN while it runs")
    make_directory(root)
    tenant_key = make_tenant_key(root / "tenant" / f"{TENANT}.pem", "ES256")
    plan = FleetPlan(
        root=root,
        fleet=FleetId(fleet_id),
        module=module,
        sealed=sealed,
        ports=numbers,
        days=days,
        argon2=Argon2Costs(iterations=iterations, memory_kib=memory, lanes=lanes),
        attempts=attempts,
        tenant=TenantKeys(tenant=TENANT, keys=(tenant_key,)),
    )
    genesis = make_fleet(root, fleet=fleet_id, count=count, module=module, sealed=sealed, say=say)
    manifest = write_fleet_files(plan, genesis, int(time.time()))
    anchor_stores(plan, manifest, say=say)
    digest = manifest.digest.hex()
    if as_json:
        click.echo(json.dumps({"directory": str(root), "fleet": fleet_id, "manifest_sha256": digest}))
        return
    say(f"manifest written: {root / 'manifest.json'} (SHA-256 {digest})")
    say(f"next: start each replica with  hsm-vault replica serve --config {root}/replica-N/replica.toml")
    say(f"      and the relay with       hsm-vault relay serve --config {root}/relay.toml")


@fleet.command()
@click.argument("manifest", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def show(manifest: Path, as_json: bool) -> None:
    """Print what MANIFEST says: epoch, digest, window, fleets, keys and policy. It is checked while being read."""
    parsed = read_manifest(manifest)
    if as_json:
        click.echo(json.dumps({"sha256": parsed.digest.hex(), "manifest": json.loads(parsed.raw)}))
        return
    for line in _describe(parsed):
        click.echo(line)


def _describe(manifest: Manifest) -> list[str]:
    lines = [
        f"namespace   {manifest.namespace}, epoch {manifest.epoch}",
        f"sha256      {manifest.digest.hex()}",
        f"valid       {_time(manifest.not_before)} to {_time(manifest.not_after)}",
    ]
    for each in manifest.fleets:
        assurance = each.assurance
        lines += [
            f"fleet       {each.fleet}: {each.state.value}, {each.custody.value}",
            f"  session   {each.kem_public.hex()}",
            f"  opaque    {each.opaque_public.hex()}",
            f"  guesses   {each.attempts.maximum}, waits {', '.join(map(str, each.attempts.waits_seconds))} s",
            f"  assurance key custody {_level(assurance.key_custody)}, code {_level(assurance.code_enforcement)}, "
            f"anchor {_level(assurance.anchor_freshness)}",
            f"  tenants   {', '.join(tenant.tenant for tenant in each.tenants)}",
        ]
        for group in each.groups:
            lines.append(f"  group {group.group}   {len(group.replicas)} replicas, majority {group.majority}")
            lines += [
                f"    replica {member.replica}  {member.identity_public.hex()}, incarnation {member.incarnation}"
                for member in group.replicas
            ]
    return lines


def _level(level: object) -> str:
    return getattr(level, "name", str(level)).lower().replace("_", "-")


def _time(at: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(at))


def _numbers(text: str, option: str) -> tuple[int, ...]:
    words = [word.strip() for word in text.split(",") if word.strip()]
    if not all(word.isascii() and word.isdigit() for word in words):
        raise ConfigError(f"{option} {text!r} is not a list of whole numbers", "Write them like 1,2,3")
    return tuple(int(word) for word in words)


def _exactly(count: int, text: str, option: str) -> tuple[int, ...]:
    numbers = _numbers(text, option)
    if len(numbers) != count:
        raise ConfigError(f"{option} {text!r} needs {count} numbers", "See --help")
    return numbers


def _say(text: str) -> None:
    click.echo(f"  {text}")


def _quiet(text: str) -> None:
    """Say nothing: the result is for a machine."""


fleet.add_command(replace_replica)
fleet.add_command(enter)
fleet.add_command(status)
