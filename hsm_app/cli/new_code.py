"""Where the code of a registration comes from, and how a generated one reaches the person, once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import click

from hsm_app.cli.secret_input import chosen_secret
from hsm_app.client.randomness import random_bytes
from hsm_app.durable import create_file
from hsm_app.errors import ConfigError, VaultError
from hsm_app.vault.recovery_code import RANDOM_BYTES, choose_code, generate_code

ADVICE = """\
Write it on paper now, and keep it where only you find it. It is not shown again and nobody can look it up: with it you
get your key back on a new device; after ten wrong ones the key is gone for good."""

NOT_IN_USE = "the new code is not in use: throw it away. One that was in use before still is"
NOT_KNOWN = "whether the new code is in use is not known: keep it, and the one before, until this command has succeeded"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewCode:
    """A code, and whether it was generated here, so that its person has not seen it yet."""

    text: str = field(repr=False)
    generated: bool


def new_code(choose: bool, descriptor: int | None) -> NewCode:
    """Return a chosen code (asked for, or from a descriptor) or a generated one. ConfigError for one that is common."""
    if choose or descriptor is not None:
        return NewCode(text=choose_code(chosen_secret(descriptor, "new recovery code")), generated=False)
    return NewCode(text=generate_code(random_bytes(RANDOM_BYTES)), generated=True)


def hand_over(code: NewCode, file: Path | None, *, quiet: bool) -> None:
    """Give a generated code to its person before it is put to use: whatever happens next, it is not lost.

    With `quiet`, a program gets it with the result, or from `put_to_use`.
    """
    if not code.generated:
        return
    if file is not None:
        _write_new(file, code.text + "\n")
    elif not quiet:
        click.echo(f"Recovery code:\n\n    {code.text}\n\n{ADVICE}\n")


@contextmanager
def put_to_use(code: NewCode, file: Path | None, *, quiet: bool) -> Iterator[None]:
    """Say what a generated code is worth when the vault does not take it: its person has it on paper by then.

    A program that has not got it yet, for there is no result, gets one that may be in use.
    """
    try:
        yield
    except BaseException as error:
        if code.generated:
            is_unused = isinstance(error, VaultError) and not error.ambiguous
            if quiet and file is None and not is_unused:
                click.echo(json.dumps({"code": code.text, "in_use": None}))
            click.echo(f"hsm-vault: {NOT_IN_USE if is_unused else NOT_KNOWN}", err=True)
        raise


def shown(code: NewCode, file: Path | None) -> dict[str, str]:
    """Return what a machine is told about the code: a generated one, unless it went into a file."""
    return {"code": code.text} if code.generated and file is None else {}


def _write_new(file: Path, text: str) -> None:
    try:
        create_file(file, text.encode(), 0o600)
    except FileExistsError as error:
        raise ConfigError(f"{file} exists already", "Name a new file for the code; nothing is overwritten") from error
    except OSError as error:
        raise ConfigError(f"cannot write {file}: {error.strerror}", "Name another file for the code") from error
