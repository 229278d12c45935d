"""Cosignatures of witnesses (C2SP tlog-cosignature v1.0.1, kind 0x04).

    blob    = time (8 bytes, big-endian POSIX seconds) || Ed25519 signature (64)
    message = "cosignature/v1" LF "time " decimal LF || the checkpoint's whole text

It says: as of that time, this is the largest consistent tree of this origin that I have seen. The message does not name
the witness, so one key belongs to one witness.
"""

from __future__ import annotations

from collections.abc import Callable

from hsm_app.errors import LogError
from hsm_app.tlog.note import Note, NoteSignature, VerifierKey

TIME = 8
BLOB = TIME + 64
TIME_LIMIT = (1 << 63) - 1


def message(at: int, text: bytes) -> bytes:
    """Return what a witness signs about a checkpoint's text at POSIX second `at`."""
    return b"cosignature/v1\ntime %d\n" % at + text


def cosign(text: bytes, key: VerifierKey, at: int, sign: Callable[[bytes], bytes]) -> NoteSignature:
    """Make a witness's line; `sign` makes the Ed25519 signature of `key`, which is checked before it is used."""
    made = NoteSignature(key.name, key.key_id, at.to_bytes(TIME, "big") + sign(message(at, text)))
    cosigned_at(Note(text, (made,)), key)
    return made


def cosigned_at(note: Note, key: VerifierKey) -> int | None:
    """Return when a witness last cosigned the note, None when it did not. LogError for a line that does not hold."""
    times = [_time(note.text, line, key) for line in note.of(key)]
    return max(times, default=None)


def _time(text: bytes, line: NoteSignature, key: VerifierKey) -> int:
    at = int.from_bytes(line.blob[:TIME], "big")
    if len(line.blob) != BLOB or at > TIME_LIMIT or not key.verify(message(at, text), line.blob[TIME:]):
        raise LogError("witnesses", f"the cosignature of {key.name} does not hold")
    return at
