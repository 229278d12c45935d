"""The lock file of the dependencies, as pip reads it with --require-hashes: `name==version` and its archives' hashes.

Only that is understood: a line that means anything else to pip is refused, rather than a hash overlooked.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from hsm_app.errors import ConfigError

_PIN = re.compile(r"([a-z0-9]+(?:-[a-z0-9]+)*)==([A-Za-z0-9.!+_-]+)((?: --hash=sha256:[0-9a-f]{64})+)")
_HASH = re.compile(r"sha256:([0-9a-f]{64})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pin:
    """The one version of a dependency that the lock allows, and the SHA-256 of each of its archives, sorted."""

    version: str
    sha256: tuple[bytes, ...]


def parse_lock(text: str) -> Mapping[str, Pin]:
    """Return the pins by normalized name. ConfigError for a line that is no pin with its hashes."""
    pins: dict[str, Pin] = {}
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    for line in filter(None, "\n".join(lines).replace("\\\n", "").split("\n")):
        read = _PIN.fullmatch(" ".join(line.split()))
        if read is None or read[1] in pins:
            raise ConfigError(f"the lock file has the line {line[:60]!a}", "Install this program again")
        archives = {bytes.fromhex(digest) for digest in _HASH.findall(read[3])}
        pins[read[1]] = Pin(version=read[2], sha256=tuple(sorted(archives)))
    return pins
