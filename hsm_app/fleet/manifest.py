"""The fleet manifest: which fleets exist, with which keys, replicas, tenants and policy. Frozen values only.

One manifest exists per namespace. Its epoch goes up by one each time, and it names the SHA-256 of the manifest before
it. What is hashed, pinned and bound into every client session is the bytes as they were received (`Manifest.raw`),
never a re-encoding of them. `fleet.manifest_json` reads and writes those bytes; a `Manifest` that exists has passed
every check there.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum, StrEnum

from hsm_app.errors import ConfigError
from hsm_app.model import FleetId, ReplicaId


class FleetState(StrEnum):
    """What clients may do with a fleet. A fleet that is left stays listed, since old backups still need its keys."""

    ACTIVE = "active"
    RECOVER_ONLY = "recover-only"
    REVOKED = "revoked"


class Custody(StrEnum):
    """Sealed: nobody can ever add a token. Maintained: M custodians can, and so can do anything."""

    SEALED = "sealed"
    MAINTAINED = "maintained"


class TenantAlgorithm(StrEnum):
    """RFC 7518 section 3.4 (ES256), RFC 8037 section 3.1 (EdDSA, Ed25519 only). The names are the JWT header's."""

    ES256 = "ES256"
    EDDSA = "EdDSA"


class AssuranceLevel(IntEnum):
    """Who vouches for a claim about a deployment; a higher level includes the lower ones."""

    NONE = 0
    SELF_ASSERTED = 1
    OPERATOR_SIGNED = 2
    VENDOR_ROOTED = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Assurance:
    """Three separate claims; a client's policy sets a minimum on each."""

    key_custody: AssuranceLevel
    code_enforcement: AssuranceLevel
    anchor_freshness: AssuranceLevel


@dataclass(frozen=True, slots=True, kw_only=True)
class Argon2Costs:
    """Argon2id costs (RFC 9106) of the client's key stretching; pinned here so that no server can talk them down."""

    iterations: int
    memory_kib: int
    lanes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptPolicy:
    """`maximum` wrong guesses destroy a record; `waits_seconds[n - 1]` is the wait after the n-th of them in a row.

    Beyond the end of `waits_seconds` its last entry goes on. `replace_delay_seconds` passes before a delete or replace
    without the owner's signature takes effect. The two hourly figures are per tenant.
    """

    maximum: int
    waits_seconds: tuple[int, ...]
    replace_delay_seconds: int
    charges_per_hour: int
    destructions_per_hour: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Replica:
    """One token's public keys: SEC 1 compressed P-256 points, 33 bytes. `incarnation` counts its fresh stores."""

    replica: ReplicaId
    incarnation: int
    identity_public: bytes
    link_public: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """The replicas that share the records of one part of the routing space."""

    group: int
    replicas: tuple[Replica, ...]

    @property
    def majority(self) -> int:
        return len(self.replicas) // 2 + 1

    def find(self, replica: int) -> Replica:
        """Return the member with that id. ConfigError when there is none."""
        for member in self.replicas:
            if member.replica == replica:
                return member
        raise ConfigError(f"group {self.group} has no replica {replica}", "Check the replica id and the manifest")


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantKey:
    """`public_key`: ES256 a compressed P-256 point (33 bytes), EdDSA an Ed25519 public key (32 bytes)."""

    kid: str
    alg: TenantAlgorithm
    public_key: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantKeys:
    """A tenant's name, which is the issuer of its account tokens, and its keys. A kid is unique in the fleet."""

    tenant: str
    keys: tuple[TenantKey, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """One fleet: public keys 33 bytes compressed, check values and the evidence digest 32 bytes."""

    fleet: FleetId
    state: FleetState
    custody: Custody
    kem_public: bytes
    opaque_public: bytes
    seal_check: bytes
    id_check: bytes
    groups: tuple[Group, ...]
    tenants: tuple[TenantKeys, ...]
    argon2: Argon2Costs
    attempts: AttemptPolicy
    evidence_sha256: bytes | None
    assurance: Assurance


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """A manifest that passed every check. Times are POSIX seconds; `digest` is the SHA-256 of `raw`."""

    namespace: str
    epoch: int
    previous_sha256: bytes | None
    issued_at: int
    not_before: int
    not_after: int
    fleets: tuple[Fleet, ...]
    digest: bytes
    raw: bytes = field(repr=False)

    def fleet(self, fleet: str) -> Fleet:
        """Return the fleet of that id. ConfigError when the manifest does not list it."""
        for candidate in self.fleets:
            if candidate.fleet == fleet:
                return candidate
        raise ConfigError(
            f"the manifest of {self.namespace}, epoch {self.epoch}, lists no fleet {fleet!r}",
            "Check the fleet id, or get the manifest that belongs to it",
        )


def check_window(manifest: Manifest, now: int) -> None:
    """Raise ConfigError unless `now` (POSIX seconds) lies in the manifest's validity window."""
    if now < manifest.not_before:
        raise ConfigError(
            f"the manifest of {manifest.namespace}, epoch {manifest.epoch}, is not valid yet",
            "Check this machine's clock, or wait until the manifest's not_before",
        )
    if now >= manifest.not_after:
        raise ConfigError(
            f"the manifest of {manifest.namespace}, epoch {manifest.epoch}, has expired",
            "Get the current manifest, or check this machine's clock",
        )
