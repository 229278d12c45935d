"""Where a PIN comes from: a file, a systemd credential, the environment, or a prompt. Never the command line.

A PIN file has to belong to the user who runs the program, and nobody else may read it (mode 0600 or 0400). systemd
sees to that itself for credentials (systemd.exec(5), LoadCredential=).
"""

from __future__ import annotations

import getpass
import os
import stat
import warnings
from pathlib import Path

from hsm_app.errors import ConfigError

LONGEST = 255  # bytes; no device takes more
CREDENTIALS = "CREDENTIALS_DIRECTORY"


class Pin:
    """A PIN. It has no repr, no str and no pickle; `reveal` hands it to the device."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        if not 1 <= len(text.encode()) <= LONGEST or any(not sign.isprintable() for sign in text):
            raise ConfigError(
                "the PIN is empty, longer than 255 bytes or has unprintable characters",
                "Check where the PIN comes from",
            )
        self._text = text

    def reveal(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return "Pin(<secret>)"

    def __reduce__(self) -> str:
        raise TypeError("a PIN is not pickled")


def pin_from(file: Path | None, credential: str | None, variable: str | None, prompt: str) -> Pin:
    """Read the PIN from the one source that is named, or ask for it. ConfigError when more than one is named."""
    if sum(source is not None for source in (file, credential, variable)) > 1:
        raise ConfigError("more than one source for the PIN is named", "Keep one of file, credential and environment")
    if file is not None:
        return pin_from_file(file)
    if credential is not None:
        return pin_from_credential(credential)
    if variable is not None:
        return pin_from_environment(variable)
    return pin_from_prompt(prompt)


def pin_from_file(path: Path) -> Pin:
    """Read the first line of a file that only its owner can read. Raises ConfigError."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise ConfigError(
            f"cannot read the PIN file {path}: {error.strerror}", "Check the path of the PIN file"
        ) from error
    try:
        _check_status(path, os.fstat(descriptor))
        return _first_line(os.read(descriptor, LONGEST + 2), str(path))
    finally:
        os.close(descriptor)


def _check_status(path: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise ConfigError(f"the PIN file {path} is not a regular file", "Put the PIN into a plain file")
    if status.st_uid != os.geteuid():
        raise ConfigError(f"the PIN file {path} belongs to another user", f"chown {_user()} {path}")
    if stat.S_IMODE(status.st_mode) & 0o177:
        raise ConfigError(f"the PIN file {path} can be read by others, or executed", f"chmod 600 {path}")


def pin_from_credential(name: str) -> Pin:
    """Read the systemd credential `name`. Raises ConfigError outside a unit that loads it."""
    directory = os.environ.get(CREDENTIALS)
    if not directory:
        raise ConfigError(
            f"no credential {name!r}: {CREDENTIALS} is not set",
            f"Start the program by systemd with LoadCredential={name}:...",
        )
    if "/" in name or name in ("", ".", ".."):
        raise ConfigError(f"{name!r} is no name of a credential", "Name it as in LoadCredential=, without a path")
    try:
        data = (Path(directory) / name).read_bytes()
    except OSError as error:
        raise ConfigError(
            f"cannot read the credential {name!r}: {error.strerror}", f"Add LoadCredential={name}:... to the unit"
        ) from error
    return _first_line(data, f"credential {name}")


def pin_from_environment(name: str) -> Pin:
    """Take the PIN from the environment variable `name`. Raises ConfigError when it is not set."""
    text = os.environ.get(name, "")
    if not text:
        raise ConfigError(f"the environment variable {name} holds no PIN", f"Set {name}, or use a PIN file")
    return Pin(text)


def pin_from_prompt(prompt: str) -> Pin:
    """Ask on the terminal, without echo. ConfigError when there is no terminal."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", getpass.GetPassWarning)  # it would read the PIN with echo
            return Pin(getpass.getpass(prompt))
    except (EOFError, OSError, getpass.GetPassWarning) as error:
        raise ConfigError(
            "there is no terminal to ask for the PIN", "Use a PIN file, a credential or the environment"
        ) from error


def _first_line(data: bytes, source: str) -> Pin:
    line, _, rest = data.partition(b"\n")
    try:
        text = line.removesuffix(b"\r").decode()
    except UnicodeDecodeError as error:
        raise ConfigError(f"the PIN in {source} is not UTF-8 text", "Write the PIN as plain text") from error
    if rest.strip():
        raise ConfigError(f"{source} holds more than one line", "Put the PIN alone on the first line")
    return Pin(text)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.geteuid())
