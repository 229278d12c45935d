"""`hsm-vault client migrate`: bring a record from a fleet that is being left to the active one."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from hsm_app.cli.device import config_option, descriptor_option, device, json_option
from hsm_app.cli.secret_input import secret_line
from hsm_app.client.device import Device
from hsm_app.client.migration import Migrated
from hsm_app.client.migration import migrate as migrate_record
from hsm_app.errors import QuorumError
from hsm_app.fleet.manifest import FleetState

CODE = "recovery code"
TWO_RECORDS = """\
fleet {old} gave no receipt that the old record is gone. As long as it may be live, somebody has ten guesses there and
ten here. So the new record has a new key, which the old one does not know, and this device works with it from now on.
Make a new backup now. Older backups open with the former key, which is kept in {former_key}."""


@click.command(short_help="Bring the record from a fleet that is being left to the active one.")
@config_option
@descriptor_option("--code-fd", CODE)
@json_option
def migrate(config: Path | None, code_fd: int | None, as_json: bool) -> None:
    """Bring the record from a fleet that only recovers to the active one, with the same key and the same code.

    The new record is live before the old one is deleted, and the deletion is done when a replica of the old fleet has
    signed that the record is gone; that receipt is kept. Without one you are warned, and the new record gets a new key.
    Run the command again after any interruption: it goes on where it was.

    Example: hsm-vault client migrate
    """
    here = device(config)
    _tell(migrate_record(here, secret_line(code_fd, CODE)), as_json)


def offer_migration(here: Device, fleet: str, code: str) -> None:
    """After a recovery from a fleet that is being left: ask whether to move now, or say how to."""
    if here.state_of(fleet) is FleetState.ACTIVE:
        return
    click.echo(f"fleet {fleet} is being left: it only recovers, and takes no new records")
    if sys.stdin.isatty() and click.confirm("Bring the record to the active fleet now?", default=True, err=True):
        _tell(migrate_record(here, code), as_json=False)
    else:
        click.echo("bring the record to the active fleet with: hsm-vault client migrate")


def _tell(migrated: Migrated | None, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(_members(migrated)))
    elif migrated is None:
        click.echo("nothing to do: the record is in an active fleet")
    else:
        click.echo(f"the record is live in fleet {migrated.new}, with the same code")
        if migrated.receipt is not None:
            signer = migrated.receipt.report.replica
            click.echo(f"the old one is gone: signed by replica {signer} of fleet {migrated.old}")
    if migrated is not None and migrated.receipt is None:
        raise QuorumError(
            TWO_RECORDS.format(old=migrated.old, former_key=migrated.former_key).removesuffix("."),
            "Run `hsm-vault client migrate` again until the old record is gone",
            ambiguous=True,
        )


def _members(migrated: Migrated | None) -> dict[str, object]:
    if migrated is None:
        return {"migrated": False}
    receipt = None if migrated.receipt is None else migrated.receipt.report
    return {
        "migrated": True,
        "from": migrated.old,
        "to": migrated.new,
        "receipt": None
        if receipt is None
        else {"replica": receipt.replica, "signed": receipt.signed.hex(), "signature": receipt.signature.hex()},
        "former_key": None if migrated.former_key is None else str(migrated.former_key),
    }
