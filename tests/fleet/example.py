"""Example fleets for tests. Their keys belong to small known scalars, so nothing here is secret."""

from __future__ import annotations

from functools import cache

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from hsm_app.fleet.manifest import (
    Argon2Costs,
    Assurance,
    AssuranceLevel,
    AttemptPolicy,
    Custody,
    Fleet,
    FleetState,
    Group,
    Replica,
    TenantAlgorithm,
    TenantKey,
    TenantKeys,
)
from hsm_app.fleet.manifest_encoding import encode_manifest
from hsm_app.model import FleetId, ReplicaId

NOW = 1_793_000_000  # POSIX seconds; the example manifest's window begins here and lasts a day


@cache
def private_key(scalar: int) -> ec.EllipticCurvePrivateKey:
    return ec.derive_private_key(scalar, ec.SECP256R1())


@cache
def point(scalar: int) -> bytes:
    """The compressed public key of `scalar`."""
    return private_key(scalar).public_key().public_bytes(Encoding.X962, PublicFormat.CompressedPoint)


def example_group(group: int, replicas: int) -> Group:
    first = 1000 * group
    return Group(
        group=group,
        replicas=tuple(
            Replica(
                replica=ReplicaId(number),
                incarnation=1,
                identity_public=point(first + 2 * number - 1),
                link_public=point(first + 2 * number),
            )
            for number in range(1, replicas + 1)
        ),
    )


def example_tenant(number: int) -> TenantKeys:
    key = TenantKey(kid=f"tenant-{number}-key", alg=TenantAlgorithm.ES256, public_key=point(500_000 + number))
    return TenantKeys(tenant=f"tenant-{number}", keys=(key,))


def example_fleet(
    *,
    replicas: int = 3,
    groups: int = 1,
    tenants: int = 1,
    fleet: str = "fleet-1",
    tenant_keys: tuple[TenantKeys, ...] | None = None,
) -> Fleet:
    return Fleet(
        fleet=FleetId(fleet),
        state=FleetState.ACTIVE,
        custody=Custody.SEALED,
        kem_public=point(400_001),
        opaque_public=point(400_002),
        seal_check=b"\x01" * 32,
        id_check=b"\x02" * 32,
        groups=tuple(example_group(number, replicas) for number in range(groups)),
        tenants=tenant_keys or tuple(example_tenant(number) for number in range(1, tenants + 1)),
        argon2=Argon2Costs(iterations=3, memory_kib=65_536, lanes=4),
        attempts=AttemptPolicy(
            maximum=10,
            waits_seconds=(0, 0, 1, 5, 30),
            replace_delay_seconds=604_800,
            charges_per_hour=100_000,
            destructions_per_hour=100,
        ),
        evidence_sha256=None,
        assurance=Assurance(
            key_custody=AssuranceLevel.SELF_ASSERTED,
            code_enforcement=AssuranceLevel.NONE,
            anchor_freshness=AssuranceLevel.NONE,
        ),
    )


def example_bytes(*, replicas: int = 3, tenants: int = 1) -> bytes:
    """A manifest with one example fleet."""
    return encode_manifest(
        namespace="vault.example/fleets",
        epoch=1,
        previous_sha256=None,
        issued_at=NOW - 3600,
        not_before=NOW,
        not_after=NOW + 86_400,
        fleets=(example_fleet(replicas=replicas, tenants=tenants),),
    )
