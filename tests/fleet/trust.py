"""A whole small world of trust: an auditor, an operator, a log with two witnesses, and bundles in it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from hsm_app.fleet.bundle import join_bundle, parse_entry
from hsm_app.fleet.countersignature import MANIFEST_TYPE, sign_countersignature
from hsm_app.fleet.dsse import parse_envelope, sign_envelope
from hsm_app.fleet.manifest import Fleet
from hsm_app.fleet.manifest_encoding import encode_manifest
from hsm_app.fleet.manifest_json import parse_manifest
from hsm_app.fleet.role_keys import KeyAlgorithm, RoleKey, Signer
from hsm_app.fleet.root_of_trust import Role, RootOfTrust, encode_root_of_trust, parse_root_of_trust
from hsm_app.tlog.checkpoint import Checkpoint
from hsm_app.tlog.merkle import inclusion_proof, leaf_hash, root_of
from hsm_app.tlog.proof import TlogProof
from tests.fleet.example import NOW, example_fleet
from tests.tlog import keys, trees

NAMESPACE = "vault.example/fleets"
DAY = 86_400


@dataclass(frozen=True)
class EdSigner:
    private: Ed25519PrivateKey

    @property
    def key(self) -> RoleKey:
        return RoleKey(KeyAlgorithm.ED25519, self.private.public_key().public_bytes_raw())

    def sign(self, message: bytes) -> bytes:
        return self.private.sign(message)


@dataclass(frozen=True)
class EcSigner:
    private: ec.EllipticCurvePrivateKey

    @property
    def key(self) -> RoleKey:
        public = self.private.public_key().public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
        return RoleKey(KeyAlgorithm.ES256, public)

    def sign(self, message: bytes) -> bytes:
        return self.private.sign(message, ec.ECDSA(SHA256()))


def auditor(number: int = 0) -> EdSigner:
    return EdSigner(keys.private(50 + number))


def operator(number: int = 0) -> EcSigner:
    return EcSigner(ec.derive_private_key(7000 + number, ec.SECP256R1()))


def policy_lines(quorum: str = "both", endpoints: tuple[str, ...] = ("", "", "")) -> list[str]:
    return [
        f"log {keys.LOG.text}",
        *(f"witness w{number} {key.text} {endpoints[number]}".strip() for number, key in enumerate(keys.WITNESSES[:2])),
        "group both all w0 w1",
        f"quorum {quorum}",
    ]


def root_of_trust(**changes: object) -> RootOfTrust:
    document: dict[str, object] = {
        "namespace": NAMESPACE,
        "version": 1,
        "issued_at": NOW - DAY,
        "expires_at": NOW + 365 * DAY,
        "auditors": Role(1, (auditor().key,)),
        "operators": Role(1, (operator().key,)),
        "origin": keys.ORIGIN,
        "policy": policy_lines(),
        "minimum_epoch": 1,
        "maximum_age": 7 * DAY,
    }
    return parse_root_of_trust(encode_root_of_trust(**{**document, **changes}))  # type: ignore[arg-type]


def manifest_bytes(epoch: int = 1, previous: bytes | None = None, **changes: object) -> bytes:
    """The manifest of an epoch, valid for thirty days from NOW."""
    document: dict[str, object] = {
        "namespace": NAMESPACE,
        "epoch": epoch,
        "previous_sha256": previous,
        "issued_at": NOW - 3600,
        "not_before": NOW - 3600,
        "not_after": NOW + 30 * DAY,
        "fleets": (example_fleet(replicas=5),),
    }
    return encode_manifest(**{**document, **changes})  # type: ignore[arg-type]


def other_fleet() -> Fleet:
    """The same fleet with another key, as an operator who cheats would have it."""
    fleet = example_fleet(replicas=5)
    return replace(fleet, kem_public=example_fleet(replicas=3).opaque_public)


def next_members() -> Fleet:
    """The same fleet after the replacement of its first replica."""
    fleet = example_fleet(replicas=5)
    group = fleet.groups[0]
    first = replace(group.replicas[0], incarnation=2, identity_public=example_fleet(replicas=3).kem_public)
    return replace(fleet, groups=(replace(group, replicas=(first, *group.replicas[1:])),))


def entry_of(manifest: bytes, signed_by: EdSigner | None = None, countersigned_by: Signer | None = None) -> bytes:
    """A log's entry: the manifest signed by an auditor and counter-signed by an operator."""
    envelope = sign_envelope(MANIFEST_TYPE, manifest, [signed_by or auditor()])
    read = parse_envelope(envelope, MANIFEST_TYPE)
    counter = sign_countersignature(parse_manifest(manifest), read, [countersigned_by or operator()])
    raw = envelope + b"\n" + counter + b"\n"
    assert parse_entry(raw).raw == raw
    return raw


@dataclass
class Log:
    """A log in memory. What stands before our entries are those of others."""

    entries: list[bytes] = field(default_factory=lambda: [b"an entry of another namespace", b"and another"])

    def checkpoint(self, *, witnesses: tuple[int, ...] = (0, 1), at: int = NOW) -> bytes:
        root = root_of(len(self.entries), trees.reading(self.entries))
        return keys.signed(Checkpoint(keys.ORIGIN, len(self.entries), root), *witnesses, at=at).to_bytes()

    def bundle(self, entry: bytes, *, witnesses: tuple[int, ...] = (0, 1), at: int = NOW) -> bytes:
        """Append the entry unless it is there, and prove it."""
        if entry not in self.entries:
            self.entries.append(entry)
        index = self.entries.index(entry)
        hashes = inclusion_proof(index, len(self.entries), trees.reading(self.entries))
        proof = TlogProof(index, tuple(hashes), self.checkpoint(witnesses=witnesses, at=at))
        assert leaf_hash(entry)
        return join_bundle(entry, proof)
