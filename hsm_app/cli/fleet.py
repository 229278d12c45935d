"""`hsm-vault fleet`: make a development fleet, and show what a manifest says."""

from __future__ import annotations

import json
import time
from pathlib import Path

import click

from hsm_app.cli.fleet_create import create
from hsm_app.cli.fleet_status import status
from hsm_app.cli.replace import enter, replace_replica
from hsm_app.epochs import read_manifest
from hsm_app.fleet.manifest import Manifest


@click.group()
def fleet() -> None:
    """Make a fleet of tokens and look at it."""


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


fleet.add_command(create)
fleet.add_command(replace_replica)
fleet.add_command(enter)
fleet.add_command(status)
