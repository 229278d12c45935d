"""Reads the evidence of a deployment from a directory or an address. Nothing that is read is trusted.

From a directory every file is read, so that one which nobody signed shows; an address has no list, so there the files
are those that the statement names, and the two that may lie beside it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NoReturn

from hsm_app.errors import ConfigError, LogError
from hsm_app.evidence.dossier import BESIDE
from hsm_app.evidence.statement import MOST_FILES, STATEMENT, read_envelope
from hsm_app.monitor.source import open_source

LARGEST = 32 * 1024 * 1024  # bytes of a file
MOST_BYTES = 4 * LARGEST  # of all together: whoever shows evidence does not fill an auditor's memory


def read_evidence(location: str) -> Mapping[str, bytes]:
    """Return the content of each file by its path. ConfigError when it cannot be read, QuorumError when it is away.

    LogError for what is no evidence.
    """
    files = _from_web(location) if "://" in location else _from_directory(Path(location))
    if STATEMENT not in files:
        raise LogError("artifact", f"{location} holds no {STATEMENT}", "Name the directory or address of the evidence")
    return files


def _from_web(location: str) -> dict[str, bytes]:
    fetch = open_source(location)
    files: dict[str, bytes] = {}
    if (statement := fetch(STATEMENT)) is not None:
        for path in sorted({STATEMENT, *BESIDE, *read_envelope(statement).files}):
            if (content := fetch(path)) is not None:
                files[path] = content
                _check_size(files, location)
    return files


def _from_directory(root: Path) -> dict[str, bytes]:
    if not root.is_dir():
        raise ConfigError(f"{root} is no directory", "Name the directory that holds the evidence")
    files: dict[str, bytes] = {}
    for path in sorted(_paths(root)):
        if len(files) == MOST_FILES:
            raise LogError("artifact", f"{root} holds more than {MOST_FILES} files", "Name the evidence alone")
        files[path.relative_to(root).as_posix()] = _content(path)
        _check_size(files, str(root))
    return files


def _paths(root: Path) -> Iterator[Path]:
    """Yield all that is no directory, links to directories too. A directory that cannot be read is no empty one."""
    for directory, below, names in os.walk(root, onerror=_refuse):
        links = [name for name in below if os.path.islink(os.path.join(directory, name))]
        yield from (Path(directory, name) for name in (*names, *links))


def _refuse(error: OSError) -> NoReturn:
    raise ConfigError(f"{error.filename} cannot be read: {error.strerror}", "Check the rights to it") from error


def _check_size(files: Mapping[str, bytes], location: str) -> None:
    if sum(map(len, files.values())) > MOST_BYTES:
        raise LogError("artifact", f"{location} holds more than {MOST_BYTES} bytes", "Name the evidence alone")


def _content(path: Path) -> bytes:
    if path.is_symlink() or not path.is_file():
        raise LogError("artifact", f"{path} is no regular file", "Evidence has no links; get it again")
    try:
        if path.stat().st_size > LARGEST:
            raise LogError("artifact", f"{path} has more than {LARGEST} bytes", "Get the evidence again")
        return path.read_bytes()
    except OSError as error:
        _refuse(error)
