"""Following a log: each time only what is new, held against what was kept of the time before (`monitor.state`).

A namespace that is watched for the first time is looked at from the log's beginning, whatever was kept of others.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from hsm_app.errors import ConfigError, LogError
from hsm_app.fleet.bundle import Entry, check_witnesses, parse_entry, verified_manifest
from hsm_app.fleet.manifest import Manifest
from hsm_app.fleet.manifest_json import parse_manifest
from hsm_app.fleet.publication import changes, check_fleets_go_on
from hsm_app.fleet.root_of_trust import RootOfTrust
from hsm_app.monitor.lineage import Lineage
from hsm_app.monitor.source import fetch_entries
from hsm_app.monitor.state import State
from hsm_app.monitor.verdicts import check_tiles, fetch_checkpoint
from hsm_app.monitor.witnessed import compare_with_witnesses
from hsm_app.tlog import tiles
from hsm_app.tlog.checkpoint import Checkpoint
from hsm_app.tlog.merkle import (
    Read,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    verify_consistency,
    verify_inclusion,
)
from hsm_app.tlog.policy import Endpoint
from hsm_app.tlog.tiles import Fetch


@dataclass(frozen=True, slots=True)
class NewEpoch:
    """An epoch that was not there the time before, and what changed with it, a line each."""

    index: int
    namespace: str
    epoch: int
    digest: bytes
    changes: Sequence[str]


@dataclass(frozen=True, slots=True)
class Followed:
    """The state to keep, what is new, and what could not be asked."""

    state: State
    epochs: Sequence[NewEpoch]
    notes: Sequence[str]


def follow(fetch: Fetch, lines: Mapping[str, Lineage], state: State, now: int) -> Followed:
    """Look at what is new. LogError for a split view, a rollback, an unknown key, or an entry that is not what it says.

    `lines` by namespace, all of one log. QuorumError or StoreError when the log cannot be read.
    """
    roots = {namespace: line.last for namespace, line in lines.items()}
    any_root = next(iter(roots.values()))
    note, checkpoint = fetch_checkpoint(fetch, any_root)
    read = tiles.reader(checkpoint.size, fetch)
    if checkpoint.size < state.size:
        raise LogError("consistency", f"ROLLBACK: the log had {state.size} entries, and now has {checkpoint.size}")
    proof = consistency_proof(state.size, checkpoint.size, read)
    verify_consistency(state.size, checkpoint.size, state.root, checkpoint.root, proof)
    check_tiles(checkpoint, read)
    shown = _Shown(fetch, checkpoint, read)
    last, epochs = dict(state.last), list[NewEpoch]()
    for index, entry, manifest in _manifests(shown, lines, state):
        before = shown.at(last.get(manifest.namespace))
        epochs.append(_new_epoch(index, manifest, before and before[1]))
        lines[manifest.namespace].check_order(entry, before and before[0], is_last=False)
        last[manifest.namespace] = index
    for namespace in {one.namespace for one in epochs}:
        newest = shown.at(last[namespace])
        if newest is not None:
            lines[namespace].check_order(newest[0], None, is_last=True)
    for root in roots.values():
        check_witnesses(note, root, now)
    notes = list(compare_with_witnesses(fetch, checkpoint, any_root.policy.log(any_root.origin).key, _asked(roots)))
    kept = State(origin=checkpoint.origin, size=checkpoint.size, root=checkpoint.root, last=last)
    return Followed(kept, epochs, notes)


def _asked(roots: Mapping[str, RootOfTrust]) -> list[tuple[str, Endpoint]]:
    """Return the witnesses of all roots of trust, each once."""
    found = {
        (endpoint.key, endpoint.url): (name, endpoint)
        for root in roots.values()
        for name, endpoint in root.policy.witnesses.items()
    }
    return list(found.values())


@dataclass(frozen=True, slots=True)
class _Shown:
    """What the log shows under one checkpoint."""

    fetch: Fetch
    checkpoint: Checkpoint
    read: Read

    def entries(self, first: int) -> Iterator[tuple[int, bytes]]:
        """Yield the entries from `first` on. LogError for one that is not in the tree."""
        for index, raw in enumerate(fetch_entries(self.fetch, self.checkpoint.size, first), first):
            self._check_included(raw, index)
            yield index, raw

    def at(self, index: int | None) -> tuple[Entry, Manifest] | None:
        """Return an entry that was looked at before. LogError when the log shows another one now."""
        if index is None:
            return None
        raw = fetch_entries(self.fetch, self.checkpoint.size, index)[0]
        self._check_included(raw, index)
        entry = parse_entry(raw)
        return entry, parse_manifest(entry.auditor.payload)

    def _check_included(self, raw: bytes, index: int) -> None:
        size = self.checkpoint.size
        verify_inclusion(leaf_hash(raw), index, size, inclusion_proof(index, size, self.read), self.checkpoint.root)


def _manifests(shown: _Shown, lines: Mapping[str, Lineage], state: State) -> Iterator[tuple[int, Entry, Manifest]]:
    """Yield what is to be looked at: the new entries, and all of a namespace of which nothing was seen yet."""
    first = 0 if lines.keys() - state.last.keys() else state.size
    for index, raw in shown.entries(first):
        wanted = lines if index >= state.size else {n: line for n, line in lines.items() if n not in state.last}
        try:
            found = _manifest(raw, wanted)
        except LogError as error:
            raise LogError(error.check, f"entry {index}: {error.what}", error.todo) from None
        if found is not None:
            yield index, *found


def _manifest(raw: bytes, lines: Mapping[str, Lineage]) -> tuple[Entry, Manifest] | None:
    """Return an entry of a watched namespace, with its manifest. LogError for one that unknown keys signed."""
    try:
        entry = parse_entry(raw)
    except LogError:
        return None  # somebody else's
    try:
        namespace = parse_manifest(entry.auditor.payload).namespace
    except ConfigError as error:
        if any(line.has_audited(entry) for line in lines.values()):
            raise LogError("artifact", f"the auditor signed a manifest that does not read: {error.what}") from None
        return None
    if namespace not in lines:
        return None
    return entry, verified_manifest(entry, lines[namespace].of(entry))


def _new_epoch(index: int, manifest: Manifest, before: Manifest | None) -> NewEpoch:
    if before is not None and (manifest.epoch, manifest.previous_sha256) != (before.epoch + 1, before.digest):
        raise LogError("delta", f"epoch {manifest.epoch} of {manifest.namespace} does not follow epoch {before.epoch}")
    if before is not None:
        check_fleets_go_on(before, manifest)
    return NewEpoch(index, manifest.namespace, manifest.epoch, manifest.digest, changes(before, manifest))
