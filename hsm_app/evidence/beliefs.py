"""What somebody who audits brings along, and how a check says that it cannot tell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hsm_app.fleet.manifest import Manifest
from hsm_app.fleet.root_of_trust import RootOfTrust


@dataclass(frozen=True, slots=True, kw_only=True)
class Beliefs:
    """`wheel` holds the SHA-256 of the package's files in the wheel, by path. `now` is POSIX seconds.

    `former_roots` were believed before it: evidence keeps the proofs of its day, and keys are rotated.
    `manifest` is the one that clients believe now; it is held against the newest evidence only.
    `attestation_roots` are certificates of makers, in PEM. What was not brought is None or empty.
    """

    now: int
    root_of_trust: RootOfTrust | None = None
    former_roots: tuple[RootOfTrust, ...] = ()
    manifest: Manifest | None = None
    attestation_roots: tuple[bytes, ...] = ()
    wheel: Mapping[str, bytes] | None = None


class NotProven(Exception):
    """The evidence cannot tell; no failure, and no pass."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why
