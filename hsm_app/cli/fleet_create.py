"""`hsm-vault fleet create`: a whole development fleet on one machine."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import click

from hsm_app.cli.fleet_options import FleetOptions, development_tenant, fleet_options
from hsm_app.fleet.manifest import Manifest
from hsm_app.operator.first_anchors import anchor_stores
from hsm_app.operator.fleet_files import FleetPlan, write_fleet_files
from hsm_app.operator.genesis import make_fleet
from hsm_app.operator.layout import make_directory

SIZES = ("3", "5", "7", "9")
Say = Callable[[str], None]


@click.command()
@click.argument("directory", type=click.Path(path_type=Path))
@click.option("--replicas", type=click.Choice(SIZES), default="5", show_default=True, help="Tokens of the fleet.")
@click.option("--fleet-id", default="dev-fleet", show_default=True, help="Name of the fleet, also in account tokens.")
@click.option(
    "--sealed/--maintained",
    default=True,
    show_default=True,
    help="Sealed: nobody can ever add a token. Maintained: whoever holds the security officers' PINs can.",
)
@fleet_options
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def create(directory: Path, replicas: str, fleet_id: str, sealed: bool, as_json: bool, options: FleetOptions) -> None:
    """Make a fleet of SoftHSM tokens below DIRECTORY, which must not hold anything yet.

    This is the development path. The key transport is the real one: every key is made inside a token, and the
    fleet's root travels under an RSA key that the security officer marked TRUSTED. But one person on one machine does
    it, without custodians, attestation or evidence, so the manifest says self-asserted. Do not keep real backups in it.
    With custodians and evidence: `hsm-vault ceremony`.

    With --root-of-trust the fleet's manifest is to be signed by the auditor that the document names, and published:
    see `hsm-vault auditor` and `hsm-vault namespace publish`. Without it, clients pin the manifest.

    \b
    Examples: hsm-vault fleet create ./my-fleet --replicas 5
              hsm-vault fleet create ./my-fleet --root-of-trust root-of-trust.json
              hsm-vault fleet create ./new-fleet --fleet-id fleet-2 --after ./my-fleet
    """
    count, root = int(replicas), directory.resolve()
    say = _quiet if as_json else _say
    say("development path: real PKCS#11 key transport, but one machine and one person hold every PIN while it runs")
    plan = options.plan(root, fleet_id, count, sealed=sealed)
    manifest = _make(plan, count, say)
    digest = manifest.digest.hex()
    if as_json:
        click.echo(json.dumps({"directory": str(root), "fleet": fleet_id, "manifest_sha256": digest}))
        return
    say(f"manifest written: {root / 'manifest.json'} (SHA-256 {digest})")
    for line in next_steps(plan, options):
        say(line)


def _make(plan: FleetPlan, count: int, say: Say) -> Manifest:
    make_directory(plan.root)
    if not plan.tenants:
        plan = replace(plan, tenants=(development_tenant(plan.root),))
    genesis = make_fleet(plan.root, fleet=plan.fleet, count=count, module=plan.module, sealed=plan.sealed, say=say)
    manifest = write_fleet_files(plan, genesis, int(time.time()))
    anchor_stores(plan, manifest, say=say)
    return manifest


def next_steps(plan: FleetPlan, options: FleetOptions) -> list[str]:
    """Return what to do after a fleet's files were written."""
    root = plan.root
    lines = [
        f"next: start each replica with  hsm-vault replica serve --config {root}/replica-N/replica.toml",
        f"      and the relay with       hsm-vault relay serve --config {root}/relay.toml",
    ]
    if plan.trusted is not None:
        lines += [
            "then: have the auditor sign the manifest, counter-sign and log it, and give the bundle to the replicas:",
            f"      hsm-vault namespace publish {root} BUNDLE",
        ]
    if options.after is not None:
        lines += [
            f"      hsm-vault namespace publish {options.after} BUNDLE",
            f"and tell the relay of the old fleet: [fleets] in its relay.toml, with the groups of {root}/relay.toml",
        ]
    return lines


def _say(text: str) -> None:
    click.echo(f"  {text}")


def _quiet(text: str) -> None:
    """Say nothing: the result is for a machine."""
