"""What a device's maker vouches for about a key, whoever the maker is, and the port that each maker's format fills.

The names of the claims are those of draft-ietf-rats-pkix-key-attestation, whose own encoding has no numbers yet.
An attestation says where a key lives. It does not say which code asks the device to use it, nor how often.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class AttestedKey:
    """A key that was made inside a device and cannot leave it, as far as `root` can be believed.

    `public` is a compressed P-256 point (33 bytes). `root_subject` (RFC 4514) and `root_sha256` (32 bytes, of the
    certificate's DER) name the root that the caller gave, so that whoever shows the key can show whose word it is.
    """

    vendor: str
    hwmodel: str
    hwserial: str
    swversion: str
    identifier: str
    public: bytes
    root_subject: str
    root_sha256: bytes


class AttestationReader(Protocol):
    """Reads one maker's format."""

    def read(self, evidence: bytes, root: bytes, now: int) -> AttestedKey:
        """Return the key that `evidence` attests under `root`, a certificate in PEM, at `now` (POSIX seconds).

        Idempotent and pure. LogError names the check that failed: "attestation-format" (no evidence of this maker),
        "attestation-chain" (not signed all the way to the root), "attestation-validity" (outside a certificate's time),
        "attestation-key" (no P-256 key), "attestation-origin" (not made inside the device), "attestation-export" (may
        leave it), "attestation-device" (the device that signed is not the one that is named).
        """
