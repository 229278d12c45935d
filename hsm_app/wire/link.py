"""The sealed frames of one replica link connection, after the hellos (`wire.hello`).

Each direction has its own AES-256-GCM key, fresh for this connection, and its nonce is the number of frames sent before
in that direction. So a frame that is replayed, left out, moved, sent back, or taken from another direction, connection
or epoch does not open. The first frame of each direction is a fixed confirmation: it shows that the peer's token holds
its link key, before anything is believed or asked. Any failure ends the session for good.

    session = LinkSession(keys, Role.DIALLER)  # of the transcript of both hellos, from the token
    send(session.confirmation()); session.confirm(first_frame); send(session.seal(...)); session.open(frame)
"""

from __future__ import annotations

from enum import Enum
from typing import NoReturn

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from hsm_app.errors import ProtocolError
from hsm_app.model import LinkKeys

CONFIRMATION = b"hsm-vault/link/v1 confirmation"
TAG = 16
PLAIN_LIMIT = 2 << 20  # bytes of one frame's content: 64 votes with the largest values take half of it
LINK_FRAME_LIMIT = PLAIN_LIMIT + TAG
# NIST SP 800-38D section 8.3 allows 2^32 uses of a key; nonces never repeat here, so this is only prudence.
MAX_FRAMES = 1 << 32


class Role(Enum):
    """Which end of the connection this is. The dialler sends requests, the listener replies."""

    DIALLER = "dialler"
    LISTENER = "listener"


class LinkSession:
    """One end of a connection. Not shared between threads; frames are opened in the order in which they arrive."""

    __slots__ = ("_confirmed", "_dead", "_receive", "_received", "_send", "_sent")

    def __init__(self, keys: LinkKeys, role: Role) -> None:
        own, other = keys.dialler, keys.listener
        if role is Role.LISTENER:
            own, other = other, own
        if own == other:
            raise ProtocolError("both directions of a link have one key")
        self._send = AESGCM(own)
        self._receive = AESGCM(other)
        self._sent = 0
        self._received = 0
        self._confirmed = False
        self._dead = False

    @property
    def confirmed(self) -> bool:
        """True once the peer has shown that it holds the same keys."""
        return self._confirmed

    def confirmation(self) -> bytes:
        """Return this side's first frame. ProtocolError when it is not the first."""
        if self._sent:
            self._die("the confirmation is the first frame of a link")
        return self._seal(CONFIRMATION)

    def confirm(self, frame: bytes) -> None:
        """Check the peer's first frame. ProtocolError when the peer has other keys."""
        if self._confirmed or self._open(frame) != CONFIRMATION:
            self._die("the peer's first frame is not its confirmation")
        self._confirmed = True

    def seal(self, content: bytes) -> bytes:
        """Return the next frame. ProtocolError before the confirmation, or when the session has ended."""
        if not self._sent:
            self._die("a link frame was sealed before the confirmation")
        return self._seal(content)

    def open(self, frame: bytes) -> bytes:
        """Return the content of the next frame of the peer. ProtocolError for any other frame."""
        if not self._confirmed:
            self._die("a link frame came before the confirmation")
        return self._open(frame)

    def _seal(self, content: bytes) -> bytes:
        if self._dead or self._sent >= MAX_FRAMES or len(content) > PLAIN_LIMIT:
            self._die("the link session has ended, or the frame is too long for it")
        sealed = self._send.encrypt(self._sent.to_bytes(12, "big"), content, None)
        self._sent += 1
        return sealed

    def _open(self, frame: bytes) -> bytes:
        if self._dead or self._received >= MAX_FRAMES or not TAG <= len(frame) <= LINK_FRAME_LIMIT:
            self._die("the link session has ended, or the frame has no possible length")
        try:
            content = self._receive.decrypt(self._received.to_bytes(12, "big"), frame, None)
        except InvalidTag:
            self._die("a link frame is not the next one of this connection's peer")
        self._received += 1
        return content

    def _die(self, why: str) -> NoReturn:
        self._dead = True
        raise ProtocolError(why, "The connection is closed and made anew") from None
