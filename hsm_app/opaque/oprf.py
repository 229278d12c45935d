"""The oblivious pseudorandom function: RFC 9497, mode OPRF (0x00), suite P256-SHA256 (section 4.3).

The client blinds its input, the server multiplies the blinded element by its key (BlindEvaluate: one multiplication,
done in the token), and the client takes the blind off and hashes. The server learns nothing of the input.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from hsm_app.errors import ProtocolError
from hsm_app.opaque.group import N, Point, SoftwareKey, check_point, encode
from hsm_app.opaque.hash_to_curve import hash_to_curve, hash_to_scalar

CONTEXT = b"OPRFV1-\x00-P256-SHA256"  # section 3.1
HASH_TO_GROUP = b"HashToGroup-" + CONTEXT
DERIVE_KEY_PAIR = b"DeriveKeyPair" + CONTEXT
INPUT_LIMIT = (1 << 16) - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Blinded:
    """The client's state between its two steps, and `element` (33 bytes) for the server."""

    message: bytes = field(repr=False)
    blind: int = field(repr=False)
    element: bytes


def blind(message: bytes, scalar: int) -> Blinded:
    """Blind `message` (section 3.3.1). `scalar` is uniform in 1 to N - 1. ProtocolError when it is not in there."""
    if len(message) > INPUT_LIMIT:
        raise ProtocolError("the input of the OPRF is longer than 65535 bytes")
    try:
        element = hash_to_curve(message, HASH_TO_GROUP)
    except ValueError:  # infinity: happens with probability 2^-256 (section 3.3.1, InvalidInputError)
        raise ProtocolError("this input cannot be hashed to the curve", "Choose another code") from None
    return Blinded(message=message, blind=scalar, element=encode(SoftwareKey(scalar).times(element)))


def finalize(state: Blinded, evaluated: bytes) -> bytes:
    """Return the 32-byte output (section 3.3.1).

    ProtocolError for a malformed element, and for the blinded element or its negative: a server that sends the client's
    own element back acts with key 1 or -1, so its output could be computed by everyone.
    """
    point = check_point(evaluated)
    if encode(point)[1:] == state.element[1:]:
        raise ProtocolError("the server sent the client's own element back", "Do not trust this server")
    return _hash_output(state.message, unblind(state.blind, point))


def unblind(scalar: int, evaluated: Point) -> bytes:
    """Return the serialised point without the blind."""
    return encode(SoftwareKey(pow(scalar, -1, N)).times(evaluated))


def _hash_output(message: bytes, element: bytes) -> bytes:
    parts = len(message).to_bytes(2, "big") + message + len(element).to_bytes(2, "big") + element
    return hashlib.sha256(parts + b"Finalize").digest()


def derive_key(seed: bytes, info: bytes) -> int:
    """Return the private scalar of DeriveKeyPair (section 3.2.1). `seed`: 32 bytes."""
    derive_input = seed + len(info).to_bytes(2, "big") + info
    for counter in range(256):
        scalar = hash_to_scalar(derive_input + bytes((counter,)), DERIVE_KEY_PAIR)
        if scalar:
            return scalar
    raise ProtocolError("no key can be derived from this seed")  # probability 2^-65536
