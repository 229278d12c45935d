"""How far a replica has swept its epoch, as a file that its token signs (VAULT-SWEEP-PROGRESS-SIGNED).

The disk is not trusted: who writes "complete" there gets no certificate for it. An older file that was signed claims
less, and nothing false.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from hsm_app.errors import ConfigError
from hsm_app.fleet.manifest import Group, Manifest
from hsm_app.fleet.manifest_json import MAX_SAFE
from hsm_app.fleet.membership_certificate import SIGNATURE_BYTES, check_signature, statement
from hsm_app.fleet.strict_json import load_document
from hsm_app.model import FleetId, RecordId, ReplicaId, netstring

SCHEMA = "hsm-vault/sweep-progress/v1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """`after`: the last id swept; `swept`: how many records."""

    after: RecordId | None = None
    swept: int = 0
    is_complete: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepPlace:
    """Whose epoch is swept: the manifest, the fleet and group in it, and this replica."""

    manifest: Manifest
    fleet: FleetId
    group: Group
    own: ReplicaId

    def progress_statement(self, progress: Progress) -> bytes:
        """Return what the token signs of a sweep's progress."""
        after = "" if progress.after is None else progress.after.hex()
        numbers = (self.own, self.group.group, self.manifest.epoch, progress.swept, int(progress.is_complete))
        texts = (SCHEMA, self.fleet, *map(str, map(int, numbers)), self.manifest.digest.hex(), after)
        return netstring(*texts).encode()

    def statement(self) -> bytes:
        return statement(
            fleet=self.fleet, group=self.group.group, epoch=self.manifest.epoch, manifest=self.manifest.digest
        )


def progress_file(place: SweepPlace, progress: Progress, signature: bytes) -> bytes:
    """Return the file; `signature` is over `place.progress_statement(progress)`."""
    document = {
        "schema": SCHEMA,
        "manifest_sha256": place.manifest.digest.hex(),
        "after": None if progress.after is None else progress.after.hex(),
        "swept": progress.swept,
        "is_complete": int(progress.is_complete),
        "signature": signature.hex(),
    }
    return json.dumps(document, indent=1).encode() + b"\n"


def read_progress(path: Path, place: SweepPlace) -> Progress:
    """Read how far this replica has swept. ConfigError for a file that is damaged, or that its token did not sign."""
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return Progress()
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}", "Remove it: the sweep then begins anew") from error
    of = load_document(raw, str(path), 4096).members(
        "schema", "manifest_sha256", "after", "swept", "is_complete", "signature"
    )
    of("schema").one_of({SCHEMA: SCHEMA})
    if of("manifest_sha256").hexadecimal(32) != place.manifest.digest:
        return Progress()
    progress = Progress(
        after=of("after").optional(lambda node: RecordId(node.hexadecimal(32))),
        swept=of("swept").integer(0, MAX_SAFE),
        is_complete=of("is_complete").integer(0, 1) == 1,
    )
    signature = of("signature").hexadecimal(SIGNATURE_BYTES)
    try:
        check_signature(place.group, place.own, place.progress_statement(progress), signature)
    except ConfigError as error:
        raise ConfigError(f"{path} was not written by this replica", "Remove it: the sweep then begins anew") from error
    return progress
