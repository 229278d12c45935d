"""The transcript of a ceremony: JSON lines, each with the hash of the line before. Also the journal to resume from.

An entry has one encoding (members sorted, no blanks, ASCII), so each line's hash is a hash of what it says. Nothing can
be taken out of the middle or changed without every later line; what was cut off at the end shows by the missing "end".

| kind | body |
|---|---|
| `begin` | what is played: ceremony, kind, fleet, custody, digests of plan and script |
| `started` | {}: the step begins; without a `done` after it, it was interrupted |
| `operation` | one PKCS#11 call: token, call, mechanism, template; never a value, a PIN or a signature |
| `confirmed` | what was asked and answered |
| `exception` | an exception sheet: what was unexpected, and what the people in the room say about it |
| `done` | public results of the step |
| `paused`, `resumed` | why |
| `end` | {} |
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from hsm_app.errors import ConfigError, LogError
from hsm_app.fleet.strict_json import load_document, timestamp_text

SCHEMA = "hsm-vault/ceremony-transcript/v1"
CHECK = "transcript-chain"
FIRST = "0" * 64
LINE_LIMIT = 64 * 1024  # bytes
LIMIT = 32 * 1024 * 1024  # bytes of a transcript
STEP = re.compile(r"[a-z0-9-]{0,40}")


class EntryKind(StrEnum):
    BEGIN = "begin"
    STARTED = "started"
    OPERATION = "operation"
    CONFIRMED = "confirmed"
    EXCEPTION = "exception"
    DONE = "done"
    PAUSED = "paused"
    RESUMED = "resumed"
    END = "end"


KINDS = {kind.value: kind for kind in EntryKind}


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One line. `time` is POSIX seconds, `previous` the SHA-256 of the line before in hexadecimal, `step` may be ""."""

    n: int
    time: int
    previous: str
    step: str
    kind: EntryKind
    body: Mapping[str, Any]


def encode_entry(entry: Entry) -> bytes:
    """Return the one line that says this, with its newline."""
    members = {
        "n": entry.n,
        "time": timestamp_text(entry.time),
        "previous": entry.previous,
        "step": entry.step,
        "kind": entry.kind.value,
        "body": entry.body,
    }
    return json.dumps(members, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode() + b"\n"


def line_hash(line: bytes) -> str:
    """Return what the next line names as `previous`."""
    return hashlib.sha256(line).hexdigest()


def parse_transcript(raw: bytes) -> tuple[Entry, ...]:
    """Read a transcript and walk its chain. LogError ("transcript-chain") names the line that does not hold."""
    if not raw.endswith(b"\n") or len(raw) > LIMIT:
        raise LogError(CHECK, "the transcript is empty, cut off within a line, or longer than any")
    entries: list[Entry] = []
    previous = FIRST
    for number, line in enumerate(raw.splitlines(keepends=True)):
        entries.append(_entry(line, number, previous))
        if number and entries[-1].time < entries[-2].time:
            raise LogError(CHECK, f"line {number + 1} of the transcript is earlier than the line before it")
        previous = line_hash(line)
    _check_order(entries)
    return tuple(entries)


def _entry(line: bytes, number: int, previous: str) -> Entry:
    which = f"line {number + 1} of the transcript"
    try:
        of = load_document(line.removesuffix(b"\n"), which, LINE_LIMIT).members(
            "n", "time", "previous", "step", "kind", "body"
        )
        body = of("body").value
        if not isinstance(body, dict):
            of("body").refuse("is not an object")
        entry = Entry(
            n=of("n").integer(number, number),
            time=of("time").timestamp(),
            previous=of("previous").text(re.compile("[0-9a-f]{64}")),
            step=of("step").text(STEP),
            kind=of("kind").one_of(KINDS),
            body=body,
        )
    except ConfigError as error:
        raise LogError(CHECK, error.what, error.todo) from None
    if entry.previous != previous:
        raise LogError(CHECK, f"{which} does not follow the line before it")
    if encode_entry(entry) != line:
        raise LogError(CHECK, f"{which} is not in the one encoding that it has")
    return entry


def _check_order(entries: list[Entry]) -> None:
    """It begins once; a step is started before it is done, and done once; nothing follows the end."""
    kinds = [entry.kind for entry in entries]
    if kinds[0] is not EntryKind.BEGIN or EntryKind.BEGIN in kinds[1:]:
        raise LogError(CHECK, "the transcript does not begin once, with its first line")
    if EntryKind.END in kinds[:-1]:
        raise LogError(CHECK, "the transcript goes on after its end")
    started: set[str] = set()
    done: set[str] = set()
    for entry in entries:
        if entry.kind is EntryKind.STARTED:
            started.add(entry.step)
        if entry.step and entry.step in done:
            raise LogError(
                CHECK, f"line {entry.n + 1} of the transcript goes back to step {entry.step}, which was done"
            )
        if entry.kind is EntryKind.DONE:
            if entry.step not in started:
                raise LogError(CHECK, f"step {entry.step} is done and was never started")
            done.add(entry.step)
