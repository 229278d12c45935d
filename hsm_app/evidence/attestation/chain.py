"""A chain of X.509 certificates up to a root that the caller gives (RFC 5280 section 6.1, as far as devices use it).

The order is the one in which each signs the one before it: first the attested key, last what the root signed; the root
itself is not repeated. Refused: a name or signature that does not fit, an issuer that is no CA or may not sign
certificates, more CAs below one than its path length allows, a critical extension that nobody here knows, a hash
weaker than SHA-256, and a moment outside any validity, the root's included. No root is built in. Devices make no CA of
a key that they attest, so it cannot attest another one in the device's name.

Certificate policies and revocation are not looked at. A name constraint is critical and thus refused.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.hashes import SHA256, SHA384, SHA512

from hsm_app.errors import LogError

T = TypeVar("T")
E = TypeVar("E", bound=x509.ExtensionType)
LIMIT = 32 * 1024  # bytes of PEM; a YubiHSM's chain has about 4,000
LENGTH_LIMIT = 6  # certificates below the root
_KNOWN = (x509.BasicConstraints, x509.KeyUsage)  # the critical extensions that are understood
# The library reads lazily, so any access to a part of a certificate may find that it is malformed.
_MALFORMED = (
    ValueError, TypeError, UnsupportedAlgorithm, InvalidSignature, x509.DuplicateExtension, x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)  # fmt: skip


def load_certificates(pem: bytes) -> tuple[x509.Certificate, ...]:
    """Return the certificates of a PEM file, at most 32 KiB. LogError ("attestation-format") for anything else."""
    if len(pem) > LIMIT:
        raise LogError("attestation-format", f"a chain of certificates has {len(pem)} bytes, more than {LIMIT}")
    found = parsed(lambda: x509.load_pem_x509_certificates(pem), "attestation-format", "this is no PEM certificate")
    if len(found) > LENGTH_LIMIT:
        raise LogError("attestation-format", f"a chain has {len(found)} certificates, more than {LENGTH_LIMIT}")
    return tuple(found)


def load_root(pem: bytes) -> x509.Certificate:
    """Return the one certificate of a PEM file. LogError ("attestation-format") for anything else."""
    found = load_certificates(pem)
    if len(found) != 1:
        raise LogError("attestation-format", f"a root is one certificate, not {len(found)}")
    return found[0]


def parsed(read: Callable[[], T], check: str, otherwise: str) -> T:
    """Return what `read` reads from a certificate. LogError of this check when the certificate is malformed."""
    try:
        return read()
    except _MALFORMED:
        raise LogError(check, otherwise) from None


def check_chain(chain: Sequence[x509.Certificate], root: x509.Certificate, now: int) -> None:
    """LogError ("attestation-chain", "attestation-validity") unless `chain` leads up to `root` at `now`.

    `now` is POSIX seconds; `chain` has the attested key's certificate first.
    """
    moment = datetime.fromtimestamp(now, UTC)
    parsed(lambda: _walk(chain, root, moment), "attestation-chain", "a certificate of the chain is malformed")


def _walk(chain: Sequence[x509.Certificate], root: x509.Certificate, moment: datetime) -> None:
    issuers = [*chain[1:], root]
    for depth, (child, issuer) in enumerate(zip(chain, issuers, strict=True)):
        _check_signed(child, issuer, f"certificate {depth + 1} of the chain")
        _check_issuer(issuer, depth)
    for certificate in (*chain, root):
        _check_known(certificate)
        _check_window(certificate, moment)


def _check_signed(child: x509.Certificate, issuer: x509.Certificate, which: str) -> None:
    if not isinstance(child.signature_hash_algorithm, SHA256 | SHA384 | SHA512):
        raise LogError("attestation-chain", f"{which} is signed with a hash weaker than SHA-256")
    otherwise = f"{which} is not signed by the next one, {_name(issuer)}"
    parsed(lambda: child.verify_directly_issued_by(issuer), "attestation-chain", otherwise)


def _check_issuer(issuer: x509.Certificate, below: int) -> None:
    """`below` is how many CAs stand between the issuer and the attested key (RFC 5280 section 4.2.1.9)."""
    constraints = _extension(issuer, x509.BasicConstraints)
    if constraints is None or not constraints.ca:
        raise LogError("attestation-chain", f"{_name(issuer)} signed a certificate and is no CA")
    if constraints.path_length is not None and constraints.path_length < below:
        raise LogError("attestation-chain", f"{_name(issuer)} has more CAs below it than its path length allows")
    usage = _extension(issuer, x509.KeyUsage)
    if usage is not None and not usage.key_cert_sign:
        raise LogError("attestation-chain", f"{_name(issuer)} signed a certificate and its key may not")


def _check_known(certificate: x509.Certificate) -> None:
    for extension in certificate.extensions:
        if extension.critical and not isinstance(extension.value, _KNOWN):
            which = extension.oid.dotted_string
            raise LogError("attestation-chain", f"{_name(certificate)} has the critical extension {which}")


def _check_window(certificate: x509.Certificate, moment: datetime) -> None:
    if not certificate.not_valid_before_utc <= moment <= certificate.not_valid_after_utc:
        raise LogError("attestation-validity", f"{_name(certificate)} is not valid at this time", "Check the clock")


def _extension(certificate: x509.Certificate, kind: type[E]) -> E | None:
    return next((one.value for one in certificate.extensions if isinstance(one.value, kind)), None)


def _name(certificate: x509.Certificate) -> str:
    return ascii(certificate.subject.rfc4514_string()[:100])
