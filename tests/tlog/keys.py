"""Keys of a log and of witnesses, made from fixed seeds."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hsm_app.tlog.checkpoint import Checkpoint
from hsm_app.tlog.cosignature import cosign
from hsm_app.tlog.note import COSIGNATURE, ED25519, Note, NoteSignature, VerifierKey, sign_note

ORIGIN = "log.example/fleets"
NOW = 1_793_000_000


def private(number: int) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32)


def public(number: int) -> bytes:
    return private(number).public_key().public_bytes_raw()


LOG = VerifierKey(ORIGIN, ED25519, public(1))
WITNESSES = [VerifierKey(f"witness-{number}.example", COSIGNATURE, public(10 + number)) for number in range(3)]


def cosignature(text: bytes, number: int, at: int = NOW) -> NoteSignature:
    return cosign(text, WITNESSES[number], at, private(10 + number).sign)


def signed(checkpoint: Checkpoint, *witnesses: int, at: int = NOW) -> Note:
    """A checkpoint signed by the log and cosigned by these witnesses."""
    note = sign_note(checkpoint.to_text(), LOG, private(1).sign)
    return note.with_signatures([cosignature(note.text, number, at) for number in witnesses])
