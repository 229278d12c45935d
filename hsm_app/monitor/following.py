"""Following a log: each time only what is new, held against what was kept of the time before.

What is kept is one small file: the last checkpoint that passed every check, and where the last manifest of each
namespace lies. It is written after all checks, so an alarm is raised again until a person has looked at it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hsm_app.durable import replace_file
from hsm_app.errors import ConfigError, LogError, StoreError, VaultError
from hsm_app.fleet.bundle import check_witnesses, parse_entry, verified_manifest
from hsm_app.fleet.manifest import Manifest
from hsm_app.fleet.manifest_json import parse_manifest
from hsm_app.fleet.publication import changes, check_fleets_go_on
from hsm_app.fleet.root_of_trust import RootOfTrust
from hsm_app.fleet.strict_json import load_document
from hsm_app.monitor.source import fetch_entries
from hsm_app.monitor.verdicts import check_tiles, fetch_checkpoint
from hsm_app.net.http import request
from hsm_app.tlog import tiles
from hsm_app.tlog.checkpoint import Checkpoint, signed_checkpoint
from hsm_app.tlog.cosignature import cosigned_at
from hsm_app.tlog.merkle import EMPTY_ROOT, consistency_proof, inclusion_proof, leaf_hash, verify_consistency
from hsm_app.tlog.merkle import verify_inclusion as verify
from hsm_app.tlog.policy import Endpoint
from hsm_app.tlog.tiles import Fetch
from hsm_app.tlog.witness_exchange import origin_hash

LIMIT = 1 << 20  # bytes of the state


@dataclass(frozen=True, slots=True)
class State:
    """`last` maps a namespace to the index of its last entry."""

    size: int = 0
    root: bytes = EMPTY_ROOT
    last: Mapping[str, int] = field(default_factory=dict)


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


def read_state(path: Path) -> State:
    """Return what was kept, nothing for a file that does not exist. ConfigError for one that does not read."""
    if not path.exists():
        return State()
    try:
        of = load_document(path.read_bytes(), str(path), LIMIT).members("size", "root", "last")
    except OSError as error:
        raise StoreError(f"cannot read {path}: {error.strerror}", "Check the path and its rights") from error
    size, listed = of("size").integer(0, 1 << 53), of("last").value
    if not isinstance(listed, dict):
        of("last").refuse("is not an object")
    names = of("last").members(*listed)
    return State(size, of("root").hexadecimal(32), {name: names(name).integer(0, max(0, size - 1)) for name in listed})


def write_state(path: Path, state: State) -> None:
    """Keep what was seen, durably."""
    document = {"size": state.size, "root": state.root.hex(), "last": dict(state.last)}
    replace_file(path, json.dumps(document, indent=1).encode() + b"\n")


def follow(fetch: Fetch, roots: Mapping[str, RootOfTrust], state: State, now: int) -> Followed:
    """Look at what is new. LogError for a split view, a rollback, an unknown key, or an entry that is not what it says.

    `roots` are of one log, by namespace. QuorumError or StoreError when the log cannot be read.
    """
    any_root = next(iter(roots.values()))
    note, checkpoint = fetch_checkpoint(fetch, any_root)
    read = tiles.reader(checkpoint.size, fetch)
    if checkpoint.size < state.size:
        raise LogError("consistency", f"ROLLBACK: the log had {state.size} entries, and now has {checkpoint.size}")
    proof = consistency_proof(state.size, checkpoint.size, read)
    verify_consistency(state.size, checkpoint.size, state.root, checkpoint.root, proof)
    check_tiles(checkpoint, read)
    last, epochs = dict(state.last), list[NewEpoch]()
    for index, raw in enumerate(fetch_entries(fetch, checkpoint.size, state.size), state.size):
        verify(leaf_hash(raw), index, checkpoint.size, inclusion_proof(index, checkpoint.size, read), checkpoint.root)
        manifest = _manifest(raw, roots)
        if manifest is not None:
            before = _at(fetch, checkpoint.size, last.get(manifest.namespace))
            epochs.append(_new_epoch(index, manifest, before))
            last[manifest.namespace] = index
    check_witnesses(note, any_root, now)
    notes = list(compare_with_witnesses(fetch, checkpoint, any_root))
    return Followed(State(checkpoint.size, checkpoint.root, last), epochs, notes)


def compare_with_witnesses(fetch: Fetch, checkpoint: Checkpoint, root: RootOfTrust) -> Iterator[str]:
    """Hold the log's tree against those that its witnesses publish; yield who could not be asked.

    LogError ("consistency") when a witness has cosigned a tree that is not of this history: a split view.
    """
    for name, endpoint in root.policy.witnesses.items():
        if not endpoint.url:
            continue
        try:
            theirs = _witnessed(endpoint, root)
        except LogError as error:
            raise LogError("witnesses", f"witness {name} publishes what does not hold: {error.what}") from None
        except VaultError as error:
            yield f"witness {name} could not be asked: {error.what}"
            continue
        if theirs is not None:
            _check_same_history(fetch, checkpoint, theirs, name)


def _witnessed(endpoint: Endpoint, root: RootOfTrust) -> Checkpoint | None:
    reply = request("GET", f"{endpoint.url.rstrip('/')}/{origin_hash(root.origin)}/checkpoint")
    if reply.status != 200:
        return None
    note, checkpoint = signed_checkpoint(reply.body, root.policy.log(root.origin).key, root.origin)
    if cosigned_at(note, endpoint.key) is None:
        raise LogError("witnesses", "its own cosignature is missing")
    return checkpoint


def _check_same_history(fetch: Fetch, ours: Checkpoint, theirs: Checkpoint, name: str) -> None:
    old, new = sorted((ours, theirs), key=lambda one: one.size)
    try:
        proof = consistency_proof(old.size, new.size, tiles.reader(new.size, fetch))
        verify_consistency(old.size, new.size, old.root, new.root, proof)
    except LogError as error:
        raise LogError(
            "consistency",
            f"SPLIT VIEW: witness {name} saw a tree of {theirs.size} entries that is not of this log's history "
            f"({error.what})",
            "Keep both checkpoints: both are signed by the log, and they prove that it lied",
        ) from None


def _manifest(raw: bytes, roots: Mapping[str, RootOfTrust]) -> Manifest | None:
    """Return the manifest of an entry of a watched namespace. LogError for one that unknown keys signed."""
    try:
        entry = parse_entry(raw)
    except LogError:
        return None  # somebody else's
    try:
        namespace = parse_manifest(entry.auditor.payload).namespace
    except ConfigError as error:
        if any(root.auditors.has_signed(entry.auditor) for root in roots.values()):
            raise LogError("artifact", f"the auditor signed a manifest that does not read: {error.what}") from None
        return None
    if namespace not in roots:
        return None
    return verified_manifest(entry, roots[namespace])


def _at(fetch: Fetch, size: int, index: int | None) -> Manifest | None:
    if index is None:
        return None
    return parse_manifest(parse_entry(fetch_entries(fetch, min(size, index + 1), index)[0]).auditor.payload)


def _new_epoch(index: int, manifest: Manifest, before: Manifest | None) -> NewEpoch:
    if before is not None and (manifest.epoch, manifest.previous_sha256) != (before.epoch + 1, before.digest):
        raise LogError("delta", f"epoch {manifest.epoch} of {manifest.namespace} does not follow epoch {before.epoch}")
    if before is not None:
        check_fleets_go_on(before, manifest)
    return NewEpoch(index, manifest.namespace, manifest.epoch, manifest.digest, changes(before, manifest))
