"""Files and stored bytes: manifests, certificates, account tokens, records of software, records, anchors."""

from __future__ import annotations

from dataclasses import replace

from hsm_app.errors import ConfigError, Denied, ProtocolError, StoreError
from hsm_app.evidence.software import encode_software, parse_software
from hsm_app.fleet.account import Scope, check_account_token
from hsm_app.fleet.manifest_encoding import encode_manifest
from hsm_app.fleet.manifest_json import parse_manifest
from hsm_app.fleet.membership_certificate import SweepCertificate, parse_certificate
from hsm_app.merkle.anchor import AnchorState
from hsm_app.model import FleetId, ReplicaId
from hsm_app.vault.record import EMPTY
from hsm_app.vault.record_codec import decode_record, encode_record
from tests.evidence.example_software import SOFTWARE
from tests.fleet.example import NOW, example_bytes
from tests.fleet.test_account import FLEET, issue, signed_bytes
from tests.fuzz.harness import Harness, one_of, round_trip, tagged
from tests.merkle.test_anchor import ANCHOR
from tests.vault.test_record_codec import full_record

CERTIFICATE = SweepCertificate(
    fleet=FleetId("fleet-1"), group=0, epoch=2, manifest=bytes(32), signatures=((ReplicaId(1), bytes(range(64))),)
)
CLAIMS = b'{"iss":"messenger","sub":"anna","aud":"fleet-1","scope":"vault:register","iat":%d,"exp":%d}' % (
    NOW,
    NOW + 60,
)


def check_manifest(raw: bytes) -> None:
    """A manifest that is read says the same when it is written."""
    try:
        manifest = parse_manifest(raw)
    except ConfigError:
        return
    assert manifest.raw == raw
    again = encode_manifest(
        namespace=manifest.namespace,
        epoch=manifest.epoch,
        previous_sha256=manifest.previous_sha256,
        issued_at=manifest.issued_at,
        not_before=manifest.not_before,
        not_after=manifest.not_after,
        fleets=manifest.fleets,
    )
    assert replace(parse_manifest(again), raw=raw, digest=manifest.digest) == manifest


def check_record(value: bytes) -> None:
    """No bytes at all are the empty record too: that is what a slot holds before anything was written."""
    if value:
        round_trip(decode_record, encode_record, StoreError)(value)


def check_certificate(raw: bytes) -> None:
    try:
        certificate = parse_certificate(raw)
    except ConfigError:
        return
    assert parse_certificate(certificate.to_bytes()) == certificate


def check_software(raw: bytes) -> None:
    try:
        software = parse_software(raw)
    except ConfigError:
        return
    assert parse_software(encode_software(software)) == software


def check_token(token: str) -> None:
    try:
        claims = check_account_token(token, FLEET, Scope.REGISTER, NOW)
    except Denied:
        return
    assert claims.tenant == "messenger"
    assert 1 <= len(claims.account.encode()) <= 128


def check_signed_claims(payload: bytes) -> None:
    """Anything that a tenant signs."""
    check_token(signed_bytes(payload))


def check_token_bytes(data: bytes) -> None:
    """Anything that nobody signed, as the message codec hands it over: text."""
    try:
        token = data.decode()
    except UnicodeDecodeError:
        return
    check_token(token)


DOCUMENTS = Harness(
    one_of(check_manifest, check_certificate, check_signed_claims, check_token_bytes, check_software),
    tagged(
        [example_bytes(replicas=5)],
        [CERTIFICATE.to_bytes()],
        [CLAIMS],
        [issue().encode()],
        [encode_software(SOFTWARE)],
    ),
)
STORED = Harness(
    one_of(
        check_record,
        round_trip(AnchorState.from_bytes, AnchorState.to_bytes, ProtocolError),
    ),
    tagged([encode_record(EMPTY), encode_record(full_record())], [ANCHOR.to_bytes()]),
)
