"""Signed envelopes (DSSE v1.0.2): a payload, its type, and signatures over both.

What is signed is PAE(type, payload) = "DSSEv1" SP len(type) SP type SP len(payload) SP payload. The payload is opaque:
the bytes that are verified are the bytes that are read afterwards. An envelope is one line of JSON, at most 64 KiB, and
is kept as it came. A key id is a hint that nobody signed; what counts is how many different keys signed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from hsm_app.errors import ConfigError, LogError
from hsm_app.fleet.role_keys import RoleKey, Signer
from hsm_app.fleet.strict_json import Node, load_document
from hsm_app.tlog.base64 import decode64, encode64

LIMIT = 64 * 1024  # bytes
SIGNATURES_LIMIT = 16
_TYPE = re.compile(r"[\x21-\x7e]{1,200}")
_KEY_ID = re.compile(r"[\x20-\x7e]{0,200}")
_BASE64 = re.compile(r"[A-Za-z0-9+/]*={0,2}")


def pae(payload_type: str, payload: bytes) -> bytes:
    """Return the pre-authentication encoding: what is signed."""
    return b"DSSEv1 %d %s %d %s" % (len(payload_type.encode()), payload_type.encode(), len(payload), payload)


@dataclass(frozen=True, slots=True)
class EnvelopeSignature:
    """`key_id` is what the envelope says; nobody vouches for it."""

    key_id: str
    signature: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Envelope:
    """An envelope that was read, and verified by nobody. `raw` are its bytes without a line feed."""

    payload_type: str
    payload: bytes = field(repr=False)
    signatures: tuple[EnvelopeSignature, ...]
    raw: bytes = field(repr=False)

    def signers(self, keys: Iterable[RoleKey]) -> frozenset[str]:
        """Return the ids of those of `keys` that signed; a key that signed twice is one."""
        message = pae(self.payload_type, self.payload)
        return frozenset(key.id for key in keys if any(key.holds(message, one.signature) for one in self.signatures))


def sign_envelope(payload_type: str, payload: bytes, signers: Sequence[Signer]) -> bytes:
    """Return the envelope of a payload, signed by all of `signers`; each signature is verified before it is used."""
    message = pae(payload_type, payload)
    signatures = []
    for signer in signers:
        signature = signer.sign(message)
        if not signer.key.holds(message, signature):
            raise LogError("auditor-signature", f"the key {signer.key.id} made a signature that does not hold")
        signatures.append((signer.key.id, signature))
    raw = _encode(payload_type, payload, signatures)
    parse_envelope(raw, payload_type)
    return raw


def _encode(payload_type: str, payload: bytes, signatures: Sequence[tuple[str, bytes]]) -> bytes:
    document = {
        "payloadType": payload_type,
        "payload": encode64(payload),
        "signatures": [{"keyid": key_id, "sig": encode64(signature)} for key_id, signature in signatures],
    }
    return json.dumps(document, separators=(",", ":")).encode()


def combine_envelopes(envelopes: Sequence[Envelope]) -> bytes:
    """Return one envelope with all signatures of envelopes over the same payload, each signature once.

    For parties who sign apart from each other. Nothing is verified. LogError when they are not over the same.
    """
    first = envelopes[0]
    if any((one.payload_type, one.payload) != (first.payload_type, first.payload) for one in envelopes):
        raise LogError("artifact", "the envelopes are over different payloads", "Have all of them sign the same file")
    signatures = {one.signature: one.key_id for envelope in envelopes for one in envelope.signatures}
    raw = _encode(first.payload_type, first.payload, [(key, made) for made, key in signatures.items()])
    parse_envelope(raw, first.payload_type)
    return raw


def parse_envelope(raw: bytes, payload_type: str) -> Envelope:
    """Read an envelope of this type. LogError ("artifact") for anything else; `signers` says who signed it."""
    try:
        return _parse(raw, payload_type)
    except ConfigError as error:
        raise LogError("artifact", error.what, error.todo) from None


def _parse(raw: bytes, payload_type: str) -> Envelope:
    if b"\n" in raw:
        raise LogError("artifact", "an envelope has more than one line")
    of = load_document(raw, "envelope", LIMIT).members("payloadType", "payload", "signatures")
    if of("payloadType").text(_TYPE) != payload_type:
        raise LogError("artifact", f"an envelope's type is not {payload_type}")
    return Envelope(
        payload_type=payload_type,
        payload=decode64(of("payload").text(_BASE64), "the payload of an envelope"),
        signatures=tuple(_signature(node) for node in of("signatures").items(1, SIGNATURES_LIMIT)),
        raw=raw,
    )


def _signature(node: Node) -> EnvelopeSignature:
    of = node.members("keyid", "sig")
    return EnvelopeSignature(of("keyid").text(_KEY_ID), decode64(of("sig").text(_BASE64), "a signature"))
