"""The validation bundle: why a manifest may be believed, in one piece that travels with an answer.

    the auditor's envelope over the manifest LF
    the operator's counter-signature envelope LF
    the proof that these two lines are a leaf of the public log (`tlog.proof`), with a cosigned checkpoint

The two lines are the log's entry, so whoever watches the log sees every key that any client was ever told.
`verify_bundle` checks in the order below, each under the name that `hsm-vault log verify` prints; nothing of a bundle
is used before all of them have passed.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from hsm_app.errors import ConfigError, LogError
from hsm_app.fleet.countersignature import COUNTERSIGNATURE_TYPE, MANIFEST_TYPE, check_countersignature
from hsm_app.fleet.dsse import Envelope, parse_envelope
from hsm_app.fleet.manifest import Manifest, check_window
from hsm_app.fleet.manifest_json import parse_manifest
from hsm_app.fleet.root_of_trust import RootOfTrust
from hsm_app.tlog.checkpoint import Checkpoint, signed_checkpoint
from hsm_app.tlog.cosignature import cosigned_at
from hsm_app.tlog.merkle import leaf_hash, verify_inclusion
from hsm_app.tlog.note import Note, parse_note
from hsm_app.tlog.proof import TlogProof, parse_proof

LIMIT = 64 * 1024  # bytes
SKEW = 300  # seconds that clocks may differ


@dataclass(frozen=True, slots=True)
class Entry:
    """A leaf of the log: both envelopes, read and verified by nobody."""

    auditor: Envelope
    operator: Envelope

    @property
    def raw(self) -> bytes:
        return self.auditor.raw + b"\n" + self.operator.raw + b"\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What a client or replica keeps of the last bundle that it believed, so that nothing goes back."""

    epoch: int
    manifest: bytes  # SHA-256
    size: int
    root: bytes


@dataclass(frozen=True, slots=True)
class LoggedBundle:
    """A bundle whose signatures and proofs hold; whether it is of today was not asked."""

    manifest: Manifest
    note: Note
    checkpoint: Checkpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedBundle:
    """A bundle that passed every check. `cosigned_at`: when enough witnesses had seen the log, None without any."""

    manifest: Manifest
    checkpoint: Checkpoint
    cosigned_at: int | None
    raw: bytes = field(repr=False)

    @property
    def seen(self) -> Seen:
        manifest, checkpoint = self.manifest, self.checkpoint
        return Seen(epoch=manifest.epoch, manifest=manifest.digest, size=checkpoint.size, root=checkpoint.root)


def parse_entry(raw: bytes) -> Entry:
    """Read a log's leaf. LogError ("artifact") for anything but two envelopes of the right types."""
    lines = raw.split(b"\n")
    if len(lines) != 3 or lines[2]:
        raise LogError("artifact", "an entry is not two envelopes, each on its line")
    return Entry(parse_envelope(lines[0], MANIFEST_TYPE), parse_envelope(lines[1], COUNTERSIGNATURE_TYPE))


def join_bundle(entry: bytes, proof: TlogProof) -> bytes:
    """Return a bundle's bytes."""
    return entry + proof.to_bytes()


def split_bundle(raw: bytes) -> tuple[Entry, TlogProof]:
    """Read a bundle of at most 64 KiB; nothing is verified yet. LogError for anything else."""
    if len(raw) > LIMIT:
        raise LogError("proof", f"a bundle has {len(raw)} bytes, more than {LIMIT}")
    lines = raw.split(b"\n", 2)
    if len(lines) != 3:
        raise LogError("artifact", "a bundle is not two envelopes and a proof")
    return parse_entry(b"\n".join([lines[0], lines[1], b""])), parse_proof(lines[2])


def verify_bundle(raw: bytes, root: RootOfTrust, *, now: int, seen: Seen | None) -> VerifiedBundle:
    """Return the manifest of a bundle. LogError that names the check that failed; `now` in POSIX seconds."""
    logged = verify_logged(raw, root)
    check_time(logged.manifest, root, now)
    witnessed = check_witnesses(logged.note, root, now)
    if seen is not None:
        check_not_back(logged.manifest, logged.checkpoint, seen)
    return VerifiedBundle(manifest=logged.manifest, checkpoint=logged.checkpoint, cosigned_at=witnessed, raw=raw)


def verify_logged(raw: bytes, root: RootOfTrust) -> LoggedBundle:
    """Check all of a bundle that no time changes: who signed, and that the log and its witnesses have it. LogError.

    For what was believed once, when its time was checked, and is looked at again.
    """
    entry, proof = split_bundle(raw)
    manifest = verified_manifest(entry, root)
    note, checkpoint = signed_checkpoint(proof.checkpoint, root.policy.log(root.origin).key, root.origin)
    verify_inclusion(leaf_hash(entry.raw), proof.index, checkpoint.size, proof.hashes, checkpoint.root)
    check_cosigned(note, root)
    return LoggedBundle(manifest, note, checkpoint)


def seen_in(raw: bytes) -> Seen:
    """Return what a bundle that was kept says of epoch and log. LogError, ConfigError when it does not read."""
    entry, proof = split_bundle(raw)
    manifest, checkpoint = parse_manifest(entry.auditor.payload), Checkpoint.parse(parse_note(proof.checkpoint).text)
    return Seen(epoch=manifest.epoch, manifest=manifest.digest, size=checkpoint.size, root=checkpoint.root)


def verified_manifest(entry: Entry, root: RootOfTrust) -> Manifest:
    """Return an entry's manifest, signed by enough auditors and operators. Its time is not looked at."""
    if not root.auditors.has_signed(entry.auditor):
        raise LogError("auditor-signature", "too few of the auditors that are trusted signed the manifest")
    try:
        manifest = parse_manifest(entry.auditor.payload)
    except ConfigError as error:
        raise LogError("artifact", error.what, error.todo) from None
    if not root.operators.has_signed(entry.operator):
        raise LogError("counter-signature", "too few of the operators that are trusted counter-signed the manifest")
    check_countersignature(entry.operator, manifest, entry.auditor)
    if manifest.namespace != root.namespace:
        raise LogError("digest", f"the manifest is of {manifest.namespace}, not of {root.namespace}")
    return manifest


def check_time(manifest: Manifest, root: RootOfTrust, now: int) -> None:
    """LogError ("freshness") for a manifest that is too old, too new, or of an epoch before the least trusted."""
    if manifest.epoch < root.minimum_epoch:
        raise LogError("freshness", f"epoch {manifest.epoch} is older than {root.minimum_epoch}, the least trusted one")
    try:
        check_window(manifest, now if now >= manifest.not_before else min(now + SKEW, manifest.not_before))
    except ConfigError as error:
        raise LogError("freshness", error.what, error.todo) from None


def check_cosigned(note: Note, root: RootOfTrust) -> dict[str, int]:
    """Return when each witness that cosigned a checkpoint did. LogError ("witnesses") when they are too few."""
    policy = root.policy
    times = {name: cosigned_at(note, endpoint.key) for name, endpoint in policy.witnesses.items()}
    cosigned = {name: at for name, at in times.items() if at is not None}
    if not policy.is_met(cosigned.keys()):
        raise LogError("witnesses", f"too few witnesses cosigned the log: {', '.join(sorted(cosigned)) or 'none'}")
    return cosigned


def check_witnesses(note: Note, root: RootOfTrust, now: int) -> int | None:
    """Return since when enough witnesses vouch for the checkpoint. LogError when they do not, or did long ago."""
    cosigned = check_cosigned(note, root)
    fresh = {name: at for name, at in cosigned.items() if now - root.maximum_age <= at <= now + SKEW}
    if not root.policy.is_met(fresh.keys()):
        raise LogError(
            "freshness",
            "the witnesses saw the log too long ago, or in the future",
            "Get a newer bundle, or check this machine's clock",
        )
    return min(fresh.values(), default=None)


def check_not_back(manifest: Manifest, checkpoint: Checkpoint, seen: Seen) -> None:
    """LogError when epoch or log are older than what was seen, or other than what was seen at the same place."""
    if manifest.epoch < seen.epoch:
        raise LogError("delta", f"epoch {manifest.epoch} is older than epoch {seen.epoch}, which was seen already")
    if manifest.epoch == seen.epoch and manifest.digest != seen.manifest:
        raise LogError("delta", f"there are two manifests of epoch {manifest.epoch}")
    if manifest.epoch == seen.epoch + 1 and manifest.previous_sha256 != seen.manifest:
        raise LogError("delta", f"epoch {manifest.epoch} does not follow the manifest of epoch {seen.epoch}")
    if checkpoint.size < seen.size:
        raise LogError("consistency", f"the log had {seen.size} entries, and now has {checkpoint.size}")
    if checkpoint.size == seen.size and checkpoint.root != seen.root:
        raise LogError("consistency", f"the log has two histories of {seen.size} entries")
