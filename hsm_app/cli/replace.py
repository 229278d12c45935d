"""`hsm-vault fleet replace-replica`, and bringing replicas that were away to the fleet's present epoch."""

from __future__ import annotations

import time
from pathlib import Path

import click

from hsm_app.fleet.manifest import Manifest
from hsm_app.operator.fleet_directory import FleetDirectory, open_fleet_directory
from hsm_app.operator.replace import Replacement
from hsm_app.operator.replace_died import NewTokenDied
from hsm_app.operator.replace_epochs import Doors

DIRECTORY = click.Path(path_type=Path, file_okay=False, exists=True)


@click.command("replace-replica")
@click.argument("directory", type=DIRECTORY)
@click.option("--replica", type=click.IntRange(1, 255), required=True, help="Number of the replica to replace.")
@click.option("--same-token", is_flag=True, help="The token lives, and only the store is lost: also in a sealed fleet.")
@click.option("--new-token-died", is_flag=True, help="What the replica was to come back with died: go on without it.")
def replace_replica(directory: Path, replica: int, same_token: bool, new_token_died: bool) -> None:
    """Replace a dead replica of the fleet below DIRECTORY, without losing a record or a guess.

    Stop the replica for good first; a majority of the others has to run. In a maintained fleet the replica comes back
    with a fresh token; with --same-token it keeps its token and begins with an empty store. In a sealed fleet a dead
    token cannot be replaced: the command then stops after the epoch without it is complete, and says why.

    Takes two epochs, and each replica checks each step by itself. Run the same command again after any interruption: it
    goes on where it was. Clients that pin the manifest need each epoch's new digest in their configuration. In a fleet
    with a root of trust the command stops before each of the two, until the auditor has published its manifest and
    `hsm-vault namespace publish` has brought the bundle; then run it again.

    If the token that comes in dies before the command is done, or is gone for good with its machine, run it once with
    --new-token-died: an epoch that lists it is finished without it, or else it is set aside. Then replace the replica
    again, from the beginning.

    Example: hsm-vault fleet replace-replica ./fleet --replica 3
    """
    if same_token and new_token_died:
        raise click.UsageError("--new-token-died is for either kind of token; leave out --same-token")
    opened = open_fleet_directory(directory.resolve())
    if new_token_died:
        _tell(opened, NewTokenDied(directory=opened, replica=replica, say=_say).run())
        _say(f"next: replace it by another one:  hsm-vault fleet replace-replica {opened.root} --replica {replica}")
        return
    work = Replacement(directory=opened, replica=replica, is_same_token=same_token, now=int(time.time()), say=_say)
    manifest = work.run()
    _tell(opened, manifest)
    if any(member.replica == replica for group in opened.fleet(manifest).groups for member in group.replicas):
        _say(f"next: start it with  hsm-vault replica serve --config {opened.root}/replica-{replica}/replica.toml")


def _tell(opened: FleetDirectory, manifest: Manifest) -> None:
    """Say how clients get a manifest."""
    root = opened.root
    if opened.trusted is None:
        _say(f"clients need the manifest of epoch {manifest.epoch}: {root / 'manifest.json'}")
        _say(f"  manifest_sha256 = {manifest.digest.hex()}  ({root / 'client.toml'} has it)")
        _say("  a client that pins an earlier one is refused")
    else:
        _say(f"clients learn epoch {manifest.epoch} from the replicas")


@click.command()
@click.argument("directory", type=DIRECTORY)
def enter(directory: Path) -> None:
    """Bring every running replica of the fleet below DIRECTORY to the fleet's present epoch.

    For a replica that was away while another one was replaced: it votes only in the epoch that it has entered.

    Example: hsm-vault fleet enter ./fleet
    """
    doors = Doors(directory=open_fleet_directory(directory.resolve()), say=_say)
    manifest = doors.epochs.current()
    for group in doors.directory.fleet(manifest).groups:
        doors.bring(group, manifest, need=0)


def _say(text: str) -> None:
    click.echo(f"  {text}")
