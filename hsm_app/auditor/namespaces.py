"""Which entries of the log belong to which namespace, so that nobody has to read all of them for the last one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from hsm_app.auditor.log_directory import LogDirectory
from hsm_app.durable import replace_file
from hsm_app.errors import ConfigError, LogError, VaultError
from hsm_app.fleet.bundle import Entry, parse_entry
from hsm_app.fleet.manifest import Manifest
from hsm_app.fleet.manifest_json import parse_manifest
from hsm_app.fleet.strict_json import load_document

FILE = "namespaces.json"
LIMIT = 64 << 20  # bytes


class Namespaces:
    """An index of one log. It holds nothing that is not in the log, and catches up with it when it is opened."""

    def __init__(self, root: Path, log: LogDirectory) -> None:
        self._path = root / FILE
        self._log = log
        self._size, self._indices = self._read()
        self.catch_up()

    def names(self) -> list[str]:
        return sorted(self._indices)

    def entries(self, namespace: str) -> Iterator[tuple[int, Entry, Manifest]]:
        """Yield each entry of a namespace in the log's order, with its index and its manifest."""
        for index in self._indices.get(namespace, []):
            entry = parse_entry(self._log.entry(index))
            yield index, entry, manifest_of(entry)

    def last(self, namespace: str) -> tuple[int, Entry, Manifest] | None:
        """Return the last entry of a namespace, None when there is none."""
        indices = self._indices.get(namespace, [])
        if not indices:
            return None
        entry = parse_entry(self._log.entry(indices[-1]))
        return indices[-1], entry, manifest_of(entry)

    def catch_up(self) -> None:
        """Take in what was appended since. What is no entry of ours is nobody's."""
        size = self._log.checkpoint.size
        if self._size == size:
            return
        for index in range(self._size, size):
            raw = self._log.entry(index)
            try:
                manifest = manifest_of(parse_entry(raw))
            except LogError:
                continue
            self._indices.setdefault(manifest.namespace, []).append(index)
        self._size = size
        document = {"size": size, "namespaces": self._indices}
        replace_file(self._path, json.dumps(document, indent=1).encode() + b"\n")

    def _read(self) -> tuple[int, dict[str, list[int]]]:
        """Return what the file says, nothing when it is lost, damaged or of a longer log: then it is made anew."""
        try:
            of = load_document(self._path.read_bytes(), FILE, LIMIT).members("size", "namespaces")
            size = of("size").integer(0, self._log.checkpoint.size)
            listed = of("namespaces").value
            if not isinstance(listed, dict):
                return 0, {}
            names = of("namespaces").members(*listed)
            return size, {
                name: [item.integer(0, size - 1) for item in names(name).items(1, 1 << 20)] for name in listed
            }
        except (OSError, VaultError):
            return 0, {}


def manifest_of(entry: Entry) -> Manifest:
    """Return the manifest in an entry; nobody has verified it. LogError ("artifact") when it is none."""
    try:
        return parse_manifest(entry.auditor.payload)
    except ConfigError as error:
        raise LogError("artifact", error.what, error.todo) from None
