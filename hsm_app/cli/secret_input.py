"""How a secret comes in: typed on the terminal without echo, or through a file descriptor. Never on the command line.

A command line is seen by everybody on the machine and kept in the shell's history; an environment variable is handed to
every child. A descriptor is neither: `--code-fd 3 3< code-file`, or `--code-fd 0` for a pipe.
"""

from __future__ import annotations

import getpass
import os

import click

from hsm_app.errors import ConfigError

LIMIT = 4096  # bytes of a line


def secret_line(descriptor: int | None, what: str) -> str:
    """Return one line from `descriptor`, or asked for on the terminal. ConfigError when neither is there."""
    return _read(descriptor, what) if descriptor is not None else _ask(what.capitalize())


def chosen_secret(descriptor: int | None, what: str) -> str:
    """Return a new secret: on the terminal it is asked for twice, and ConfigError when the two differ."""
    if descriptor is not None:
        return _read(descriptor, what)
    first = _ask(what.capitalize())
    if _ask(f"{what.capitalize()}, once more") != first:
        raise ConfigError(f"the two entries of the {what} differ", "Start again; nothing was done")
    return first


def _read(descriptor: int, what: str) -> str:
    line = b""
    try:
        # Byte by byte, since what follows the line belongs to somebody else, and a pipe may stay open behind it.
        while len(line) <= LIMIT and not line.endswith(b"\n") and (more := os.read(descriptor, 1)):
            line += more
    except OSError as error:
        raise ConfigError(
            f"cannot read the {what} from descriptor {descriptor}: {error.strerror}",
            f"Open it in the shell, such as {descriptor}< file",
        ) from error
    return _text(line, what)


def _text(line: bytes, what: str) -> str:
    stripped = line.removesuffix(b"\n").removesuffix(b"\r")
    if not stripped or len(line) > LIMIT:
        raise ConfigError(
            f"the {what} is {'empty' if not stripped else 'too long'}", "Check what the descriptor is open on"
        )
    try:
        return stripped.decode()
    except UnicodeDecodeError:
        raise ConfigError(f"the {what} is not UTF-8 text", "Check what the descriptor is open on") from None


def _ask(prompt: str) -> str:
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC))
    except OSError as error:  # getpass would then echo, from standard input
        raise ConfigError("there is no terminal to ask on", "Give the secret by a descriptor: see --help") from error
    try:
        entered = getpass.getpass(f"{prompt}: ")
    except EOFError:
        raise click.Abort from None
    except UnicodeDecodeError:
        raise ConfigError("what was typed is not UTF-8 text", "Check the terminal's locale") from None
    if not entered:
        raise ConfigError("nothing was typed", "Start again")
    return entered
