"""A root of trust as files: a document that is trusted as it lies there, and the successors that its keys signed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hsm_app.errors import ConfigError
from hsm_app.fleet.root_of_trust import RootOfTrust, parse_root_of_trust, successor


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustedRoot:
    """The last document of a chain, and the digests of those that it was proved to follow, oldest first."""

    document: RootOfTrust
    follows: tuple[bytes, ...] = ()


def read_root_of_trust(path: Path) -> RootOfTrust:
    """Read a root of trust's file. ConfigError when it cannot be read or is none."""
    return parse_root_of_trust(_read(path))


def read_trusted_root(path: Path, successors: Sequence[Path] = ()) -> TrustedRoot:
    """Read a document and walk to the last of its successors. LogError for one that too few have signed.

    Whether the last one has expired is asked when it is used.
    """
    document = read_root_of_trust(path)
    follows: list[bytes] = []
    for file in successors:
        follows.append(document.digest)
        document = successor(document, _read(file).strip())
    return TrustedRoot(document=document, follows=tuple(follows))


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}", "Check the path and its rights") from error
