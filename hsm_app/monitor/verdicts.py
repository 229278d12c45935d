"""One look at a namespace in a log: for each epoch one verdict on each check, PASS, FAIL or NOT-PROVEN, and why.

| check | PASS says |
|---|---|
| proof | the log's key signed the checkpoint that all else is held against, and the log's tiles make its root |
| artifact | the entry is two envelopes, and the manifest in it reads |
| digest | the counter-signature names this manifest's SHA-256 and these signatures of the auditor |
| auditor-signature | enough auditors that are trusted signed the manifest |
| counter-signature | enough operators that are trusted counter-signed |
| inclusion | the entry is in the tree of the checkpoint, and nothing else is: all that the log shows make its root |
| consistency | the tree continues the one that was seen before |
| witnesses | enough witnesses cosigned the checkpoint |
| freshness | they did so lately; of the last epoch also: its manifest is valid now |
| delta | the epoch follows the one before it and names its digest |

NOT-PROVEN is for what cannot be told from what is at hand: a first look has nothing to be consistent with, the first
epoch that is shown may have had another before it, and where the policy asks for no witness, nobody but the log's owner
says that all see the same log, or that it is of today.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from hsm_app.errors import ConfigError, LogError
from hsm_app.evidence.verdict import Outcome, Verdict, Verdicts, attempt, overall
from hsm_app.fleet.bundle import Entry, check_cosigned, check_time, check_witnesses, parse_entry
from hsm_app.fleet.countersignature import check_countersignature
from hsm_app.fleet.manifest import Manifest
from hsm_app.fleet.manifest_json import parse_manifest
from hsm_app.fleet.publication import check_fleets_go_on
from hsm_app.fleet.root_of_trust import RootOfTrust
from hsm_app.monitor.lineage import Lineage
from hsm_app.monitor.source import fetch_entries
from hsm_app.tlog import tiles
from hsm_app.tlog.checkpoint import Checkpoint, signed_checkpoint
from hsm_app.tlog.merkle import (
    Read,
    consistency_proof,
    leaf_hash,
    root_of,
    verify_consistency,
)
from hsm_app.tlog.note import Note
from hsm_app.tlog.policy import NONE
from hsm_app.tlog.tiles import Fetch

CHECKS = (
    "proof", "artifact", "digest", "auditor-signature", "counter-signature", "inclusion", "consistency", "witnesses",
    "freshness", "delta",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class EpochVerdicts:
    """One entry of the namespace: its place in the log, its manifest unless that does not read, and all checks."""

    index: int
    manifest: Manifest | None
    verdicts: Verdicts


@dataclass(frozen=True, slots=True)
class Look:
    """What one look saw. `checkpoint` is None when the log shows none that its key signed."""

    checkpoint: Checkpoint | None
    epochs: tuple[EpochVerdicts, ...]
    log: Verdicts

    @property
    def has_failed(self) -> bool:
        shown = (self.log, *(epoch.verdicts for epoch in self.epochs))
        return any(overall(verdicts) is Outcome.FAIL for verdicts in shown)

    @property
    def outcome(self) -> Outcome:
        """FAIL when anything failed, NOT-PROVEN when there is no epoch, else PASS: what a script goes by."""
        if self.has_failed:
            return Outcome.FAIL
        return Outcome.PASS if self.epochs else Outcome.NOT_PROVEN


@dataclass(frozen=True, slots=True)
class _Found:
    index: int
    raw: bytes
    entry: Entry
    manifest: Manifest | None


def look(fetch: Fetch, line: Lineage, *, now: int, seen: Checkpoint | None, limit: int) -> Look:
    """Look at the last `limit` epochs of a namespace. QuorumError or StoreError when the log cannot be read."""
    root = line.last
    try:
        note, checkpoint = fetch_checkpoint(fetch, root)
    except LogError as error:
        return Look(None, (), {"proof": Verdict(Outcome.FAIL, f"{error.what}. {error.todo}".removesuffix(". "))})
    read = tiles.reader(checkpoint.size, fetch)
    log = {
        "proof": attempt(lambda: check_tiles(checkpoint, read), f"{checkpoint.size} entries, signed by {root.origin}"),
        "consistency": _consistency(checkpoint, seen, read),
        "witnesses": attempt(lambda: check_cosigned(note, root), "the quorum cosigned"),
        "freshness": attempt(lambda: check_witnesses(note, root, now), "cosigned lately"),
    }
    if root.policy.quorum == NONE:
        log |= dict.fromkeys(("witnesses", "freshness"), Verdict(Outcome.NOT_PROVEN, "the policy asks for no witness"))
    try:
        entries = fetch_entries(fetch, checkpoint.size, 0)
    except LogError as error:
        return Look(checkpoint, (), {**log, "artifact": Verdict(Outcome.FAIL, error.what)})
    log["inclusion"] = attempt(lambda: check_entries(entries, checkpoint, read), "all entries make the root")
    found = _find(entries, line)
    if not found:
        log["artifact"] = Verdict(Outcome.NOT_PROVEN, f"the log has no entry of {root.namespace}")
    shown = found[-limit:]
    before = found[-limit - 1] if len(found) > limit else None
    epochs = [
        _epoch(one, previous, checkpoint, line, now=now if one is found[-1] else None, log=log)
        for previous, one in pairwise([before, *shown])
        if one is not None
    ]
    return Look(checkpoint, tuple(epochs), log)


def fetch_checkpoint(fetch: Fetch, root: RootOfTrust) -> tuple[Note, Checkpoint]:
    """Return the log's present checkpoint. LogError when it shows none, or one that the log's key did not sign."""
    raw = fetch(tiles.CHECKPOINT)
    if raw is None:
        raise LogError(
            "proof",
            "no log is there: it shows no checkpoint",
            "Name the log's address, with http:// or https://, or the directory that holds `checkpoint` and `tile`",
        )
    return signed_checkpoint(raw, root.policy.log(root.origin).key, root.origin)


def check_tiles(checkpoint: Checkpoint, read: Read) -> None:
    """LogError unless the tiles that the log shows make the root that it signed."""
    if root_of(checkpoint.size, read) != checkpoint.root:
        raise LogError("proof", "the log's tiles do not make the root that it signed")


def check_entries(entries: Sequence[bytes], checkpoint: Checkpoint, read: Read) -> None:
    """LogError unless the entries that the log shows, other people's too, make the root that it signed.

    An entry that is shown in place of another would hide that one from whoever looks, and not from clients: they get
    it in a bundle, with a proof that holds.
    """
    leaves = [leaf_hash(entry) for entry in entries]
    for index, leaf in enumerate(leaves):
        if read(0, index) != leaf:
            raise LogError("inclusion", f"entry {index} is not the one that was logged")

    def shown(level: int, index: int) -> bytes:
        return tiles.subtree_root(b"".join(leaves[index << level : (index + 1) << level]))

    if root_of(checkpoint.size, shown) != checkpoint.root:
        raise LogError("inclusion", "the entries that the log shows do not make the root that it signed")


def _consistency(checkpoint: Checkpoint, seen: Checkpoint | None, read: Read) -> Verdict:
    if seen is None:
        return Verdict(Outcome.NOT_PROVEN, "a first look: nothing to compare with")

    def check() -> None:
        if checkpoint.size < seen.size:
            raise LogError("consistency", f"the log had {seen.size} entries, and now has {checkpoint.size}")
        proof = consistency_proof(seen.size, checkpoint.size, read)
        verify_consistency(seen.size, checkpoint.size, seen.root, checkpoint.root, proof)

    return attempt(check, f"continues the tree of {seen.size} entries")


def _find(entries: list[bytes], line: Lineage) -> list[_Found]:
    """Return the namespace's entries, and those that its keys signed and that do not read."""
    found = []
    for index, raw in enumerate(entries):
        try:
            entry = parse_entry(raw)
        except LogError:
            continue  # somebody else's
        try:
            manifest: Manifest | None = parse_manifest(entry.auditor.payload)
        except ConfigError:
            manifest = None
        is_ours = line.has_audited(entry) if manifest is None else manifest.namespace == line.last.namespace
        if is_ours:
            found.append(_Found(index, raw, entry, manifest))
    return found


def _epoch(
    one: _Found,
    previous: _Found | None,
    checkpoint: Checkpoint,
    line: Lineage,
    *,
    now: int | None,
    log: Verdicts,
) -> EpochVerdicts:
    """`now` is None for an epoch that another one has followed."""
    entry, manifest, root = one.entry, one.manifest, line.of(one.entry)
    if manifest is None:
        unread = Verdict(Outcome.NOT_PROVEN, "not looked at: the manifest does not read")
        verdicts = {**log, "artifact": Verdict(Outcome.FAIL, "its manifest does not read")}
        return EpochVerdicts(one.index, None, {check: verdicts.get(check, unread) for check in CHECKS})

    verdicts = {
        **log,
        "artifact": Verdict(Outcome.PASS, f"epoch {manifest.epoch}, {len(manifest.raw)} bytes"),
        "digest": attempt(
            lambda: check_countersignature(entry.operator, manifest, entry.auditor), manifest.digest.hex()
        ),
        "auditor-signature": _audited(one, previous, line, is_last=now is not None),
        "counter-signature": _signed(root.operators.has_signed(entry.operator), "operators"),
        "inclusion": _included(one, checkpoint, log["inclusion"]),
        "delta": _delta(manifest, previous),
    }
    if now is not None and log["freshness"].outcome is not Outcome.FAIL:
        valid = attempt(lambda: check_time(manifest, root, now), "cosigned lately, and valid now")
        if valid.outcome is Outcome.FAIL or log["freshness"].outcome is Outcome.PASS:
            verdicts["freshness"] = valid
    return EpochVerdicts(one.index, manifest, {check: verdicts[check] for check in CHECKS})


def _included(one: _Found, checkpoint: Checkpoint, all_entries: Verdict) -> Verdict:
    """All that is shown makes the root, or an entry that is not shown may be one of these epochs."""
    if all_entries.outcome is not Outcome.PASS:
        return all_entries
    return Verdict(Outcome.PASS, f"entry {one.index} of {checkpoint.size}")


def _audited(one: _Found, previous: _Found | None, line: Lineage, *, is_last: bool) -> Verdict:
    root = line.of(one.entry)
    signed = _signed(root.auditors.has_signed(one.entry.auditor), "auditors")
    if signed.outcome is not Outcome.PASS:
        return signed
    before = previous.entry if previous else None
    under = f"{signed.why}, under version {root.version} of the root of trust"
    return attempt(lambda: line.check_order(one.entry, before, is_last=is_last), under)


def _signed(is_signed: bool, who: str) -> Verdict:
    if is_signed:
        return Verdict(Outcome.PASS, f"signed by enough {who}")
    return Verdict(Outcome.FAIL, f"too few of the {who} that are trusted signed")


def _delta(manifest: Manifest, previous: _Found | None) -> Verdict:
    if manifest.epoch == 1 and previous is None:
        return Verdict(Outcome.PASS, "the first epoch")
    if previous is None or previous.manifest is None:
        return Verdict(Outcome.NOT_PROVEN, "the epoch before it was not looked at")
    last = previous.manifest
    if (manifest.epoch, manifest.previous_sha256) != (last.epoch + 1, last.digest):
        return Verdict(Outcome.FAIL, f"does not follow epoch {last.epoch}")
    return attempt(lambda: check_fleets_go_on(last, manifest), f"follows epoch {last.epoch}")
