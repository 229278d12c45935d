"""The replica's token on SoftHSM: every operation against software that knows the public halves."""

from __future__ import annotations

import hashlib
import hmac
import shutil
from collections.abc import Callable
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pkcs11 import ObjectClass

from hsm_app.errors import ProtocolError, TokenError, VaultError
from hsm_app.model import WrappedKey
from hsm_app.opaque.group import (
    TWO_G,
    G,
    Point,
    SoftwareKey,
    check_point,
    encode,
    encode_uncompressed,
    multiply,
    negate,
)
from hsm_app.token.keyspec import EC_PUBLIC, IDENTITY, IDENTITY_KEY
from hsm_app.token.location import load_module
from hsm_app.token.objects import find_one, make_ec_pair, shared_x
from hsm_app.token.replica_token import Pkcs11Token
from tests.token.fresh import ReplicaToken, known_key, user

CURVE = ec.SECP256R1()
SCALAR = 0x159749D750713AFE245D2D39CCFAAE8381C53CE92D098A9375EE70739C7AC0BF  # RFC 9497 appendix A.3.1.1, skSm


def key_pair() -> tuple[ec.EllipticCurvePrivateKey, bytes]:
    key = ec.generate_private_key(CURVE)
    return key, key.public_key().public_bytes(Encoding.X962, PublicFormat.CompressedPoint)


def agree(key: ec.EllipticCurvePrivateKey, public: bytes) -> bytes:
    return key.exchange(ec.ECDH(), ec.EllipticCurvePublicKey.from_encoded_point(CURVE, public))


def objects(token: Pkcs11Token) -> int:
    return sum(1 for _ in token._session.get_objects())


def test_kem_shared_x_is_diffie_hellman_with_the_manifests_key(token: Pkcs11Token, sealed_token: ReplicaToken) -> None:
    key, public = key_pair()
    enc = encode_uncompressed(check_point(public))
    assert token.kem_shared_x(enc) == agree(key, sealed_token.commitments.kem_public)


def test_opaque_dh_is_the_whole_point(token: Pkcs11Token, sealed_token: ReplicaToken) -> None:
    for scalar in (1, 2, 3, 2**255 - 19, SCALAR):
        key = SoftwareKey(scalar)
        expected = key.times(check_point(sealed_token.commitments.opaque_public))
        assert token.opaque_dh(encode(key.public)) == encode(expected)


@pytest.mark.parametrize(
    "point", [G, negate(G), TWO_G, negate(TWO_G)], ids=["the generator", "its negative", "twice it", "minus twice it"]
)
def test_multiplication_on_a_key_of_known_scalar(sealed_token: ReplicaToken, point: Point) -> None:
    with user(sealed_token.location) as session:
        key = known_key(session, SCALAR)
        known = SoftwareKey(SCALAR)
        assert multiply(lambda asked: shared_x(key, asked), known.public, point) == known.times(point)


def test_multiplication_where_the_sum_is_the_negative_of_the_key(sealed_token: ReplicaToken) -> None:
    """k(B + G) = -K for B = -2G, and S = K for B = G: the corners of the formula, on the device."""
    with user(sealed_token.location) as session:
        key, known = known_key(session, 2), SoftwareKey(2)
        for point in (G, negate(G), TWO_G, negate(TWO_G)):
            assert multiply(lambda asked: shared_x(key, asked), known.public, point) == known.times(point)


def test_a_record_key_evaluates_the_same_before_and_after_wrapping(token: Pkcs11Token) -> None:
    blind = SoftwareKey(SCALAR)
    key, evaluated = token.create_record_key(encode(blind.public))
    assert evaluated == token.evaluate(key, encode(blind.public))
    assert evaluated == encode(blind.times(check_point(key.public)))  # b(kG) = k(bG)


def test_every_registration_has_a_key_of_its_own(token: Pkcs11Token) -> None:
    blinded = encode(TWO_G)
    made = [token.create_record_key(blinded) for _ in range(3)]
    assert len({key.public for key, _ in made} | {evaluated for _, evaluated in made}) == 6


NO_POINTS = {
    "off the curve": b"\x04" + bytes(63) + b"\x01",
    "infinity": b"\x00",
    "an x that no point has": b"\x02" + b"\xff" * 32,
    "too short": encode(TWO_G)[:-1],
    "too long": encode(TWO_G) + b"\x00",
    "hybrid form": b"\x06" + encode_uncompressed(TWO_G)[1:],
    "nothing": b"",
}
POINT_CALLS: dict[str, Callable[[Pkcs11Token, bytes], object]] = {
    "kem_shared_x": lambda token, point: token.kem_shared_x(point),
    "opaque_dh": lambda token, point: token.opaque_dh(point),
    "create_record_key": lambda token, point: token.create_record_key(point),
    "evaluate": lambda token, point: token.evaluate(WrappedKey(blob=b"", public=encode(G)), point),
    "link_keys": lambda token, point: token.link_keys(point, b"transcript"),
}


@pytest.mark.parametrize("point", NO_POINTS.values(), ids=NO_POINTS.keys())
@pytest.mark.parametrize("call", POINT_CALLS.values(), ids=POINT_CALLS.keys())
def test_what_is_no_point_never_reaches_the_device(
    token: Pkcs11Token, call: Callable[[Pkcs11Token, bytes], object], point: bytes
) -> None:
    before = token._objects
    with pytest.raises(ProtocolError):
        call(token, point)
    assert token._objects == before


def test_the_kem_takes_only_the_uncompressed_form(token: Pkcs11Token) -> None:
    """RFC 9180 section 7.1.1: one encoding of each `enc`, or a relay could make two requests of one."""
    with pytest.raises(ProtocolError):
        token.kem_shared_x(encode(TWO_G))


BAD_KEYS: dict[str, Callable[[WrappedKey], WrappedKey]] = {
    "a flipped bit": lambda key: replace(key, blob=key.blob[:40] + bytes([key.blob[40] ^ 1]) + key.blob[41:]),
    "a truncated blob": lambda key: replace(key, blob=key.blob[:-8]),
    "an empty blob": lambda key: replace(key, blob=b""),
    "another mechanism's tag": lambda key: replace(key, blob=b"\x02" + key.blob[1:]),
    "another make of token": lambda key: replace(key, blob=key.blob[:1] + b"NSS" + key.blob[4:]),
    "another key's public half": lambda key: replace(key, public=encode(TWO_G)),
    "a public half that is no point": lambda key: replace(key, public=b"\x02" + b"\xff" * 32),
}


@pytest.mark.parametrize("damage", BAD_KEYS.values(), ids=BAD_KEYS.keys())
def test_a_damaged_record_key_is_refused_and_leaves_nothing_behind(
    token: Pkcs11Token, damage: Callable[[WrappedKey], WrappedKey]
) -> None:
    key, _ = token.create_record_key(encode(TWO_G))
    before = objects(token)
    with pytest.raises(TokenError):
        token.evaluate(damage(key), encode(TWO_G))
    assert objects(token) == before


def test_no_operation_leaves_an_object_behind(token: Pkcs11Token) -> None:
    before = objects(token)
    _, public = key_pair()
    key, _ = token.create_record_key(public)
    token.evaluate(key, public)
    token.opaque_dh(public)
    token.kem_shared_x(encode_uncompressed(check_point(public)))
    token.link_keys(public, b"transcript")
    assert objects(token) == before == 7  # three of the token, four of the fleet


def test_message_keys_depend_on_purpose_and_nonce(token: Pkcs11Token) -> None:
    nonce = bytes(32)
    keys = {
        token.message_key(b"record", nonce),
        token.message_key(b"ticket", nonce),
        token.record_id(b"record" + nonce),
    }
    assert len(keys) == 3
    assert token.message_key(b"record", nonce) in keys
    with pytest.raises(TokenError):
        token.message_key(b"record", bytes(31))


def test_two_replicas_share_fleet_keys_and_not_their_own(token: Pkcs11Token, sealed_token: ReplicaToken) -> None:
    """The manifest's check values are the same HMACs, so both sides of the comparison are the token's."""
    token.check_replica_keys(identity_public=sealed_token.identity_public, link_public=sealed_token.link_public)
    for wrong in (
        {"identity_public": encode(TWO_G), "link_public": sealed_token.link_public},
        {"identity_public": sealed_token.identity_public, "link_public": encode(TWO_G)},
    ):
        with pytest.raises(TokenError, match="manifest names"):
            token.check_replica_keys(**wrong)


def test_signatures_verify_in_software(token: Pkcs11Token, sealed_token: ReplicaToken) -> None:
    message = b"status report"
    signature = token.sign(message)
    assert len(signature) == 64
    encoded = utils.encode_dss_signature(*(int.from_bytes(part, "big") for part in (signature[:32], signature[32:])))
    public = ec.EllipticCurvePublicKey.from_encoded_point(CURVE, sealed_token.identity_public)
    public.verify(encoded, message, ec.ECDSA(SHA256()))


def test_both_ends_of_a_link_derive_the_same_keys(token: Pkcs11Token, sealed_token: ReplicaToken) -> None:
    key, public = key_pair()
    shared = agree(key, sealed_token.link_public)
    keys = token.link_keys(public, b"transcript")
    assert keys.dialler == hmac.digest(shared, b"transcripthsm-vault/link/v1/dialler", "sha256")
    assert keys.listener == hmac.digest(shared, b"transcripthsm-vault/link/v1/listener", "sha256")
    assert token.link_keys(public, b"another") != keys
    assert keys.dialler.hex() not in repr(keys)


def test_random_bytes_come_in_any_length_and_never_twice(token: Pkcs11Token) -> None:
    drawn = [token.random(length) for length in (1, 32, 4096, 5000, 0, 32, 4090, 32)]
    assert [len(part) for part in drawn] == [1, 32, 4096, 5000, 0, 32, 4090, 32]
    chunks = [part[i : i + 16] for part in drawn for i in range(0, len(part) - 15, 16)]
    assert len(set(chunks)) == len(chunks)


def test_reopening_keeps_the_keys(token: Pkcs11Token) -> None:
    key, evaluated = token.create_record_key(encode(TWO_G))
    sealed, subject = token.message_key(b"record", bytes(32)), token.record_id(b"subject")
    token.reopen()
    assert token.evaluate(key, encode(TWO_G)) == evaluated
    assert (token.message_key(b"record", bytes(32)), token.record_id(b"subject")) == (sealed, subject)


def test_reopening_proves_the_replicas_own_keys_again(replica: ReplicaToken) -> None:
    """While the module is down, somebody puts another identity in its place."""
    token = replica.open()
    token.check_replica_keys(identity_public=replica.identity_public, link_public=replica.link_public)
    token.reopen()
    token.close()
    with user(replica.location) as session:
        find_one(session, IDENTITY, ObjectClass.PRIVATE_KEY).destroy()
        make_ec_pair(session, EC_PUBLIC, IDENTITY_KEY)
    token._module = load_module(replica.location)
    with pytest.raises(TokenError, match="replica-identity is not the key that the manifest names"):
        token.reopen()
    token.close()


def test_reopening_between_jobs_only_after_enough_objects(sealed_token: ReplicaToken) -> None:
    token = sealed_token.open(recycle_after=5)
    try:
        session = token._session
        token.opaque_dh(encode(TWO_G))
        token.opaque_dh(encode(TWO_G))
        token.between_jobs()
        assert token._session is session
        token.kem_shared_x(encode_uncompressed(TWO_G))
        token.between_jobs()
        assert token._session is not session
        assert token._objects < 5
    finally:
        token.close()


GONE_CALLS: dict[str, Callable[[Pkcs11Token, WrappedKey], object]] = {
    "sign": lambda token, _: token.sign(b"x"),
    "evaluate": lambda token, key: token.evaluate(key, encode(TWO_G)),
    "create_record_key": lambda token, _: token.create_record_key(encode(TWO_G)),
    "link_keys": lambda token, _: token.link_keys(encode(TWO_G), b"x"),
    "reopen": lambda token, _: token.reopen(),
}


@pytest.mark.parametrize("call", GONE_CALLS.values(), ids=GONE_CALLS.keys())
def test_a_token_that_vanishes(replica: ReplicaToken, call: Callable[[Pkcs11Token, WrappedKey], object]) -> None:
    token = replica.open()
    try:
        key, _ = token.create_record_key(encode(TWO_G))
        assert replica.location.softhsm2_conf is not None
        shutil.rmtree(replica.location.softhsm2_conf.parent / "tokens")
        with pytest.raises(TokenError, match="Check that the device is connected"):
            call(token, key)
    finally:
        token.close()


def test_a_token_that_vanished_and_came_back_opens_again(replica: ReplicaToken) -> None:
    assert replica.location.softhsm2_conf is not None
    tokens = replica.location.softhsm2_conf.parent / "tokens"
    token = replica.open()
    tokens.rename(tokens.with_name("away"))
    with pytest.raises(TokenError):
        token.sign(b"x")
    token.close()
    tokens.with_name("away").rename(tokens)
    token = replica.open()
    token.sign(b"x")
    token.close()


def test_the_fleet_keys_of_another_fleet_are_refused(sealed_token: ReplicaToken) -> None:
    """The public half in the file does not count, only the manifest's."""
    with pytest.raises(TokenError, match="fleet-kem is not the key that the manifest names"):
        replace(sealed_token, commitments=replace(sealed_token.commitments, kem_public=encode(TWO_G))).open()
    for name in ("seal_check", "id_check"):
        wrong = replace(sealed_token.commitments, **{name: hashlib.sha256(b"").digest()})
        with pytest.raises(TokenError, match="is not the key that the manifest names"):
            replace(sealed_token, commitments=wrong).open()


def test_no_error_says_a_secret(token: Pkcs11Token) -> None:
    key, _ = token.create_record_key(encode(TWO_G))
    with pytest.raises(VaultError) as caught:
        token.evaluate(replace(key, public=encode(TWO_G)), encode(TWO_G))
    assert key.blob.hex() not in str(caught.value)
    assert "user-pin" not in repr(token)
