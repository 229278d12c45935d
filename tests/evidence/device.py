"""A device that is none: certificates in the form of a YubiHSM 2's, labelled TEST, NOT HARDWARE, under a test root."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cache

from asn1crypto import core
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256, HashAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from tests.fleet.example import private_key

LABEL = "TEST, NOT HARDWARE"
BORN, DIES = datetime(2017, 1, 1, tzinfo=UTC), datetime(2071, 10, 5, tzinfo=UTC)
ARC = "1.3.6.1.4.1.41482.4"
SERIAL = core.Integer(31_650_425).dump()
CA = x509.BasicConstraints(ca=True, path_length=None)
Extensions = Mapping[str, bytes]

# What a device of firmware 2.4.0 says of a key that it made and that may only sign.
CLAIMS: Extensions = {
    f"{ARC}.1": core.OctetString(b"\x02\x04\x00").dump(),
    f"{ARC}.2": SERIAL,
    f"{ARC}.3": core.OctetBitString(b"\x01").dump(),
    f"{ARC}.4": core.OctetBitString(b"\x00\x01").dump(),
    f"{ARC}.5": core.OctetBitString((1 << 7).to_bytes(8, "big")).dump(),
    f"{ARC}.6": core.Integer(0x7E57).dump(),
    f"{ARC}.9": core.UTF8String(LABEL).dump(),
}
DEVICE: Extensions = {name: CLAIMS[name] for name in (f"{ARC}.1", f"{ARC}.2")}
Signing = ec.EllipticCurvePrivateKey


@dataclass(frozen=True, kw_only=True)
class Spec:
    """One certificate: what stands in it, and `key`, whose public half it is about."""

    name: str
    key: Signing
    extensions: Extensions = field(default_factory=dict)
    critical: frozenset[str] = frozenset()
    constraints: x509.BasicConstraints | None = None
    usage: x509.KeyUsage | None = None
    born: datetime = BORN
    dies: datetime = DIES
    hash: HashAlgorithm = field(default_factory=SHA256)

    @property
    def subject(self) -> x509.Name:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{LABEL}: {self.name}")])

    def signed_by(self, issuer: Spec) -> bytes:
        """The certificate in PEM."""
        builder = (
            x509.CertificateBuilder()
            .subject_name(self.subject)
            .issuer_name(issuer.subject)
            .public_key(self.key.public_key())
            .serial_number(7)
            .not_valid_before(self.born)
            .not_valid_after(self.dies)
        )
        for name, der in self.extensions.items():
            unknown = x509.UnrecognizedExtension(x509.ObjectIdentifier(name), der)
            builder = builder.add_extension(unknown, critical=name in self.critical)
        for known in (self.constraints, self.usage):
            builder = builder.add_extension(known, critical=True) if known is not None else builder
        return builder.sign(issuer.key, self.hash).public_bytes(Encoding.PEM)


ROOT = Spec(name="root", key=private_key(9001), constraints=CA)
SUB_CA = Spec(name="sub-CA", key=private_key(9002), constraints=CA)
BOX = Spec(
    name="device", key=private_key(9003), extensions=DEVICE, constraints=x509.BasicConstraints(ca=True, path_length=0)
)
KEY = Spec(name="key", key=private_key(9004), extensions=CLAIMS)


@dataclass(frozen=True, kw_only=True)
class World:
    """A chain, each certificate signed by the next one and the last by the root, which signs itself."""

    key: Spec = KEY
    box: Spec = BOX
    sub_ca: Spec = SUB_CA
    root: Spec = ROOT

    @property
    def evidence(self) -> bytes:
        pairs = [(self.key, self.box), (self.box, self.sub_ca), (self.sub_ca, self.root)]
        return b"".join(spec.signed_by(issuer) for spec, issuer in pairs)

    @property
    def root_pem(self) -> bytes:
        return self.root.signed_by(self.root)


@cache
def honest() -> World:
    return World()


def claiming(number: int, der: bytes) -> World:
    """A world whose key has one claim in another form."""
    return World(key=replace(KEY, extensions={**CLAIMS, f"{ARC}.{number}": der}))


def without(number: int) -> World:
    return World(key=replace(KEY, extensions={n: d for n, d in CLAIMS.items() if n != f"{ARC}.{number}"}))
