"""Attestation certificates of the YubiHSM 2, none of them from hardware but the bytes of two devices' claims.

Covered: each claim changed with the old signature and with the device's own; certificates missing, swapped, out of
order, out of date, or signed by what is no CA; a key that attests another in its device's name; another device's
serial number; another root. OpenSSL judges the chains too. Not covered: revocation, which the maker does not offer.
"""

from __future__ import annotations

import base64
import subprocess
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from asn1crypto import core
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA224
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given, settings
from hypothesis import strategies as st

from hsm_app.errors import LogError
from hsm_app.evidence.attestation.chain import LIMIT, load_certificates
from hsm_app.evidence.attestation.reader import AttestationReader, AttestedKey
from hsm_app.evidence.attestation.yubihsm import YubiHsmKey, YubiHsmReader
from hsm_app.evidence.attestation.yubihsm_claims import Claims, read_claims
from tests.evidence.device import (
    ARC,
    BORN,
    BOX,
    CA,
    CLAIMS,
    DEVICE,
    DIES,
    KEY,
    LABEL,
    ROOT,
    SUB_CA,
    Extensions,
    Spec,
    World,
    claiming,
    honest,
    without,
)  # fmt: skip
from tests.fleet.example import NOW, point, private_key
from tests.patience import PATIENCE

FORMAT, CHAIN, VALIDITY = "attestation-format", "attestation-chain", "attestation-validity"
ORIGIN, EXPORT, ATTESTED, DEVICE_CHECK = (
    "attestation-origin", "attestation-export", "attestation-key", "attestation-device",
)  # fmt: skip


def read(world: World, now: int = NOW) -> YubiHsmKey:
    return YubiHsmReader().read(world.evidence, world.root_pem, now)


def pem(*pairs: tuple[Spec, Spec]) -> bytes:
    return b"".join(spec.signed_by(issuer) for spec, issuer in pairs)


# What two devices wrote, byte for byte, as people who own them published it: extension values under Yubico's arc.
# https://gitlab.archlinux.org/wiktor/attestation-validator (firmware 2.4.1) and
# https://github.com/blechschmidt/secsy-pki (2.4.0).
RECORDED = {
    "firmware 2.4.1": (
        ("0403020401", "0204020bd9fd", "03020001", "0303000001", "0309000000000000000100", "020103", "0c00"),
        Claims(
            firmware=(2, 4, 1),
            serial=34_331_133,
            origin=1,
            domains=(1,),
            capabilities=1 << 8,
            object_id=3,
            label="",
        ),
    ),
    "firmware 2.4.0": (
        ("0403020400", "020401e2f279", "03020001", "0303000001", "0309000000000000000080", "02027e57",
         "0c0d68736d61756469742d74657374"),
        Claims(
            firmware=(2, 4, 0),
            serial=31_650_425,
            origin=1,
            domains=(1,),
            capabilities=1 << 7,
            object_id=0x7E57,
            label="hsmaudit-test",
        ),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("values", "claims"), RECORDED.values(), ids=RECORDED.keys())
def test_the_claims_of_real_devices_read(values: tuple[str, ...], claims: Claims) -> None:
    extensions: Extensions = dict(zip(CLAIMS, map(bytes.fromhex, values), strict=True))
    (certificate,) = load_certificates(replace(KEY, extensions=extensions).signed_by(BOX))
    assert read_claims(certificate) == claims


def test_an_honest_chain_is_a_key_and_says_whose_word_it_is() -> None:
    reader: AttestationReader = YubiHsmReader()
    key = reader.read(honest().evidence, honest().root_pem, NOW)
    (root,) = load_certificates(honest().root_pem)
    expected = YubiHsmKey(
        vendor="Yubico",
        hwmodel="YubiHSM 2",
        hwserial="31650425",
        swversion="2.4.0",
        identifier="7e57",
        public=point(9004),
        root_subject="CN=TEST\\, NOT HARDWARE: root",
        root_sha256=key.root_sha256,
        claims=Claims(
            firmware=(2, 4, 0),
            serial=31_650_425,
            origin=1,
            domains=(1,),
            capabilities=1 << 7,
            object_id=0x7E57,
            label=LABEL,
        ),
    )
    assert key == expected
    assert root.subject.rfc4514_string() == key.root_subject
    assert isinstance(key, AttestedKey)


def bits(value: int, length: int) -> bytes:
    return core.OctetBitString(value.to_bytes(length, "big")).dump()


CLAIMED = {
    "a key that was imported": (claiming(3, bits(0x02, 1)), ORIGIN),
    "a key that was generated, exported and imported again": (claiming(3, bits(0x11, 1)), ORIGIN),
    "a key that was generated and imported": (claiming(3, bits(0x03, 1)), ORIGIN),
    "a key of no origin": (claiming(3, bits(0x00, 1)), ORIGIN),
    "a key of an origin that nobody knows": (claiming(3, bits(0x81, 1)), ORIGIN),
    "a key that can be exported under wrap": (claiming(5, bits(1 << 7 | 1 << 16, 8)), EXPORT),
    "a key that can be exported and no more": (claiming(5, bits(1 << 16, 8)), EXPORT),
    "a capability that nobody knows yet": (claiming(5, bits(1 << 63, 8)), EXPORT),
    "a capability that is not for such keys": (claiming(5, bits(1 << 12, 8)), EXPORT),
    "another device's serial number": (claiming(2, core.Integer(31_650_426).dump()), DEVICE_CHECK),
    "a device whose certificate has no serial number": (World(box=replace(BOX, extensions={})), FORMAT),
    "a serial number below zero": (claiming(2, core.Integer(-1).dump()), FORMAT),
    "a serial number of five bytes": (claiming(2, core.Integer(1 << 32).dump()), FORMAT),
    "an object id of three bytes": (claiming(6, core.Integer(1 << 16).dump()), FORMAT),
    "a firmware version of two bytes": (claiming(1, core.OctetString(b"\x02\x04").dump()), FORMAT),
    "domains in one byte": (claiming(4, bits(1, 1)), FORMAT),
    "capabilities in seven bytes": (claiming(5, bits(1, 7)), FORMAT),
    "an origin of two bytes": (claiming(3, bits(1, 2)), FORMAT),
    "an origin with an unused bit": (claiming(3, bytes.fromhex("03020102")), FORMAT),
    "an origin without a byte": (claiming(3, bytes.fromhex("0300")), FORMAT),
    "an origin that is a number": (claiming(3, core.Integer(1).dump()), FORMAT),
    "a serial number in two encodings": (claiming(2, bytes.fromhex("02050001e2f279")), FORMAT),
    "a serial number and a byte": (claiming(2, core.Integer(31_650_425).dump() + b"\x00"), FORMAT),
    "a label that is no UTF-8": (claiming(9, b"\x0c\x01\xff"), FORMAT),
    "a label of 41 bytes": (claiming(9, core.UTF8String("x" * 41).dump()), FORMAT),
    "a label with a line feed": (claiming(9, core.UTF8String("a\nb").dump()), FORMAT),
    **{f"no extension {number}": (without(number), FORMAT) for number in (1, 2, 3, 4, 5, 6, 9)},
}


@pytest.mark.parametrize(("world", "check"), CLAIMED.values(), ids=CLAIMED.keys())
def test_what_a_device_says_itself_is_refused(world: World, check: str) -> None:
    with pytest.raises(LogError) as refused:
        read(world)
    assert refused.value.check == check


def test_what_lets_a_key_out_is_named() -> None:
    with pytest.raises(LogError, match="exported under a wrap key"):
        read(claiming(5, bits(1 << 16, 8)))


CAPABLE = {
    "every capability of asymmetric keys but export": sum(1 << bit for bit in (5, 6, 7, 8, 9, 10, 11, 0x19, 0x22)),
    "none": 0,
}


@pytest.mark.parametrize("capabilities", CAPABLE.values(), ids=CAPABLE.keys())
def test_a_key_may_have(capabilities: int) -> None:
    assert read(claiming(5, bits(capabilities, 8))).claims.capabilities == capabilities


def test_domains_count_from_one() -> None:
    assert read(claiming(4, bits(0x8005, 2))).claims.domains == (1, 3, 16)


OTHER = Spec(name="device", key=private_key(9005), extensions=DEVICE, constraints=BOX.constraints)
NO_CA = replace(BOX, constraints=None)
ATTESTED_KEY = replace(KEY, extensions={**CLAIMS, **DEVICE})
FORGED = replace(KEY, key=private_key(9006), name="forged")
NO_USAGE = x509.KeyUsage(True, False, False, False, False, False, False, False, False)
SIGNS = x509.KeyUsage(False, False, False, False, False, True, False, False, False)
LATE = BORN + timedelta(days=300 * 365)
NOT_YET = replace(KEY, born=LATE, dies=LATE + timedelta(1))
CHAINS = {
    "without a root's certificate between": (pem((KEY, BOX), (BOX, SUB_CA)), CHAIN),
    "the key alone": (pem((KEY, BOX)), CHAIN),
    "no device between key and root": (pem((KEY, ROOT)), FORMAT),
    "another device signed": (pem((KEY, OTHER), (BOX, SUB_CA), (SUB_CA, ROOT)), CHAIN),
    "another sub-CA signed the device": (
        pem((KEY, BOX), (BOX, replace(SUB_CA, key=private_key(9007))), (SUB_CA, ROOT)),
        CHAIN,
    ),
    "another root of the same name signed": (
        pem((KEY, BOX), (BOX, SUB_CA), (SUB_CA, replace(ROOT, key=private_key(9008)))),
        CHAIN,
    ),
    "a device of another name signed": (
        pem((KEY, replace(BOX, name="another")), (BOX, SUB_CA), (SUB_CA, ROOT)),
        CHAIN,
    ),
    "out of order": (pem((BOX, SUB_CA), (KEY, BOX), (SUB_CA, ROOT)), CHAIN),
    "signed by itself": (pem((KEY, KEY)), CHAIN),
    "the device is no CA": (World(box=NO_CA).evidence, CHAIN),
    "the device is said to be no CA": (
        World(box=replace(BOX, constraints=x509.BasicConstraints(ca=False, path_length=None))).evidence,
        CHAIN,
    ),
    "an attested key attests another": (
        pem((FORGED, ATTESTED_KEY), (ATTESTED_KEY, BOX), (BOX, SUB_CA), (SUB_CA, ROOT)),
        CHAIN,
    ),
    "a device signs a CA": (
        pem((FORGED, replace(ATTESTED_KEY, constraints=CA)), (replace(ATTESTED_KEY, constraints=CA), BOX),
            (BOX, SUB_CA), (SUB_CA, ROOT)),
        CHAIN,
    ),
    "the device may not sign certificates": (World(box=replace(BOX, usage=NO_USAGE)).evidence, CHAIN),
    "a critical extension that nobody knows": (
        World(key=replace(KEY, critical=frozenset({f"{ARC}.3"}))).evidence,
        CHAIN,
    ),
    "the key's certificate is not valid yet": (World(key=NOT_YET).evidence, VALIDITY),
    "the device's certificate has expired": (World(box=replace(BOX, dies=BORN + timedelta(1))).evidence, VALIDITY),
    "the sub-CA has expired": (World(sub_ca=replace(SUB_CA, dies=BORN + timedelta(1))).evidence, VALIDITY),
}  # fmt: skip


# OpenSSL is asked whether it can build a chain, in whatever order, and not whether a device stands in it.
MORE_LENIENT = frozenset({"no device between key and root", "out of order"})


def openssl_accepts(evidence: bytes, root: bytes, folder: Path) -> bool:
    """Let OpenSSL check the chain: the first certificate below the others, up to the root."""
    first, *others = [one.public_bytes(Encoding.PEM) for one in load_certificates(evidence)]
    files = {"key": first, "others": b"".join(others) or first, "root": root}
    for name, content in files.items():
        (folder / name).write_bytes(content)
    command = ["openssl", "verify", "-attime", str(NOW), "-CAfile", "root", "-untrusted", "others", "key"]
    return subprocess.run(command, cwd=folder, capture_output=True, check=False, timeout=PATIENCE).returncode == 0


def test_openssl_accepts_the_honest_chain(tmp_path: Path) -> None:
    assert openssl_accepts(honest().evidence, honest().root_pem, tmp_path)


@pytest.mark.parametrize("name", CHAINS)
def test_is_no_chain(name: str, tmp_path: Path) -> None:
    evidence, check = CHAINS[name]
    with pytest.raises(LogError) as refused:
        YubiHsmReader().read(evidence, honest().root_pem, NOW)
    assert refused.value.check == check
    assert openssl_accepts(evidence, honest().root_pem, tmp_path) == (name in MORE_LENIENT)


def test_a_device_that_may_sign_certificates_and_says_so() -> None:
    assert read(World(box=replace(BOX, usage=SIGNS))).public == point(9004)


def test_a_hash_that_is_weaker_than_sha256() -> None:
    old = World(key=replace(KEY, hash=SHA224()))
    with pytest.raises(LogError, match="weaker than SHA-256") as refused:
        read(old)
    assert refused.value.check == CHAIN


MOMENTS = {
    "the first second": (int(BORN.timestamp()), None),
    "the last second": (int(DIES.timestamp()), None),
    "a second too early": (int(BORN.timestamp()) - 1, VALIDITY),
    "a second too late": (int(DIES.timestamp()) + 1, VALIDITY),
}


@pytest.mark.parametrize(("now", "check"), MOMENTS.values(), ids=MOMENTS.keys())
def test_valid_at(now: int, check: str | None) -> None:
    if check is None:
        assert read(honest(), now).public == point(9004)
        return
    with pytest.raises(LogError) as refused:
        read(honest(), now)
    assert refused.value.check == check


def test_a_root_that_has_expired() -> None:
    world = World(root=replace(ROOT, dies=BORN + timedelta(1)))
    with pytest.raises(LogError) as refused:
        read(world)
    assert refused.value.check == VALIDITY


def test_a_root_that_allows_fewer_cas() -> None:
    world = World(root=replace(ROOT, constraints=x509.BasicConstraints(ca=True, path_length=1)))
    with pytest.raises(LogError, match="path length") as refused:
        read(world)
    assert refused.value.check == CHAIN


KEYS = {
    "on another curve": ec.derive_private_key(5, ec.SECP384R1()),
    "on Bitcoin's curve, which is as long": ec.derive_private_key(5, ec.SECP256K1()),
    "RSA": rsa.generate_private_key(65_537, 2048),
}


@pytest.mark.parametrize("key", KEYS.values(), ids=KEYS.keys())
def test_is_no_key_of_ours(key: ec.EllipticCurvePrivateKey) -> None:
    with pytest.raises(LogError) as refused:
        read(World(key=replace(KEY, key=key)))
    assert refused.value.check == ATTESTED


ROOTS = {
    "no certificate": b"",
    "two certificates": honest().root_pem * 2,
    "a file that is too long": honest().root_pem + b"\n" * LIMIT,
    "seven certificates": honest().root_pem * 7,
    "a certificate cut short": b"-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n",
}


@pytest.mark.parametrize("root", ROOTS.values(), ids=ROOTS.keys())
def test_is_no_root(root: bytes) -> None:
    with pytest.raises(LogError) as refused:
        YubiHsmReader().read(honest().evidence, root, NOW)
    assert refused.value.check == FORMAT


def as_pem(der: bytes) -> bytes:
    text = base64.b64encode(der)
    return b"-----BEGIN CERTIFICATE-----\n" + text + b"\n-----END CERTIFICATE-----\n"


def test_more_certificates_than_any_chain_has() -> None:
    with pytest.raises(LogError, match="more than 6"):
        YubiHsmReader().read(honest().evidence * 3, honest().root_pem, NOW)


def test_no_byte_that_is_signed_can_be_changed() -> None:
    certificate = load_certificates(honest().evidence)[0]
    der, signed = certificate.public_bytes(Encoding.DER), certificate.tbs_certificate_bytes
    above = pem((BOX, SUB_CA), (SUB_CA, ROOT))
    start = der.index(signed)
    for position in range(start, start + len(signed)):
        changed = der[:position] + bytes([der[position] ^ 1]) + der[position + 1 :]
        with pytest.raises(LogError):
            YubiHsmReader().read(as_pem(changed) + above, honest().root_pem, NOW)


@given(st.binary(max_size=300))
def test_any_bytes_are_no_evidence(raw: bytes) -> None:
    for evidence in (raw, as_pem(raw)):
        with pytest.raises(LogError):
            YubiHsmReader().read(evidence, honest().root_pem, NOW)


@settings(max_examples=60)
@given(st.sampled_from([1, 2, 3, 4, 5, 6, 9]), st.binary(max_size=12))
def test_any_bytes_in_an_extension_are_a_value_or_refused(number: int, der: bytes) -> None:
    try:
        key = read(claiming(number, der))
    except LogError:
        return
    assert key.public == point(9004)
