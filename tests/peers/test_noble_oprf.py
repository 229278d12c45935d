"""RFC 9497 and RFC 9380 against @noble/curves: random inputs, blinded on one side and evaluated on the other."""

from __future__ import annotations

import random
import secrets

import pytest

from hsm_app.opaque import oprf
from hsm_app.opaque.client import scalar_from
from hsm_app.opaque.group import SoftwareKey, check_point, encode
from hsm_app.opaque.hash_to_curve import hash_to_curve
from hsm_app.token.replica_token import Pkcs11Token
from tests.peers.peer import Peer, PeerError

SOURCE = random.Random(9497)  # the same on every core that takes part; scalars and seeds are new in each run
INPUTS = [b"", b"\0", b"code", *(SOURCE.randbytes(SOURCE.randrange(200)) for _ in range(30))]
inputs = pytest.mark.parametrize("message", INPUTS, ids=[message.hex()[:16] or "empty" for message in INPUTS])


def random_scalar() -> int:
    return scalar_from(secrets.token_bytes(48))


@inputs
def test_our_client_and_its_server_agree_with_its_own_evaluation(peer: Peer, message: bytes) -> None:
    key = random_scalar().to_bytes(32, "big")
    state = oprf.blind(message, random_scalar())
    evaluated = peer.call("noble.oprf.blindEvaluate", key, state.element)
    assert oprf.finalize(state, evaluated) == peer.call("noble.oprf.evaluate", key, message)


@inputs
def test_its_client_and_our_key_in_memory_agree(peer: Peer, message: bytes) -> None:
    scalar = random_scalar()
    theirs = peer.call("noble.oprf.blind", message)
    evaluated = encode(SoftwareKey(scalar).times(check_point(theirs["blinded"])))
    output = peer.call("noble.oprf.finalize", message, theirs["blind"], evaluated)
    assert output == peer.call("noble.oprf.evaluate", scalar.to_bytes(32, "big"), message)


@inputs
def test_its_client_and_ours_get_one_output_of_a_record_key_in_the_token(
    peer: Peer, token: Pkcs11Token, message: bytes
) -> None:
    ours, theirs = oprf.blind(message, random_scalar()), peer.call("noble.oprf.blind", message)
    key, evaluated = token.create_record_key(ours.element)
    output = oprf.finalize(ours, evaluated)
    evaluated = token.evaluate(key, theirs["blinded"])
    assert peer.call("noble.oprf.finalize", message, theirs["blind"], evaluated) == output


@inputs
def test_a_blind_of_one_side_fits_the_other(peer: Peer, message: bytes) -> None:
    theirs = peer.call("noble.oprf.blind", message)
    assert oprf.blind(message, int.from_bytes(theirs["blind"], "big")).element == theirs["blinded"]


@inputs
def test_keys_derive_alike(peer: Peer, message: bytes) -> None:
    seed = secrets.token_bytes(32)
    theirs = peer.call("noble.oprf.deriveKeyPair", seed, message)
    scalar = oprf.derive_key(seed, message)
    assert scalar.to_bytes(32, "big") == theirs["secretKey"]
    assert encode(SoftwareKey(scalar).public) == theirs["publicKey"]


@pytest.mark.parametrize("domain", [b"D", b"D" * 255, b"D" * 256, b"D" * 1000], ids=len)
def test_hashes_to_the_curve_are_alike(peer: Peer, domain: bytes) -> None:
    for message in INPUTS:
        assert encode(hash_to_curve(message, domain)) == peer.call("noble.hashToCurve", message, domain)


@pytest.mark.parametrize("element", [bytes(33), b"\x02" + (1).to_bytes(32, "big"), b"\0"], ids=bytes.hex)
def test_it_refuses_what_we_refuse(peer: Peer, element: bytes) -> None:
    with pytest.raises(PeerError):
        peer.call("noble.oprf.blindEvaluate", random_scalar().to_bytes(32, "big"), element)
