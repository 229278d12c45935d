"""`hsm-vault client`: keep the backup key in the vault, and get it back with the recovery code."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import click

from hsm_app.cli.device import config_option, descriptor_option, json_option, settings_at
from hsm_app.cli.new_code import NewCode, hand_over, new_code, shown
from hsm_app.cli.report import failed_lines, moment, status_json, status_lines
from hsm_app.cli.secret_input import secret_line
from hsm_app.client.blocking import Vault
from hsm_app.client.config import vault_config
from hsm_app.client.randomness import random_bytes
from hsm_app.client.results import Receipt, Recovery, event_text
from hsm_app.client.state import KEY_LENGTH, DeviceState
from hsm_app.errors import ConfigError, ProtocolError
from hsm_app.model import RegistrationId
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """This device: its vault and what it keeps."""

    vault: Vault
    state: DeviceState

    def recover(self, code_fd: int | None) -> Recovery:
        recovery = self.vault.recover(secret_line(code_fd, CODE))
        if len(recovery.secret) != KEY_LENGTH:
            raise ProtocolError(
                f"the record keeps a secret of {len(recovery.secret)} bytes, which is no backup key",
                "Recover it with the program that registered it",
            )
        return recovery

    def keep(self, receipt: Receipt) -> None:
        """Keep the owner's key: of the live record, or apart while a replacement waits."""
        if receipt.due_at is None:
            self.state.keep_owner_key(receipt.owner_key)
            self.state.forget_waiting()
        else:
            self.state.keep_waiting(receipt.registration_id, receipt.owner_key)


def device(config: Path | None) -> Device:
    """Open the configuration and refuse a manifest older than what this device has seen."""
    settings = settings_at(config)
    vault = vault_config(settings)
    state = DeviceState(settings.state_directory)
    state.pin(vault.manifest)
    return Device(vault=Vault(vault), state=state)


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
    key = parse_key(secret_line(key_fd, "backup key")) if key_fd is not None else here.state.key()
    code = new_code(choose_code, code_fd)
    key = key or random_bytes(KEY_LENGTH)
    here.state.keep_key(key)
    hand_over(code, code_out, quiet=as_json)
    owner_key = here.state.owner_key() if replace else None
    receipt = here.vault.register(code.text, key, owner_key=owner_key, replace=replace)
    here.keep(receipt)
    _tell_receipt(receipt, code, code_out, as_json)


@client.command(short_help="Get the key back with the recovery code.")
@config_option
@code_option
@click.option("--print-key", is_flag=True, help="Print the key as 64 digits and nothing else; keep nothing here.")
@json_option
def recover(config: Path | None, code_fd: int | None, print_key: bool, as_json: bool) -> None:
    """Get the key back with the recovery code, on a device that has only the configuration and an account token.

    A wrong code costs one of ten attempts, and a right one gives them back. A mistyped generated code is noticed before
    anything is sent. Attempts that failed since are listed: were they yours?

    \b
    Examples: hsm-vault client recover
              RESTIC_PASSWORD_COMMAND='hsm-vault client recover --print-key' restic snapshots
    """
    here = device(config)
    recovery = here.recover(code_fd)
    failed = [] if as_json else failed_lines(recovery)
    if print_key:
        for line in failed:
            click.echo(line, err=True)
        click.echo(recovery.secret.hex())
        return
    here.state.keep_key(recovery.secret)
    here.state.keep_owner_key(recovery.owner_key)
    if as_json:
        events = [{"kind": one.kind, "at": one.at, "text": event_text(one)} for one in recovery.failed_attempts]
        click.echo(json.dumps({"generation": recovery.generation, "failed_attempts": events}))
        return
    click.echo(f"the key is recovered and kept on this device (generation {recovery.generation} of the record)")
    for line in failed:
        click.echo(line)


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
        recovery = here.recover(code_fd)
        key, owner_key = recovery.secret, recovery.owner_key
    code = new_code(choose_code, new_code_fd)
    hand_over(code, code_out, quiet=as_json)
    receipt = here.vault.change(code.text, secret=key, owner_key=owner_key)
    here.keep(receipt)
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
    receipt = here.vault.activate(Receipt(registration_id=RegistrationId(waiting[0]), owner_key=waiting[1]))
    here.keep(receipt)
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
    owner_key = here.recover(code_fd).owner_key if with_code or code_fd is not None else here.state.owner_key()
    removal = here.vault.delete(owner_key)
    if removal.due_at is None:
        here.state.forget_owner_key()
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
        owner_key = here.recover(code_fd).owner_key
    generation = here.vault.cancel(owner_key)
    click.echo(json.dumps({"generation": generation}) if as_json else "nothing waits any more; the record stays")


@client.command(short_help="Show attempts left, what waits, what happened.")
@config_option
@json_option
def status(config: Path | None, as_json: bool) -> None:
    """Show the record: attempts left, what waits, and what happened last. Costs nothing and needs no code.

    The answer is signed by a replica's token, and the signature is verified against the manifest.

    Example: hsm-vault client status
    """
    signed = device(config).vault.status()
    if as_json:
        click.echo(json.dumps(status_json(signed)))
        return
    for line in status_lines(signed):
        click.echo(line)


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
