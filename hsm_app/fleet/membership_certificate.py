"""The certificate of a complete sweep: a majority of an epoch's members says that the epoch may be left.

What a member's signature says, and it signs only that: "I have entered this epoch and its manifest for good; the
replica that swept is a member of this epoch and told me, over a link of this epoch, that a majority of the members had
entered before it began to list, that it listed them to the end, and that each record listed was prepared on a majority
and written back to one unless they held it alike." The first part each signer knows of itself, so a certificate is also
proof of the fence. The rest is the sweeper's word. Replicas fail by stopping, not by lying (design section 1), so one
word would do; asking a majority means that no single identity key that has left the fleet can issue a certificate.

The file is strict JSON: schema, fleet, group, epoch, manifest_sha256, and signatures as {replica, signature}, the
latter raw r || s of ECDSA P-256 over the SHA-256 of `statement`, in hexadecimal.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from hsm_app.errors import ConfigError
from hsm_app.fleet.manifest import Group
from hsm_app.fleet.manifest_json import MAX_SAFE, NAME
from hsm_app.fleet.strict_json import Node, load_document
from hsm_app.model import FleetId, ReplicaId, netstring

SCHEMA = "hsm-vault/sweep-certificate/v1"
LIMIT = 4096  # bytes: nine signatures have under 2 KiB
SIGNATURE_BYTES = 64
_SWEEP_AGAIN = "Let the fleet complete the sweep of this epoch, and take the certificate that it then gives"


def statement(*, fleet: FleetId, group: int, epoch: int, manifest: bytes) -> bytes:
    """Return what a member signs. `manifest` is the SHA-256 of the epoch's manifest."""
    return netstring(SCHEMA, fleet, str(group), str(epoch), manifest.hex(), "sweep complete").encode()


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepCertificate:
    """`signatures` has one 64-byte signature for each signer, in the order of their numbers."""

    fleet: FleetId
    group: int
    epoch: int
    manifest: bytes
    signatures: tuple[tuple[ReplicaId, bytes], ...]

    def check(self, group: Group) -> None:
        """Raise ConfigError unless a majority of `group`'s members signed, and every signature given is good."""
        signed = statement(fleet=self.fleet, group=self.group, epoch=self.epoch, manifest=self.manifest)
        signers = {replica for replica, _ in self.signatures}
        if len(signers) < max(group.majority, len(self.signatures)):
            raise ConfigError(
                f"the certificate of epoch {self.epoch} has {len(signers)} signers in {len(self.signatures)} "
                f"signatures; it takes {group.majority} of the group's {len(group.replicas)}",
                _SWEEP_AGAIN,
            )
        for replica, signature in self.signatures:
            check_signature(group, replica, signed, signature)

    def to_bytes(self) -> bytes:
        """Return the certificate's file."""
        document = {
            "schema": SCHEMA,
            "fleet": self.fleet,
            "group": self.group,
            "epoch": self.epoch,
            "manifest_sha256": self.manifest.hex(),
            "signatures": [{"replica": replica, "signature": value.hex()} for replica, value in self.signatures],
        }
        return json.dumps(document, indent=1).encode() + b"\n"


def parse_certificate(raw: bytes) -> SweepCertificate:
    """Read a certificate's file; its signatures are for `check`. ConfigError for anything else."""
    root = load_document(raw, "sweep certificate", LIMIT)
    of = root.members("schema", "fleet", "group", "epoch", "manifest_sha256", "signatures")
    of("schema").one_of({SCHEMA: SCHEMA})
    return SweepCertificate(
        fleet=FleetId(of("fleet").text(NAME)),
        group=of("group").integer(0, 255),
        epoch=of("epoch").integer(1, MAX_SAFE),
        manifest=of("manifest_sha256").hexadecimal(32),
        signatures=tuple(_signature(node) for node in of("signatures").items(1, 9)),
    )


def check_signature(group: Group, replica: int, signed: bytes, signature: bytes) -> None:
    """Raise ConfigError unless `replica` is a member of `group` whose identity key signed `signed`."""
    public = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), group.find(replica).identity_public)
    r, s = (int.from_bytes(half, "big") for half in _halves(signature))
    try:
        public.verify(encode_dss_signature(r, s), signed, ec.ECDSA(SHA256()))
    except InvalidSignature:
        raise ConfigError(f"replica {replica}'s signature of the sweep is not valid", _SWEEP_AGAIN) from None


def _halves(signature: bytes) -> Sequence[bytes]:
    if len(signature) != SIGNATURE_BYTES:
        raise ConfigError(f"a signature has {len(signature)} bytes, not {SIGNATURE_BYTES}", _SWEEP_AGAIN)
    return signature[:32], signature[32:]


def _signature(node: Node) -> tuple[ReplicaId, bytes]:
    of = node.members("replica", "signature")
    return ReplicaId(of("replica").integer(1, 255)), of("signature").hexadecimal(SIGNATURE_BYTES)
