"""Frames on a stream socket: a 4-byte big-endian length, then that many bytes.

Any chunking of the same stream gives the same frames, then at most one ProtocolError. A frame has at least one byte;
a longer frame than the limit is refused from its header, before any of it is kept. After an error the decoder is
dead: it ignores what follows, since nobody knows where the next frame would begin.
"""

from __future__ import annotations

from hsm_app.errors import ProtocolError

HEADER = 4


def encode_frame(payload: bytes) -> bytes:
    """Return `payload` as a frame."""
    return len(payload).to_bytes(HEADER, "big") + payload


class FrameDecoder:
    """Collects bytes and hands out whole frames of at most `limit` bytes."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._buffer = bytearray()
        self._error: ProtocolError | None = None
        self._dead = False

    @property
    def partial(self) -> bool:
        """True while a frame has begun and not ended."""
        return bool(self._buffer)

    def feed(self, data: bytes) -> list[bytes]:
        """Take bytes and return the frames they complete. ProtocolError, once, when no frame can follow.

        Frames that stand before the fault in the same chunk are returned first, and the error waits for the next
        `feed` or `check`: what a peer said well is heard in any chunking.
        """
        self.check()
        if self._dead:
            return []
        self._buffer += data
        frames = self._split()
        if not frames:
            self.check()
        return frames

    def check(self) -> None:
        """Raise the ProtocolError that waits behind the frames handed out last, if there is one."""
        if self._error is not None:
            error, self._error = self._error, None
            raise error

    def _split(self) -> list[bytes]:
        frames: list[bytes] = []
        start, view = 0, self._buffer
        while len(view) - start >= HEADER:
            length = int.from_bytes(view[start : start + HEADER], "big")
            if not 1 <= length <= self._limit:
                self._die(f"a frame of {length} bytes; the limit is 1 to {self._limit}")
                return frames
            if len(view) - start - HEADER < length:
                break
            frames.append(bytes(view[start + HEADER : start + HEADER + length]))
            start += HEADER + length
        del self._buffer[:start]
        return frames

    def _die(self, why: str) -> None:
        self._buffer.clear()
        self._dead = True
        self._error = ProtocolError(why, "The peer speaks another protocol")
