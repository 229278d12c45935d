"""What a backup holds: the entries of a directory, and the rule for symbolic links that both directions obey.

Kept: directories, files, and symbolic links that stay inside, in the order of their names' bytes, so the same
directory gives the same tar. Not kept: owners, hard-link identity, sparse holes, extended attributes and fractions of
a second; sockets, pipes, devices and links that lead out are left out and reported, because a restore would refuse
them. A directory on another file system is entered like any other.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from hsm_app.errors import BackupError

Skipped = Callable[[str, str], None]  # called with a relative path and the reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One thing to keep. `name` is relative, with slashes; `target` is a symbolic link's text."""

    name: str
    path: str
    status: os.stat_result
    target: str = ""


def leads_out(name: str, target: str) -> bool:
    """Say whether a symbolic link `name` to `target` might lead out of the directory that holds both.

    It stays inside when its `..` all come first and are no more than the real directories above it: then it goes down
    by names only, from inside, and any other link on that way stays inside for the same reason. A `..` behind a name is
    taken to lead out, since that name may be a link. The rule looks at nothing but the text, so whoever writes a backup
    and whoever restores it agree.
    """
    steps = [step for step in target.split("/") if step not in ("", ".")]
    up = next((count for count, step in enumerate(steps) if step != ".."), len(steps))
    above = len([step for step in name.split("/") if step not in ("", ".")]) - 1
    return target.startswith("/") or up > above or ".." in steps[up:]


def entries(directory: Path, skipped: Skipped) -> Iterator[Entry]:
    """Yield everything below `directory`, parents first. BackupError names what cannot be read."""
    return _below(os.fspath(directory), "", skipped)


def _below(directory: str, prefix: str, skipped: Skipped) -> Iterator[Entry]:
    for leaf in _listed(directory):
        path, name = os.path.join(directory, leaf), prefix + leaf
        entry = _entry(path, name)
        if reason := _unfit(entry):
            skipped(name, reason)
            continue
        yield entry
        if stat.S_ISDIR(entry.status.st_mode):
            yield from _below(path, name + "/", skipped)


def _listed(directory: str) -> list[str]:
    try:
        return sorted(os.listdir(directory), key=os.fsencode)
    except OSError as error:
        raise unreadable(directory, error) from error


def _entry(path: str, name: str) -> Entry:
    try:
        status = os.lstat(path)
        target = os.readlink(path) if stat.S_ISLNK(status.st_mode) else ""
    except OSError as error:
        raise unreadable(path, error) from error
    return Entry(name=name, path=path, status=status, target=target)


def _unfit(entry: Entry) -> str:
    mode = entry.status.st_mode
    if stat.S_ISLNK(mode):
        return "a symbolic link that may lead out of the directory" if leads_out(entry.name, entry.target) else ""
    if stat.S_ISREG(mode) or stat.S_ISDIR(mode):
        return ""
    return "neither a file, a directory nor a symbolic link"


def unreadable(path: str, error: OSError) -> BackupError:
    """Return the error for a file or directory that cannot be read."""
    return BackupError(
        f"cannot read {printable(path)}: {error.strerror}",
        "Correct its rights or leave it out, then start the backup again",
    )


def printable(path: str) -> str:
    """Return a path for a message: names may hold control characters or bytes that are no text."""
    shown = os.fsencode(path).decode(errors="replace")
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in shown)
