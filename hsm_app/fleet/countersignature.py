"""The operator's counter-signature: it stands by one manifest and by the auditor's signatures over it, and by no other.

Its payload names namespace and epoch, the manifest's SHA-256 and the SHA-256 of each of the auditor's signatures as
they are, so that a manifest cannot be paired with another signature, however valid.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

from hsm_app.errors import ConfigError, LogError
from hsm_app.fleet.dsse import Envelope, sign_envelope
from hsm_app.fleet.manifest import Manifest
from hsm_app.fleet.manifest_json import MAX_SAFE, NAMESPACE
from hsm_app.fleet.role_keys import Signer
from hsm_app.fleet.strict_json import load_document

MANIFEST_TYPE = "application/vnd.hsm-vault.fleet-manifest.v1+json"
COUNTERSIGNATURE_TYPE = "application/vnd.hsm-vault.fleet-countersignature.v1+json"
LIMIT = 8 * 1024  # bytes


def sign_countersignature(manifest: Manifest, auditor: Envelope, signers: Sequence[Signer]) -> bytes:
    """Return the operator's envelope for a manifest in an auditor's envelope."""
    return sign_envelope(COUNTERSIGNATURE_TYPE, _payload(manifest, auditor), signers)


def check_countersignature(operator: Envelope, manifest: Manifest, auditor: Envelope) -> None:
    """LogError unless the envelope's payload is about this manifest and these signatures. Who signed is not asked."""
    try:
        of = load_document(operator.payload, "counter-signature", LIMIT).members(
            "namespace", "epoch", "manifest_sha256", "auditor_signatures_sha256"
        )
        said = (
            of("namespace").text(NAMESPACE),
            of("epoch").integer(1, MAX_SAFE),
            of("manifest_sha256").hexadecimal(32),
            [node.hexadecimal(32) for node in of("auditor_signatures_sha256").items(1, 16)],
        )
    except ConfigError as error:
        raise LogError("counter-signature", error.what, error.todo) from None
    if said != (manifest.namespace, manifest.epoch, manifest.digest, _hashes(auditor)):
        raise LogError(
            "counter-signature", "the operator counter-signed another manifest or another auditor's signature"
        )


def _payload(manifest: Manifest, auditor: Envelope) -> bytes:
    document = {
        "namespace": manifest.namespace,
        "epoch": manifest.epoch,
        "manifest_sha256": manifest.digest.hex(),
        "auditor_signatures_sha256": [one.hex() for one in _hashes(auditor)],
    }
    return json.dumps(document, indent=1).encode() + b"\n"


def _hashes(auditor: Envelope) -> list[bytes]:
    return [hashlib.sha256(one.signature).digest() for one in auditor.signatures]
