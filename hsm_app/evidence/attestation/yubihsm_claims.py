"""What a YubiHSM 2 says about a key: Yubico's certificate extensions under 1.3.6.1.4.1.41482.4, as DER and as values.

| number | claim | DER |
|---|---|---|
| 1 | firmware version | OCTET STRING, 3 bytes: major, minor, patch |
| 2 | serial number of the device | INTEGER |
| 3 | origin | BIT STRING, 1 byte |
| 4 | domains | BIT STRING, 2 bytes, domain 1 is the last bit |
| 5 | capabilities | BIT STRING, 8 bytes, big endian |
| 6 | object id | INTEGER, 2 bytes |
| 9 | label | UTF8String, at most 40 bytes |

Sources: docs.yubico.com, YubiHSM 2 User Guide, "Attestation" (the numbers and types), "Capabilities", "Origin" (the
bits). The widths are those that devices with firmware 2.4 write; no bit of a BIT STRING is left unused. A certificate
that lacks one of the seven, or encodes one otherwise, is refused. Number 10 (FIPS) and later ones say nothing that is
asked here.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntFlag
from typing import TypeVar

from asn1crypto import core
from cryptography import x509

from hsm_app.errors import LogError

T = TypeVar("T")
ARC = "1.3.6.1.4.1.41482.4"
LABEL_LIMIT = 40  # bytes
FIRMWARE, SERIAL, ORIGIN, DOMAINS, CAPABILITIES, OBJECT_ID, LABEL = 1, 2, 3, 4, 5, 6, 9


class Origin(IntFlag):
    """How a key came to be where it is. A key that was imported under wrap keeps the bit of how it began."""

    GENERATED = 0x01
    IMPORTED = 0x02
    IMPORTED_WRAPPED = 0x10


class Capability(IntFlag):
    """The capabilities that mean something for an asymmetric key; only one of them lets it leave the device."""

    SIGN_PKCS = 1 << 0x05
    SIGN_PSS = 1 << 0x06
    SIGN_ECDSA = 1 << 0x07
    SIGN_EDDSA = 1 << 0x08
    DECRYPT_PKCS = 1 << 0x09
    DECRYPT_OAEP = 1 << 0x0A
    DERIVE_ECDH = 1 << 0x0B
    EXPORTABLE_UNDER_WRAP = 1 << 0x10
    SIGN_SSH_CERTIFICATE = 1 << 0x19
    SIGN_ATTESTATION_CERTIFICATE = 1 << 0x22


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """The claims as they stand. `origin` and `capabilities` may hold bits without a name; `domains` are 1 to 16."""

    firmware: tuple[int, int, int]
    serial: int
    origin: int
    domains: tuple[int, ...]
    capabilities: int
    object_id: int
    label: str


def read_claims(certificate: x509.Certificate) -> Claims:
    """Read the claims. LogError ("attestation-format") when one is missing, malformed or out of range."""
    found = _yubico_extensions(certificate)
    major, minor, patch = _sized(_decode(found, FIRMWARE, core.OctetString, bytes), 3, "firmware version")
    domains = _bits(found, DOMAINS, 2)
    label = _decode(found, LABEL, core.UTF8String, str)
    if len(label.encode()) > LABEL_LIMIT or not label.isprintable():
        raise LogError("attestation-format", f"the label is no printable text of at most {LABEL_LIMIT} bytes")
    return Claims(
        firmware=(major, minor, patch),
        serial=_number(found, SERIAL, 2**32 - 1),
        origin=_bits(found, ORIGIN, 1),
        domains=tuple(number + 1 for number in range(16) if domains >> number & 1),
        capabilities=_bits(found, CAPABILITIES, 8),
        object_id=_number(found, OBJECT_ID, 2**16 - 1),
        label=label,
    )


def read_serial(certificate: x509.Certificate) -> int:
    """Return the device's serial number, which its own certificate also has. LogError ("attestation-format")."""
    return _number(_yubico_extensions(certificate), SERIAL, 2**32 - 1)


def _yubico_extensions(certificate: x509.Certificate) -> dict[str, bytes]:
    return {
        one.oid.dotted_string: one.value.value
        for one in certificate.extensions
        if isinstance(one.value, x509.UnrecognizedExtension)
    }


def _decode(found: dict[str, bytes], number: int, kind: type[core.Asn1Value], native: type[T]) -> T:
    """Return the native value of one extension, which is exactly one value of its kind, in DER."""
    der = found.get(f"{ARC}.{number}")
    if der is None:
        raise LogError("attestation-format", f"the certificate lacks Yubico's extension {ARC}.{number}")
    try:
        value = kind.load(der, strict=True)
        read = value.native
        if type(read) is native and value.dump(force=True) == der:
            return read
    except (ValueError, IndexError):
        pass  # asn1crypto's errors for bytes that are no such value (IndexError: a BIT STRING of no bytes); said below
    raise LogError("attestation-format", f"Yubico's extension {ARC}.{number} does not read")


def _sized(value: bytes, length: int, what: str) -> bytes:
    if len(value) != length:
        raise LogError("attestation-format", f"the {what} has {len(value)} bytes, not {length}")
    return value


def _bits(found: dict[str, bytes], number: int, length: int) -> int:
    value = _decode(found, number, core.OctetBitString, bytes)
    return int.from_bytes(_sized(value, length, f"extension {ARC}.{number}"), "big")


def _number(found: dict[str, bytes], number: int, most: int) -> int:
    value = _decode(found, number, core.Integer, int)
    if not 0 <= value <= most:
        raise LogError("attestation-format", f"extension {ARC}.{number} is not a number from 0 to {most}")
    return value
