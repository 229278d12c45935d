"""The first message of a replica link, one each way, in the clear: who speaks, in which fleet and epoch.

Both sides check the other's hello, then derive the connection's keys from both tokens' `replica-link` keys and
`transcript`, which covers both hellos with their fresh token nonces. A hello proves nothing by itself: the first frame
under the derived keys does (`wire.link`), since the other end's token must have computed the same secret.

Refused, each with a ProtocolError that says which: another version, fleet, group, epoch or manifest; a replica that is
no member, is not the one that was dialled, or is ourselves; another incarnation, which is a store from before a
replacement.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from hsm_app.errors import ProtocolError
from hsm_app.wire.codec import U16, U32, Layout, number, octets, text

VERSION = "hsm-vault/link/v1"
TRANSCRIPT_DOMAIN = b"hsm-vault/link/v1 transcript"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hello:
    """`manifest_digest` and `nonce` have 32 bytes; the nonce comes fresh from the sender's token."""

    fleet: str
    group: int
    epoch: int
    manifest_digest: bytes
    replica: int
    incarnation: int
    boot: int
    nonce: bytes


_HELLO = Layout(
    Hello,
    text("fleet", 64),
    number("group", U16),
    number("epoch"),
    octets("manifest_digest", 32),
    number("replica", 255, least=1),
    number("incarnation", U32),
    number("boot", U32),
    octets("nonce", 32),
    tag=VERSION,
)
HELLO_LIMIT = _HELLO.largest  # bytes; the frame limit until keys exist


def encode_hello(hello: Hello) -> bytes:
    """Return the payload of the connection's first frame."""
    return _HELLO.pack(hello)


def decode_hello(frame: bytes) -> Hello:
    """Read the peer's first frame. ProtocolError for anything else."""
    return _HELLO.unpack(frame)


def check_hello(own: Hello, peer: Hello, members: Mapping[int, int], *, dialled: int | None = None) -> None:
    """Raise ProtocolError unless `peer` is another member of our group in our epoch.

    `members` maps the group's replica ids to their incarnations in the manifest. `dialled` is the replica this side
    called; None on the side that was called.
    """
    if own.epoch != peer.epoch and (own.fleet, own.group) == (peer.fleet, peer.group):
        raise ProtocolError(
            f"replica {peer.replica} is in epoch {peer.epoch}, which is another epoch than {own.epoch}, this one's",
            "`hsm-vault fleet enter` brings along who was away; who was replaced stays out",
        )
    for name in ("fleet", "group", "manifest_digest"):
        if getattr(own, name) != getattr(peer, name):
            raise ProtocolError(f"replica {peer.replica} has another {name.replace('_', ' ')} than this one", _SAME)
    if peer.replica not in members:
        raise ProtocolError(f"replica {peer.replica} is no member of group {own.group}", _SAME)
    if peer.incarnation != members[peer.replica]:
        raise ProtocolError(
            f"replica {peer.replica} is incarnation {peer.incarnation}, the manifest says {members[peer.replica]}",
            _SAME,
        )
    if peer.replica == own.replica:
        raise ProtocolError(f"the peer says it is replica {own.replica}, which is this one", "Check the peer's address")
    if dialled is not None and peer.replica != dialled:
        raise ProtocolError(f"replica {peer.replica} answers at replica {dialled}'s address", "Check the addresses")


_SAME = "Give both replicas the same manifest"


def transcript(dialler: Hello, listener: Hello) -> bytes:
    """Return 32 bytes that both ends compute from both hellos, the dialler's first: input of `Token.link_keys`.

    Two diallers wired to each other each put their own hello first, so they end with different keys.
    """
    digest = hashlib.sha256(TRANSCRIPT_DOMAIN)
    for hello in (dialler, listener):
        encoded = encode_hello(hello)
        digest.update(len(encoded).to_bytes(4, "big") + encoded)
    return digest.digest()
