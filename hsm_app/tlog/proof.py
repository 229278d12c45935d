"""Proofs that travel alone (C2SP tlog-proof, draft of 2026-05-22): a leaf's place in a log, and the log's checkpoint.

    c2sp.org/tlog-proof@v1
    [extra <base64>]
    index <decimal>
    <base64 hash>, none or more, the leaf's sibling first
    <empty line>
    the signed checkpoint with its cosignatures, verbatim

The `extra` line is not authenticated, so it is neither written nor accepted here.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from hsm_app.errors import LogError
from hsm_app.tlog.base64 import decode64, encode64
from hsm_app.tlog.checkpoint import parse_number
from hsm_app.tlog.merkle import HASH, PROOF_LIMIT
from hsm_app.tlog.note import NOTE_LIMIT

HEAD = "c2sp.org/tlog-proof@v1"
LIMIT = NOTE_LIMIT + 64 * 64


@dataclass(frozen=True, slots=True)
class TlogProof:
    """`checkpoint` is a signed note as it came."""

    index: int
    hashes: tuple[bytes, ...]
    checkpoint: bytes = field(repr=False)

    def to_bytes(self) -> bytes:
        lines = [HEAD, f"index {self.index}", *map(encode64, self.hashes), ""]
        return "".join(f"{line}\n" for line in lines).encode() + self.checkpoint


def parse_proof(raw: bytes) -> TlogProof:
    """Read a proof. LogError for anything that is not the one encoding of one; nothing is verified yet."""
    if len(raw) > LIMIT:
        raise LogError("proof", f"a proof has {len(raw)} bytes, more than {LIMIT}")
    head, separator, checkpoint = raw.partition(b"\n\n")
    lines = head.decode(errors="replace").split("\n")
    if not separator or len(lines) < 2 or lines[0] != HEAD or len(lines) > PROOF_LIMIT + 2:
        raise LogError("proof", f"a proof does not begin with {HEAD}, or has not its lines")
    word, _, index = lines[1].partition(" ")
    if word != "index":
        raise LogError("proof", "a proof does not name its leaf's index on its second line")
    hashes = tuple(decode64(line, "a hash of a proof") for line in lines[2:])
    if any(len(one) != HASH for one in hashes):
        raise LogError("proof", "a hash of a proof has not 32 bytes")
    return TlogProof(parse_number(index, "the index of a proof"), hashes, checkpoint)
