"""Ways to change a deployment's files. Each returns new files; what was given stays as it is."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from hsm_app.ceremony.transcript import FIRST, Entry, EntryKind, encode_entry, line_hash, parse_transcript
from hsm_app.evidence.dossier import FLEET, TRANSCRIPT
from tests.evidence.deployment import Files

Document = dict[str, Any]
Tell = Callable[[list[Entry]], list[Entry]]


def without(files: Files, *paths: str) -> Files:
    return {path: content for path, content in files.items() if path not in paths}


def put(files: Files, path: str, old: bytes, new: bytes) -> Files:
    """Replace what stands in a file once or more."""
    assert old in files[path], f"{old!r} does not stand in {path}"
    return {**files, path: files[path].replace(old, new)}


def edited(files: Files, path: str, edit: Callable[[Document], object]) -> Files:
    """Let `edit` change a JSON file."""
    document = json.loads(files[path])
    edit(document)
    return {**files, path: json.dumps(document, indent=1).encode() + b"\n"}


def exchanged(files: Files, one: str, two: str) -> Files:
    return {**files, one: files[two], two: files[one]}


def from_other(files: Files, other: Files, *paths: str) -> Files:
    return {**files, **{path: other[path] for path in paths}}


def lines(files: Files, change: Callable[[list[bytes]], object]) -> Files:
    """Change the transcript's lines, and nothing that hangs on them."""
    found = files[TRANSCRIPT].splitlines(keepends=True)
    change(found)
    return {**files, TRANSCRIPT: b"".join(found)}


def retold(files: Files, tell: Tell) -> Files:
    """Write the transcript anew from other entries, numbered and chained as it should be."""
    previous, told = FIRST, b""
    for n, entry in enumerate(tell(list(parse_transcript(files[TRANSCRIPT])))):
        line = encode_entry(replace(entry, n=n, previous=previous))
        previous, told = line_hash(line), told + line
    return {**files, TRANSCRIPT: told}


def leaving_out(step: str, kind: str) -> Tell:
    return lambda entries: [entry for entry in entries if (entry.step, entry.kind) != (step, kind)]


def saying(step: str, kind: str, /, **body: object) -> Tell:
    """Change the body of a step's entries of one kind."""
    return lambda entries: [
        replace(entry, body={**entry.body, **body}) if (entry.step, entry.kind) == (step, kind) else entry
        for entry in entries
    ]


def interrupted(entries: list[Entry]) -> list[Entry]:
    return [entries[0], replace(entries[1], kind=EntryKind.RESUMED, step="", body={}), *entries[1:]]


def answered_otherwise(entries: list[Entry]) -> list[Entry]:
    """The first question is answered twice: not as the script says, and then as if nothing had been."""
    (at, right), *_ = [(at, entry) for at, entry in enumerate(entries) if entry.kind is EntryKind.CONFIRMED]
    return [*entries[:at], replace(right, body={**right.body, "answer": "no"}), *entries[at:]]


def begun_twice(entries: list[Entry]) -> list[Entry]:
    (at, start), *_ = [(at, entry) for at, entry in enumerate(entries) if entry.kind is EntryKind.STARTED]
    return [*entries[: at + 1], start, *entries[at + 1 :]]


def paused(entries: list[Entry]) -> list[Entry]:
    """It stood still, and goes on as if it had not."""
    return [entries[0], replace(entries[1], kind=EntryKind.PAUSED, step="", body={}), *entries[1:]]


def done_in_passing(entries: list[Entry]) -> list[Entry]:
    """Interrupted within its first step, which is done afterwards without being begun again."""
    (at, start), *_ = [(at, entry) for at, entry in enumerate(entries) if entry.kind is EntryKind.STARTED]
    return [*entries[: at + 1], replace(start, kind=EntryKind.RESUMED, step="", body={}), *entries[at + 1 :]]


def never_begun(entries: list[Entry]) -> list[Entry]:
    """The work of one step is done within another, and the other is done at once afterwards."""
    (at, start), *_ = [(at, entry) for at, entry in enumerate(entries) if entry.kind is EntryKind.STARTED]
    end = next(place for place, entry in enumerate(entries) if (entry.step, entry.kind) == (start.step, EntryKind.DONE))
    return [*entries[:at], *entries[end + 1 : end + 2], *entries[at : end + 1], *entries[end + 2 :]]


def root_attribute(name: str, value: object) -> Callable[[Document], object]:
    def edit(record: Document) -> None:
        (root,) = [each for each in record["objects"] if each["role"] == "fleet-root"]
        root["attributes"][name] = value

    return edit


def replicas(files: Files, edit: Callable[[list[Document]], object]) -> Files:
    return edited(files, FLEET, lambda fleet: edit(fleet["groups"][0]["replicas"]))
