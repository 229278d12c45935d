"""Checkpoints (C2SP tlog-checkpoint v1.0.0): a log's size and root at one moment, as the text of a signed note."""

from __future__ import annotations

import re
from dataclasses import dataclass

from hsm_app.errors import LogError
from hsm_app.tlog.base64 import decode64, encode64
from hsm_app.tlog.merkle import EMPTY_ROOT, HASH, SIZE_LIMIT
from hsm_app.tlog.note import Note, VerifierKey, parse_note

_DECIMAL = re.compile(r"0|[1-9][0-9]{0,18}")
_ORIGIN = re.compile(r"[^\x00-\x1f]{1,255}")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """`origin` names the log for ever, `size` counts its leaves, `root` has 32 bytes. Extensions are not made here."""

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    def to_text(self) -> bytes:
        """Return the bytes that the log signs."""
        lines = (self.origin, str(self.size), encode64(self.root), *self.extensions)
        return "".join(f"{line}\n" for line in lines).encode()

    @classmethod
    def parse(cls, text: bytes) -> Checkpoint:
        """Read a note's text. LogError for anything but the one encoding of a checkpoint that a log can have."""
        checkpoint = cls.parse_lines(text)
        if checkpoint.size == 0 and checkpoint.root != EMPTY_ROOT:
            raise LogError("proof", "a checkpoint has a root that no tree of its size has")
        return checkpoint

    @classmethod
    def parse_lines(cls, text: bytes) -> Checkpoint:
        """Read what the lines say, for a witness, who has an answer of its own for an empty tree with another root."""
        lines = text.decode(errors="replace").split("\n")
        if len(lines) < 4 or lines[-1] or not all(lines[:-1]) or not _ORIGIN.fullmatch(lines[0]):
            raise LogError("proof", "a checkpoint has not its lines: origin, size, root")
        size = parse_number(lines[1], "the size of a checkpoint")
        checkpoint = cls(lines[0], size, decode64(lines[2], "the root of a checkpoint"), tuple(lines[3:-1]))
        if len(checkpoint.root) != HASH:
            raise LogError("proof", f"a checkpoint has a root of {len(checkpoint.root)} bytes")
        if checkpoint.to_text() != text:
            raise LogError("proof", "a checkpoint is not in its one encoding")
        return checkpoint


def parse_number(text: str, what: str) -> int:
    """Read ASCII decimal digits without a leading zero, up to 2^63 - 1. LogError for anything else."""
    if not _DECIMAL.fullmatch(text) or int(text) > SIZE_LIMIT:
        raise LogError("proof", f"{what} is not a decimal number")
    return int(text)


def signed_checkpoint(raw: bytes, log: VerifierKey, origin: str) -> tuple[Note, Checkpoint]:
    """Read a note that is a checkpoint of this log, signed by its key. LogError for anything else."""
    note = parse_note(raw)
    checkpoint = Checkpoint.parse(note.text)
    if checkpoint.origin != origin:
        raise LogError("inclusion", f"the checkpoint is of the log {checkpoint.origin}, not of {origin}")
    note.check_signed_by(log)
    return note, checkpoint
