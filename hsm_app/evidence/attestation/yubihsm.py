"""Attestation certificates of the YubiHSM 2: that a P-256 key was made in a device of that kind and cannot leave it.

The evidence is a PEM file as the device's tools write it: the certificate that the device signed about the key, the
device's own certificate, and those above it without the root. The root is the caller's; none is built in, and whoever
passes another than Yubico's learns only what that one's owner says. The claims are `yubihsm_claims`.

What it does not prove: which program uses the key, nor that the device still holds it. A device has no clock, so the
dates of its certificates are copied and say nothing about when the key was made; a nonce in the key's label does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from hsm_app.errors import LogError
from hsm_app.evidence.attestation.chain import check_chain, load_certificates, load_root, parsed
from hsm_app.evidence.attestation.reader import AttestedKey
from hsm_app.evidence.attestation.yubihsm_claims import Capability, Claims, Origin, read_claims, read_serial

_HARMLESS = sum(int(one) for one in Capability) - int(Capability.EXPORTABLE_UNDER_WRAP)


@dataclass(frozen=True, slots=True, kw_only=True)
class YubiHsmKey(AttestedKey):
    """An attested key and all that the device says of it. `identifier` is the object id, four hexadecimal digits."""

    claims: Claims


class YubiHsmReader:
    """The AttestationReader for the YubiHSM 2."""

    def read(self, evidence: bytes, root: bytes, now: int) -> YubiHsmKey:
        """Return the key that the chain attests; see `AttestationReader.read` for the names of the checks."""
        chain, anchor = load_certificates(evidence), load_root(root)
        check_chain(chain, anchor, now)
        claims = parsed(lambda: _claims(chain), "attestation-format", "a certificate of the chain is malformed")
        check_origin(claims.origin)
        check_export(claims.capabilities)
        return YubiHsmKey(
            vendor="Yubico",
            hwmodel="YubiHSM 2",
            hwserial=str(claims.serial),
            swversion=".".join(map(str, claims.firmware)),
            identifier=f"{claims.object_id:04x}",
            public=parsed(lambda: _point(chain[0]), "attestation-key", "the attested key does not read"),
            root_subject=anchor.subject.rfc4514_string(),
            root_sha256=anchor.fingerprint(SHA256()),
            claims=claims,
        )


def check_origin(origin: int) -> None:
    """LogError ("attestation-origin") unless the key was generated in the device and was never imported."""
    if origin != Origin.GENERATED:
        raise LogError("attestation-origin", f"the key was not made inside the device (origin 0x{origin:02x})")


def check_export(capabilities: int) -> None:
    """LogError ("attestation-export") when a capability lets the key leave, or may do so for all that is known here."""
    if capabilities & Capability.EXPORTABLE_UNDER_WRAP:
        raise LogError("attestation-export", "the key can be exported under a wrap key")
    if unknown := capabilities & ~_HARMLESS:
        raise LogError("attestation-export", f"the key has capabilities that are not known (0x{unknown:016x})")


def _claims(chain: Sequence[x509.Certificate]) -> Claims:
    """Read the key's claims, and hold the serial number in them against the one in the device's own certificate."""
    if len(chain) < 2:
        raise LogError("attestation-format", "the chain has no certificate of the device", "Add the device's own one")
    claims, serial = read_claims(chain[0]), read_serial(chain[1])
    if claims.serial != serial:
        raise LogError("attestation-device", f"device {serial} signed a certificate that names device {claims.serial}")
    return claims


def _point(certificate: x509.Certificate) -> bytes:
    key = certificate.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise LogError("attestation-key", "the attested key is not on P-256")
    return key.public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
