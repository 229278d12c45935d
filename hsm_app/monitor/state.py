"""What a monitor keeps of a log between two looks: one small file, of one log.

The last checkpoint that passed every check, and where the last manifest of each namespace lies. It is written after all
checks, so an alarm is raised again until a person has looked at it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from hsm_app.durable import replace_file
from hsm_app.errors import ConfigError, StoreError
from hsm_app.fleet.manifest_json import NAMESPACE
from hsm_app.fleet.strict_json import load_document
from hsm_app.tlog.checkpoint import Checkpoint
from hsm_app.tlog.merkle import EMPTY_ROOT

LIMIT = 1 << 20  # bytes of the state


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """Of the log `origin`. `last` maps a namespace to the index of its last entry."""

    origin: str
    size: int = 0
    root: bytes = EMPTY_ROOT
    last: Mapping[str, int] = field(default_factory=dict)

    @property
    def checkpoint(self) -> Checkpoint:
        return Checkpoint(self.origin, self.size, self.root)


LOST = "Put a whole copy of it back; or move it away, and the next look begins anew"


def read_state(path: Path, origin: str) -> State:
    """Return what was kept of a log, nothing for a file that does not exist.

    ConfigError for one that does not read or is of another log, whose size and root would look like a fraud here;
    StoreError when it cannot be read.
    """
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return State(origin=origin)
    except OSError as error:
        raise StoreError(f"cannot read {path}: {error.strerror}", "Check the path and its rights") from error
    try:
        kept = _parse(raw, path)
    except ConfigError as error:
        raise ConfigError(error.what, LOST) from error
    if kept.origin != origin:
        raise ConfigError(
            f"{path} is what was seen of the log {kept.origin}, not of {origin}", "Give each log its own file"
        )
    return kept


def _parse(raw: bytes, path: Path) -> State:
    of = load_document(raw, str(path), LIMIT).members("origin", "size", "root", "last")
    size, listed = of("size").integer(0, 1 << 53), of("last").value
    if not isinstance(listed, dict):
        of("last").refuse("is not an object")
    names = of("last").members(*listed)
    last = {name: names(name).integer(0, max(0, size - 1)) for name in listed}
    return State(origin=of("origin").text(NAMESPACE), size=size, root=of("root").hexadecimal(32), last=last)


def write_state(path: Path, state: State) -> None:
    """Keep what was seen, durably. StoreError when that cannot be done; the file is as it was then."""
    document = {"origin": state.origin, "size": state.size, "root": state.root.hex(), "last": dict(state.last)}
    replace_file(path, json.dumps(document, indent=1).encode() + b"\n")
