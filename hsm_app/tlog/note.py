"""Signed notes (C2SP signed-note v1.0.0): a text, an empty line, and one line for each signature.

    text, which ends with a line feed
    <empty line>
    U+2014 SP name SP base64(key id (4) || signature) LF, once or more

The signed bytes are the text with its last line feed. Two kinds of keys are understood here: Ed25519 over the text
itself (0x01, of logs) and timestamped cosignatures (0x04, of witnesses, `tlog.cosignature`). Lines of unknown keys and
kinds are passed over, as the format demands; a line of a known key that does not hold refuses the whole note.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from hsm_app.errors import LogError
from hsm_app.tlog.base64 import decode64, encode64

ED25519, COSIGNATURE = 0x01, 0x04
KEY_ID = 4  # bytes
PUBLIC = 32
NOTE_LIMIT = 64 * 1024  # bytes
SIGNATURES_LIMIT = 64  # lines; the format demands 16 at least
NAME_LIMIT = 255  # characters
DASH = "\u2014"
_NAME = re.compile(r"[^\s+\x00-\x20]+")
_LINE = re.compile(rf"{DASH} ([^\s+\x00-\x20]+) ([A-Za-z0-9+/]+={{0,2}})")


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """Whose signature, of which kind: `public` is an Ed25519 key of 32 bytes. The name is part of the key's id."""

    name: str
    kind: int
    public: bytes

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name) or len(self.name) > NAME_LIMIT:
            raise LogError("proof", "the name of a note's key is empty, or holds a space or a plus sign")
        if self.kind not in (ED25519, COSIGNATURE) or len(self.public) != PUBLIC:
            raise LogError("proof", f"the key of {self.name} is neither Ed25519 (1) nor a cosignature's (4)")

    @property
    def key_id(self) -> bytes:
        """Return the first four bytes of SHA-256(name || LF || kind || public key): a hint, not an identity."""
        return hashlib.sha256(self.name.encode() + b"\n" + bytes([self.kind]) + self.public).digest()[:KEY_ID]

    @property
    def text(self) -> str:
        """Return the vkey: name+id+key."""
        return f"{self.name}+{self.key_id.hex()}+{encode64(bytes([self.kind]) + self.public)}"

    @classmethod
    def parse(cls, text: str) -> VerifierKey:
        """Read a vkey. LogError when it is none, is of another kind, or its id is not that of its key."""
        name, _, rest = text.partition("+")
        key_id, _, encoded = rest.partition("+")
        data = decode64(encoded, f"the key of {name}")
        if not data:
            raise LogError("proof", f"{text[:80]!r} is no verifier key")
        key = cls(name, data[0], data[1:])
        if key.key_id.hex() != key_id:
            raise LogError("proof", f"the id in the verifier key of {name} is not that of its key")
        return key

    def verify(self, message: bytes, signature: bytes) -> bool:
        """Say whether `signature` (64 bytes) is this key's over `message`."""
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, message)
        except (InvalidSignature, ValueError):
            return False
        return True


@dataclass(frozen=True, slots=True)
class NoteSignature:
    """One line: `blob` is what follows the key's id."""

    name: str
    key_id: bytes
    blob: bytes

    def line(self) -> str:
        return f"{DASH} {self.name} {encode64(self.key_id + self.blob)}\n"

    def is_of(self, key: VerifierKey) -> bool:
        return (self.name, self.key_id) == (key.name, key.key_id)


@dataclass(frozen=True, slots=True)
class Note:
    """`text` is what is signed."""

    text: bytes
    signatures: tuple[NoteSignature, ...] = field(repr=False)

    def to_bytes(self) -> bytes:
        return self.text + b"\n" + "".join(one.line() for one in self.signatures).encode()

    def with_signatures(self, more: Iterable[NoteSignature]) -> Note:
        """Return the note with these lines behind its own; a line that it has already is not repeated."""
        new = [one for one in more if one not in self.signatures]
        return Note(self.text, (*self.signatures, *new))

    def of(self, key: VerifierKey) -> list[NoteSignature]:
        """Return the lines that say they are of this key."""
        return [one for one in self.signatures if one.is_of(key)]

    def check_signed_by(self, key: VerifierKey) -> None:
        """LogError unless a log's key signed the text; any line of the key that does not hold is enough to refuse."""
        lines = self.of(key)
        if not lines or not all(key.verify(self.text, one.blob) for one in lines):
            raise LogError("inclusion", f"the note is not signed by {key.name}")


def parse_note(raw: bytes) -> Note:
    """Read a signed note of at most 64 KiB and 64 signatures. LogError for anything else."""
    if len(raw) > NOTE_LIMIT:
        raise LogError("proof", f"a note has {len(raw)} bytes, more than {NOTE_LIMIT}")
    text, separator, lines = raw.rpartition(b"\n\n")
    signatures = _signatures(lines)
    check_text(text + b"\n")
    if not separator:
        raise LogError("proof", "a note has no signatures")
    return Note(text + b"\n", tuple(signatures))


def check_text(text: bytes) -> None:
    """LogError unless `text` can be signed: UTF-8 without control characters but line feeds, and one at its end."""
    try:
        decoded = text.decode()
    except UnicodeDecodeError:
        raise LogError("proof", "a note is not UTF-8 text") from None
    if not decoded.endswith("\n") or any(character < " " and character != "\n" for character in decoded):
        raise LogError("proof", "a note holds control characters, or does not end with a line feed")


def sign_note(text: bytes, key: VerifierKey, sign: Callable[[bytes], bytes]) -> Note:
    """Sign a text as a log does; `sign` makes the Ed25519 signature of `key`, which is checked before it is used."""
    check_text(text)
    signature = NoteSignature(key.name, key.key_id, sign(text))
    note = Note(text, (signature,))
    note.check_signed_by(key)
    return note


def _signatures(lines: bytes) -> Sequence[NoteSignature]:
    try:
        text = lines.decode()
    except UnicodeDecodeError:
        raise LogError("proof", "a note is not UTF-8 text") from None
    if not text.endswith("\n") or not 1 <= text.count("\n") <= SIGNATURES_LIMIT:
        raise LogError("proof", f"a note has not 1 to {SIGNATURES_LIMIT} whole lines of signatures")
    return [_signature(line) for line in text[:-1].split("\n")]


def _signature(line: str) -> NoteSignature:
    match = _LINE.fullmatch(line)
    if not match:
        raise LogError("proof", "a line of a note's signatures is malformed")
    data = decode64(match[2], f"the signature of {match[1]}")
    if len(data) <= KEY_ID:
        raise LogError("proof", f"the signature of {match[1]} is empty")
    return NoteSignature(match[1], data[:KEY_ID], data[KEY_ID:])
