"""Is the history of one record that of a single register? Exact, since every version of a value is unique.

Each operation reads one version and either leaves it (its answer tells about that version) or writes a new one on top
of it (its answer tells about the new one). So a history is linearizable exactly when

- every version that an answer tells about lies on one line of descent, root first: nothing forked, nothing was lost;
- no answer tells about a version whose writer began only after the answer had left;
- of two answered operations, one of which ended before the other began, the later one's version descends from the
  earlier one's or is the same; and if the later one wrote, it is not the same.

An operation without an answer may have taken effect or not; only versions that others built on make it count.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

ROOT = b""  # the version of a record that was never written


@dataclass(frozen=True, slots=True)
class Operation:
    """`ended` None: no answer left. `version` is what it tells about; `parent` what it was written on, None if read."""

    began: float
    ended: float | None
    version: bytes
    parent: bytes | None = None


def linearizability_fault(history: Sequence[Operation]) -> str | None:
    """Say what no single register could have answered, or None."""
    written = {operation.version: operation for operation in history if operation.parent is not None}
    answered = [operation for operation in history if operation.ended is not None]
    try:
        lines = {operation.version: line_of(operation.version, written) for operation in answered}
    except KeyError:
        return "an answer tells about a version that nobody wrote"
    for operation in answered:
        writer = written.get(operation.version)
        if writer is not None and writer.began > (operation.ended or 0.0):
            return "an answer tells about a version that was written later"
    return _fork(list(lines.values())) or _order(answered, {version: len(line) for version, line in lines.items()})


def line_of(version: bytes, written: dict[bytes, Operation]) -> list[bytes]:
    """Return the versions from the root to `version`. KeyError when one was never written."""
    line = [version]
    while line[-1] != ROOT:
        line.append(written[line[-1]].parent or ROOT)
    return line[::-1]


def _fork(lines: list[list[bytes]]) -> str | None:
    longest = max(lines, key=len, default=[])
    if all(line == longest[: len(line)] for line in lines):
        return None
    return "two answers tell about versions of which neither follows the other: one of them was lost"


def _order(answered: list[Operation], place: dict[bytes, int]) -> str | None:
    """Sweep over time: the highest place that had ended bounds whatever begins after it."""
    ends = sorted(answered, key=lambda operation: operation.ended or 0.0)
    reached, at = 0, 0
    for later in sorted(answered, key=lambda operation: operation.began):
        while at < len(ends) and (ends[at].ended or 0.0) < later.began:
            reached, at = max(reached, place[ends[at].version]), at + 1
        if place[later.version] < reached + (later.parent is not None):
            return f"an answer that was asked for at {later.began:.4f} does not follow one that had left before"
    return None
