"""The auditor's two acts: to sign the next manifest of a namespace by its rules, and to log it where all can see it.

Signing keeps the envelope in `signed/`, durably, before anyone gets it: an epoch that was signed once is never signed
with other content, whatever crashes. Logging takes the counter-signed envelope; done again, it logs nothing twice, but
asks the witnesses anew, which is also how the checkpoint is kept fresh.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from hsm_app.auditor.log_directory import LogDirectory
from hsm_app.auditor.namespaces import Namespaces
from hsm_app.auditor.plexi import PlexiView
from hsm_app.auditor.settings import read_auditor, read_roots
from hsm_app.auditor.witnesses import gather, of_policy, with_older
from hsm_app.durable import make_directories, replace_file
from hsm_app.errors import ConfigError, LogError, StoreError
from hsm_app.fleet.bundle import Entry, check_cosigned, join_bundle, parse_entry, verified_manifest, verify_bundle
from hsm_app.fleet.countersignature import MANIFEST_TYPE
from hsm_app.fleet.dsse import parse_envelope, sign_envelope
from hsm_app.fleet.manifest import Manifest
from hsm_app.fleet.manifest_json import parse_manifest
from hsm_app.fleet.publication import changes, check_publication
from hsm_app.fleet.root_of_trust import RootOfTrust
from hsm_app.key_files import read_key_file
from hsm_app.signers import read_signer
from hsm_app.tlog.note import Note
from hsm_app.tlog.policy import Endpoint
from hsm_app.tlog.proof import TlogProof

PUT_BACK = "This directory is not the newest one of its log; sign and append nothing here before you have found that"


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """A manifest that may be published, and what changes with it, a line each."""

    manifest: Manifest
    changes: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """A bundle that every client of this root of trust believes, and who did not cosign, with the reason.

    Without `is_renewed` it is believed for what witnesses said before: too few have said it again today.
    """

    index: int
    size: int
    missing: Mapping[str, str]
    is_renewed: bool
    bundle: bytes = field(repr=False)


class Auditor:
    """One auditor's directory, opened by one process."""

    def __init__(self, root: Path, now: int) -> None:
        """VaultError says what is wrong with the directory."""
        settings, key = read_auditor(root)
        self._root = root
        self._signer = read_signer(settings.auditor_key)
        self._plexi = PlexiView(root, read_key_file(settings.plexi_key)) if settings.plexi_key else None
        self._roots = read_roots(settings, key, now)
        self.log = LogDirectory(root, key, read_key_file(settings.log_key).sign)
        self.namespaces = Namespaces(root, self.log)

    def close(self) -> None:
        self.log.close()

    def propose(self, raw: bytes, now: int) -> Proposal:
        """Check a manifest by the rules of publication. LogError or ConfigError names the rule that it breaks."""
        manifest = parse_manifest(raw)
        root = self.root_of(manifest.namespace)
        if self._signer.key not in root.auditors.keys:
            raise ConfigError("the auditor's key is not in the root of trust", "Give the namespace's current document")
        last = self.namespaces.last(manifest.namespace)
        previous = None if last is None else last[2]
        check_publication(manifest, previous, now)
        return Proposal(manifest=manifest, changes=changes(previous, manifest))

    def sign(self, proposal: Proposal) -> bytes:
        """Return the envelope over a manifest; the same one when it is signed again. LogError for a second content."""
        manifest = proposal.manifest
        name = hashlib.sha256(manifest.namespace.encode()).hexdigest()[:16]
        path = self._root / "signed" / f"{name}-{manifest.epoch}.json"
        if path.exists():
            kept = parse_envelope(_read(path), MANIFEST_TYPE)
            if kept.payload != manifest.raw:
                raise LogError("delta", f"epoch {manifest.epoch} was signed before, with other content; see {path}")
            return kept.raw
        envelope = sign_envelope(MANIFEST_TYPE, manifest.raw, [self._signer])
        make_directories(path.parent, self._root)
        replace_file(path, envelope)
        return envelope

    def publish(self, envelope: bytes, countersignature: bytes, now: int) -> Published:
        """Log a counter-signed manifest, ask the witnesses, and return the bundle, verified as a client would.

        LogError ("witnesses") when too few cosigned: the entry is logged, and doing this again asks them again. The
        public sees the tree of before until enough have cosigned, so that nobody's monitor finds too few.
        """
        entry = parse_entry(envelope.strip() + b"\n" + countersignature.strip() + b"\n")
        manifest = parse_manifest(entry.auditor.payload)
        root = self.root_of(manifest.namespace)
        verified_manifest(entry, root)
        index = self._index(entry, manifest, now)
        if self._plexi is not None:
            self._plexi.record(manifest, now)
        gathered = gather(self.log.note, self.log.prove_growth, self._witnesses(root))
        # When a witness says that it saw more, or something else, what others said before is no comfort.
        note = gathered.note if gathered.is_contradicted else with_older(gathered.note, self.log.published())
        proof = TlogProof(index, tuple(self.log.prove(index)), of_policy(note, root.policy, root.origin).to_bytes())
        bundle = join_bundle(entry.raw, proof)
        try:
            verify_bundle(bundle, root, now=now, seen=None)
            self.log.publish(note)
        except LogError as error:
            why = "; ".join(f"{name}: {reason}" for name, reason in gathered.missing.items())
            todo = PUT_BACK if gathered.is_contradicted else "It is logged; give the same command again"
            raise LogError(error.check, f"{error.what} ({why})" if why else error.what, todo) from None
        return Published(
            index=index,
            size=self.log.checkpoint.size,
            missing=gathered.missing,
            is_renewed=_is_cosigned(gathered.note, root),
            bundle=bundle,
        )

    def root_of(self, namespace: str) -> RootOfTrust:
        """Return a namespace's root of trust. ConfigError when this auditor does not audit it."""
        if namespace not in self._roots:
            raise ConfigError(
                f"{namespace} is no namespace of this auditor",
                f"Enter its root of trust in {self._root / 'auditor.toml'}",
            )
        return self._roots[namespace]

    def _witnesses(self, root: RootOfTrust) -> Mapping[str, Endpoint]:
        """Return the witnesses of a namespace, and those of the others: they share the log's one checkpoint."""
        found = dict(root.policy.witnesses)
        for namespace, other in self._roots.items():
            keys = {endpoint.key for endpoint in found.values()}
            more = {name: end for name, end in other.policy.witnesses.items() if end.key not in keys}
            found |= {f"{name} (of {namespace})": end for name, end in more.items()}
        return found

    def _index(self, entry: Entry, manifest: Manifest, now: int) -> int:
        """Return the entry's place in the log; append it unless it is the namespace's last one."""
        last = self.namespaces.last(manifest.namespace)
        if last is not None and last[1].raw == entry.raw:
            return last[0]
        check_publication(manifest, None if last is None else last[2], now)
        self.log.append([entry.raw])
        self.namespaces.catch_up()
        return self.log.checkpoint.size - 1


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise StoreError(f"cannot read {path}: {error.strerror}", "Check the disk") from error


def _is_cosigned(note: Note, root: RootOfTrust) -> bool:
    try:
        check_cosigned(note, root)
    except LogError:
        return False
    return True
