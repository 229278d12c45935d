"""`hsm-vault backup`: make and restore backups, and handle the key that opens them."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import click

from hsm_app.cli.device import config_option, descriptor_option, held_key, json_option, settings_at
from hsm_app.cli.progress import progress_bar
from hsm_app.cli.secret_input import secret_line
from hsm_app.client.backup.archive import tar_size
from hsm_app.client.backup.contents import printable
from hsm_app.client.backup.create import create_backup
from hsm_app.client.backup.identity import age_identity
from hsm_app.client.backup.restore import restore_backup
from hsm_app.client.randomness import random_bytes
from hsm_app.client.state import KEY_LENGTH, DeviceState
from hsm_app.vault.recovery_code import format_key, parse_key

WHAT = "backup key"
PATH = click.Path(path_type=Path)


@click.group()
def backup() -> None:
    """Make and restore backups as age files; show the 64-digit key.

    The key is the one this device holds after `hsm-vault client register` or `recover`, or one given by --key-fd.
    """


@backup.command()
@click.argument("directory", type=PATH)
@click.argument("file", type=PATH)
@config_option
@descriptor_option("--key-fd", "64-digit key")
@json_option
def create(directory: Path, file: Path, config: Path | None, key_fd: int | None, as_json: bool) -> None:
    """Encrypt DIRECTORY into the new age file FILE.

    FILE appears only when it is complete. Left out, and said so, are sockets, pipes, devices, and symbolic links that
    lead out of DIRECTORY. Owners, extended attributes and fractions of a second are not kept.

    Example: hsm-vault backup create ~/documents /mnt/cloud/documents.age
    """
    key = _key(config, key_fd)
    _stop_cleanly()
    size = tar_size(directory) if directory.is_dir() else 0
    with progress_bar("Backing up", size) as progress:
        made = create_backup(directory, file, key, progress)
    for name, reason in made.skipped:
        click.echo(f"hsm-vault: left out {printable(name)}: {reason}", err=True)
    if as_json:
        skipped = [{"name": printable(name), "reason": reason} for name, reason in made.skipped]
        click.echo(json.dumps({"file": str(made.path), "bytes": made.size, "left_out": skipped}))
    else:
        click.echo(f"{made.path}: {made.size} bytes, encrypted")


@backup.command()
@click.argument("file", type=PATH)
@click.argument("directory", type=PATH)
@config_option
@descriptor_option("--key-fd", "64-digit key")
@json_option
def restore(file: Path, directory: Path, config: Path | None, key_fd: int | None, as_json: bool) -> None:
    """Decrypt the age file FILE into the new directory DIRECTORY.

    DIRECTORY appears only when everything in it was decrypted, checked and written. What was interrupted lies beside it
    under a name that ends in .part, and may be deleted.

    Example: hsm-vault backup restore /mnt/cloud/documents.age ~/documents
    """
    key = _key(config, key_fd)
    _stop_cleanly()
    with progress_bar("Restoring", file.stat().st_size if file.is_file() else 0) as progress:
        restored = restore_backup(file, directory, key, progress)
    if as_json:
        click.echo(json.dumps({"directory": str(restored.path), "files": restored.files, "bytes": restored.size}))
    else:
        click.echo(f"{restored.path}: {restored.files} files, {restored.size} bytes")


@backup.command()
@config_option
@click.option("--new", is_flag=True, help="Make a fresh key and keep it on this device.")
@click.option("--import", "import_", is_flag=True, help="Keep a 64-digit key, asked for, on this device.")
@click.option("--age", is_flag=True, help="Print the key as an age identity, for the age program.")
@descriptor_option("--key-fd", "64-digit key")
@json_option
def key(config: Path | None, new: bool, import_: bool, age: bool, key_fd: int | None, as_json: bool) -> None:
    """Show the backup key as 64 digits, in groups.

    Whoever has these digits opens every backup, without the vault, a code or an account. Written down and locked away
    they are the way that no machine can lose; in any other place they are the way around the ten guesses.

    \b
    Examples: hsm-vault backup key
              hsm-vault backup key --import
              hsm-vault backup key --age > identity; age --decrypt -i identity documents.age | tar -x
    """
    if new and (import_ or key_fd is not None):
        raise click.UsageError("--new makes a key; it goes with neither --import nor --key-fd.")
    if new or import_:
        held = random_bytes(KEY_LENGTH) if new else parse_key(secret_line(key_fd, WHAT))
        DeviceState(settings_at(config).state_directory).keep_key(held)
        if not as_json:
            click.echo("the key is kept on this device" if import_ else "a fresh key is kept on this device")
            return
    else:
        held = _key(config, key_fd)
    if as_json:
        click.echo(json.dumps({"key": held.hex(), "age_identity": age_identity(held)}))
    else:
        click.echo(age_identity(held) if age else format_key(held))


def _key(config: Path | None, key_fd: int | None) -> bytes:
    return held_key(config) if key_fd is None else parse_key(secret_line(key_fd, WHAT))


def _stop_cleanly() -> None:
    """Let a request to end (SIGTERM) clean up like Ctrl-C does."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
