"""`hsm-vault client`: keep the backup key in the vault, and get it back with the recovery code."""

from __future__ import annotations

import json
from pathlib import Path

import click

from hsm_app.cli.client_migrate import migrate, offer_migration
from hsm_app.cli.device import config_option, descriptor_option, device, json_option
from hsm_app.cli.new_code import NewCode, hand_over, new_code, put_to_use, shown
from hsm_app.cli.report import failed_lines, moment, status_json, status_lines
from hsm_app.cli.secret_input import secret_line
from hsm_app.client.device import Device
from hsm_app.client.randomness import random_bytes
from hsm_app.client.results import Receipt, event_text
from hsm_app.client.state import KEY_LENGTH
from hsm_app.errors import ConfigError
from hsm_app.model import RegistrationId
from hsm_app.vault.record import State
from hsm_app.vault.recovery_code import parse_key

CODE = "recovery code"
code_option = descriptor_option("--code-fd", CODE)
code_out_option = click.option(
    "--code-out",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the generated code into this new file (mode 0600) instead of showing it.",
)
choose_option = click.option("--choose-code", is_flag=True, help="Choose the code yourself, on the terminal.")
with_code_option = click.option(
    "--with-code", is_flag=True, help="Prove with the recovery code, not with the owner's key of this device."
)


@click.group()
def client() -> None:
    """Keep a backup key in the vault and get it back.

    The key is 32 random bytes made on this device. The vault keeps it behind a recovery code that never leaves the
    device, gives at most ten wrong guesses, and then destroys the record. What this device keeps lies in the
    configuration's state_directory.
    """


@client.command(short_help="Keep the key of this device in the vault, behind a new code.")
@config_option
@descriptor_option("--key-fd", "64-digit key to register")
@choose_option
@descriptor_option("--code-fd", "chosen code")
@code_out_option
@click.option("--replace", is_flag=True, help="Replace a live record; without its owner's key that waits some days.")
@json_option
def register(
    config: Path | None,
    key_fd: int | None,
    choose_code: bool,
    code_fd: int | None,
    code_out: Path | None,
    replace: bool,
    as_json: bool,
) -> None:
    """Keep the key of this device in the vault, behind a new recovery code.

    The key is the one this device holds, or a fresh one if it holds none. The code is generated and shown once, unless
    you choose it; common codes are refused.

    \b
    Examples: hsm-vault client register
              hsm-vault client register --choose-code
              hsm-vault client register --code-out /media/usb/code
    """
    here = device(config)
    fleet = here.new_home()
    _check_no_other(here, fleet)
    key = parse_key(secret_line(key_fd, "backup key")) if key_fd is not None else here.state.key()
    code = new_code(choose_code, code_fd)
    key = key or random_bytes(KEY_LENGTH)
    here.state.keep_key(key)
    hand_over(code, code_out, quiet=as_json)
    owner_key = here.state.owner_key() if replace else None
    with put_to_use(code, code_out, quiet=as_json):
        receipt = here.vault(fleet).register(code.text, key, owner_key=owner_key, replace=replace)
    here.keep_registered(receipt, fleet)
    _tell_receipt(receipt, code, code_out, as_json)


@client.command(short_help="Get the key back with the recovery code.")
@config_option
@code_option
@click.option("--print-key", is_flag=True, help="Print the key as 64 digits and nothing else; keep no key here.")
@json_option
def recover(config: Path | None, code_fd: int | None, print_key: bool, as_json: bool) -> None:
    """Get the key back with the recovery code, on a device that has only the configuration and an account token.

    A wrong code costs one of ten attempts, and a right one gives them back. A mistyped generated code is noticed before
    anything is sent. Attempts that failed since are listed: were they yours? Every fleet that is not revoked is asked,
    and nothing is registered anew when none has the record.

    \b
    Examples: hsm-vault client recover
              RESTIC_PASSWORD_COMMAND='hsm-vault client recover --print-key' restic snapshots
    """
    here = device(config)
    code = secret_line(code_fd, CODE)
    recovery, fleet = here.recover(code)
    failed = [] if as_json else failed_lines(recovery)
    if print_key:
        for line in failed:
            click.echo(line, err=True)
        click.echo(recovery.secret.hex())
        return
    here.keep_recovered(recovery, fleet)
    if as_json:
        events = [{"kind": one.kind, "at": one.at, "text": event_text(one)} for one in recovery.failed_attempts]
        click.echo(json.dumps({"generation": recovery.generation, "fleet": fleet, "failed_attempts": events}))
        return
    click.echo(f"the key is recovered and kept on this device (generation {recovery.generation} of the record)")
    for line in failed:
        click.echo(line)
    offer_migration(here, fleet, code)


@client.command(short_help="Put the key behind a new code.")
@config_option
@choose_option
@descriptor_option("--new-code-fd", "chosen new code")
@code_out_option
@with_code_option
@descriptor_option("--code-fd", "present recovery code")
@json_option
def change(
    config: Path | None,
    choose_code: bool,
    new_code_fd: int | None,
    code_out: Path | None,
    with_code: bool,
    code_fd: int | None,
    as_json: bool,
) -> None:
    """Put the key behind a new recovery code; the old one is worth nothing afterwards.

    A device that holds the key and the owner's key needs nothing else. On another one the present code is asked for.

    Example: hsm-vault client change
    """
    here = device(config)
    key, owner_key = here.state.key(), here.state.owner_key()
    if with_code or code_fd is not None or key is None or owner_key is None:
        recovery, fleet = here.recover(secret_line(code_fd, CODE))
        key, owner_key = recovery.secret, recovery.owner_key
    else:
        fleet = here.home()
    vault = here.vault(fleet)
    code = new_code(choose_code, new_code_fd)
    hand_over(code, code_out, quiet=as_json)
    with put_to_use(code, code_out, quiet=as_json):
        receipt = vault.change(code.text, secret=key, owner_key=owner_key)
    here.keep_registered(receipt, fleet)
    _tell_receipt(receipt, code, code_out, as_json)


@client.command(short_help="Make a replacement live whose wait is over.")
@config_option
@json_option
def activate(config: Path | None, as_json: bool) -> None:
    """Make a replacement live whose wait is over (after `register --replace` without the owner's key).

    Example: hsm-vault client activate
    """
    here = device(config)
    waiting = here.state.waiting()
    if waiting is None:
        raise ConfigError("no replacement of this device waits", "Register first; see `hsm-vault client status`")
    fleet = here.home()
    receipt = here.vault(fleet).activate(Receipt(registration_id=RegistrationId(waiting[0]), owner_key=waiting[1]))
    here.keep_registered(receipt, fleet)
    _tell_receipt(receipt, None, None, as_json)


@client.command(short_help="Delete the record in the vault.")
@config_option
@with_code_option
@code_option
@click.option("--yes", is_flag=True, help="Do not ask whether you are sure.")
@json_option
def delete(config: Path | None, with_code: bool, code_fd: int | None, yes: bool, as_json: bool) -> None:
    """Delete the record in the vault. The key on this device and the backups stay.

    With the owner's key of this device, or the code, it is gone at once. Without either it is scheduled: after the
    fleet's delay ask again; until then the owner can cancel.

    Example: hsm-vault client delete
    """
    here = device(config)
    if not yes:
        click.confirm("Delete the record, so that no code recovers this key any more?", abort=True, err=True)
    if with_code or code_fd is not None:
        recovery, fleet = here.recover(secret_line(code_fd, CODE))
        owner_key: bytes | None = recovery.owner_key
    else:
        owner_key, fleet = here.state.owner_key(), here.home()
    removal = here.vault(fleet).delete(owner_key)
    if removal.due_at is None:
        here.state.forget_owner_key()
        here.state.forget_fleet()
    if as_json:
        click.echo(json.dumps({"deleted": removal.due_at is None, "due_at": removal.due_at}))
    elif removal.due_at is None:
        click.echo("the record is deleted")
    else:
        click.echo(f"the deletion waits until {moment(removal.due_at)}; run this command again then")


@client.command(short_help="Cancel a deletion or replacement that waits.")
@config_option
@code_option
@json_option
def cancel(config: Path | None, code_fd: int | None, as_json: bool) -> None:
    """Cancel a deletion or replacement that waits, because somebody without the owner's key asked for it.

    On a device without the owner's key the recovery code is asked for.

    Example: hsm-vault client cancel
    """
    here = device(config)
    owner_key = here.state.owner_key()
    if code_fd is not None or owner_key is None:
        recovery, fleet = here.recover(secret_line(code_fd, CODE))
        owner_key = recovery.owner_key
    else:
        fleet = here.home()
    generation = here.vault(fleet).cancel(owner_key)
    click.echo(json.dumps({"generation": generation}) if as_json else "nothing waits any more; the record stays")


@client.command(short_help="Show attempts left, what waits, what happened.")
@config_option
@json_option
def status(config: Path | None, as_json: bool) -> None:
    """Show the record: attempts left, what waits, and what happened last. Costs nothing and needs no code.

    The answer is signed by a replica's token, and the signature is verified against the manifest.

    Example: hsm-vault client status
    """
    here = device(config)
    signed = here.vault(here.home()).status()
    if as_json:
        click.echo(json.dumps(status_json(signed)))
        return
    for line in status_lines(signed):
        click.echo(line)


def _check_no_other(here: Device, fleet: str) -> None:
    """Refuse to register beside a record that is live in another fleet: two of them are twenty guesses."""
    other = here.state.fleet()
    if other in (None, fleet) or other not in {each.fleet for each in here.manifest.fleets}:
        return
    if here.vault(other).status().body.state == State.ACTIVE:
        raise ConfigError(
            f"this device has a live record in fleet {other}", "Bring it to the new fleet: `hsm-vault client migrate`"
        )


def _tell_receipt(receipt: Receipt, code: NewCode | None, code_out: Path | None, as_json: bool) -> None:
    if as_json:
        told = {} if code is None else shown(code, code_out)
        click.echo(json.dumps({"generation": receipt.generation, "due_at": receipt.due_at, **told}))
    elif receipt.due_at is None:
        click.echo(
            f"the key is kept by the vault (generation {receipt.generation} of the record); the code is in use now"
        )
    else:
        click.echo(
            "a live record is in the way, and its owner did not sign: the replacement waits until "
            f"{moment(receipt.due_at)}\nthen run: hsm-vault client activate"
        )


client.add_command(migrate)
