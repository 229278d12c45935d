"""What a log says to a witness and what it hears (C2SP tlog-witness v1.0.0), and the witness's decision.

    old <size>
    <base64 hash>, 0 to 63 of them: the consistency proof
    <empty line>
    the signed checkpoint

The decision is a pure function of what the witness has kept of this log. Whoever carries it out makes the new state
durable, by check and set, before the cosignature leaves.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

from hsm_app.errors import LogError
from hsm_app.tlog.base64 import decode64, encode64
from hsm_app.tlog.checkpoint import Checkpoint, parse_number
from hsm_app.tlog.merkle import EMPTY_ROOT, HASH, PROOF_LIMIT, verify_consistency
from hsm_app.tlog.note import NOTE_LIMIT, Note, VerifierKey, parse_note

LIMIT = NOTE_LIMIT + 64 * 64  # bytes of a request
PATH = "/add-checkpoint"
SIZE_TYPE = "text/x.tlog.size"
OK, BAD_REQUEST, FORBIDDEN, NOT_FOUND, CONFLICT, UNPROCESSABLE = 200, 400, 403, 404, 409, 422


@dataclass(frozen=True, slots=True)
class AddCheckpoint:
    """A request that was read. `checkpoint` is what the note's text says; nothing is verified yet."""

    old: int
    proof: tuple[bytes, ...]
    note: Note = field(repr=False)
    checkpoint: Checkpoint


@dataclass(frozen=True, slots=True)
class Kept:
    """What a witness has kept of one log: the largest tree that it cosigned."""

    size: int = 0
    root: bytes = EMPTY_ROOT


@dataclass(frozen=True, slots=True)
class Decision:
    """An HTTP status and, unless it is OK, why. `keep` is to be durable before a cosignature is made."""

    status: int
    keep: Kept | None = None
    why: str = ""


def origin_hash(origin: str) -> str:
    """Return the hexadecimal SHA-256 of an origin: below it a witness publishes the log's last cosigned checkpoint."""
    return hashlib.sha256(origin.encode()).hexdigest()


def encode_request(old: int, proof: Sequence[bytes], note: bytes) -> bytes:
    """Return the body of a request."""
    return "".join(f"{line}\n" for line in (f"old {old}", *map(encode64, proof), "")).encode() + note


def parse_request(body: bytes) -> AddCheckpoint:
    """Read a request. LogError for anything else."""
    head, separator, raw = body.partition(b"\n\n")
    lines = head.decode(errors="replace").split("\n")
    word, _, old = lines[0].partition(" ")
    if len(body) > LIMIT or not separator or word != "old" or len(lines) > PROOF_LIMIT + 1:
        raise LogError("witnesses", "a request to a witness has not its lines: old, hashes, checkpoint")
    proof = tuple(decode64(line, "a hash of the proof") for line in lines[1:])
    if any(len(one) != HASH for one in proof):
        raise LogError("witnesses", "a hash of the proof has not 32 bytes")
    note = parse_note(raw)
    return AddCheckpoint(parse_number(old, "the old size"), proof, note, Checkpoint.parse_lines(note.text))


def decide(asked: AddCheckpoint, log: VerifierKey | None, kept: Kept) -> Decision:
    """Say whether the witness cosigns. `log` is the key of the checkpoint's origin, None when it is not known here."""
    if log is None:
        return Decision(NOT_FOUND, why="this witness does not know that log")
    new = asked.checkpoint
    try:
        asked.note.check_signed_by(log)
    except LogError as error:
        return Decision(FORBIDDEN, why=error.what)
    if asked.old > new.size:
        return Decision(BAD_REQUEST, why="the old size is larger than the checkpoint's")
    if asked.old != kept.size:
        return Decision(CONFLICT, keep=kept)
    try:
        verify_consistency(kept.size, new.size, kept.root, new.root, asked.proof)
    except LogError as error:
        return Decision(UNPROCESSABLE, why=error.what)
    return Decision(OK, keep=Kept(new.size, new.root))
