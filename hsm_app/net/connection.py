"""One framed connection: bytes in, whole frames out, with limits on size, idleness and memory.

The pure decoder (`wire.frames`) decides what a frame is; this module only moves bytes. It refuses:

- a frame over the limit, or any other broken framing: the connection is closed, once, with a `ProtocolError`;
- a frame that stays half-sent for longer than `FRAME_SECONDS` (a peer that dribbles bytes holds memory);
- a connection without a frame for `idle_seconds`;
- a peer that does not read its answers: reading from it stops while more than `HIGH_WATER` bytes wait to be sent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from hsm_app.errors import ProtocolError
from hsm_app.wire.frames import FrameDecoder, encode_frame

FRAME_SECONDS = 10.0  # a frame fits in one or two segments; ten seconds is a dead or hostile peer
HIGH_WATER = 1 << 20  # bytes waiting to be sent before the peer's own requests are left unread


class FrameConnection(asyncio.Protocol):
    """An asyncio protocol that hands whole frames to `on_frame` and its end to `on_close`.

    `on_close` is called exactly once, with the reason as text for a log. `on_frame` may raise ProtocolError: the
    connection is then closed, since the two sides no longer agree on what is being said.
    """

    def __init__(
        self,
        *,
        limit: int,
        idle_seconds: float | None,
        on_frame: Callable[[FrameConnection, bytes], None],
        on_close: Callable[[FrameConnection, str], None],
        on_open: Callable[[FrameConnection], None] | None = None,
    ) -> None:
        self._decoder = FrameDecoder(limit)
        self._idle_seconds = idle_seconds
        self._on_frame = on_frame
        self._on_close = on_close
        self._on_open = on_open
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._last_frame = 0.0
        self._partial_since: float | None = None
        self._outgoing: list[bytes] = []
        self._reason = "closed by the peer"
        self.source = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if not isinstance(transport, asyncio.Transport):
            raise TypeError("a stream transport is needed")
        self._transport = transport
        self._transport.set_write_buffer_limits(high=HIGH_WATER)
        peer = transport.get_extra_info("peername")
        self.source = str(peer[0]) if isinstance(peer, tuple) and peer else "unix"
        self._last_frame = asyncio.get_running_loop().time()
        self._arm()
        if self._on_open is not None:
            self._on_open(self)

    def data_received(self, data: bytes) -> None:
        try:
            frames = self._decoder.feed(data)
            for frame in frames:
                self._on_frame(self, frame)
            self._decoder.check()
        except ProtocolError as error:
            self.close(error.what)
            return
        now = asyncio.get_running_loop().time()
        if frames:
            self._last_frame = now
            self._partial_since = None
        if self._decoder.partial:
            self._partial_since = self._partial_since or now
        else:
            self._partial_since = None

    def pause_writing(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if exc is not None:
            self._reason = f"connection lost: {exc}"
        self._transport = None
        self._on_close(self, self._reason)

    @property
    def is_open(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    def send(self, payload: bytes) -> None:
        """Queue one frame. A frame for a connection that has ended is dropped: its reader is gone.

        What is sent in one tick of the loop leaves in one write: the system call is the dearest part of a frame.
        """
        if not self._outgoing:
            asyncio.get_running_loop().call_soon(self._flush)
        self._outgoing.append(encode_frame(payload))

    def _flush(self) -> None:
        if self._outgoing and self._transport is not None and not self._transport.is_closing():
            self._transport.write(b"".join(self._outgoing))
        self._outgoing.clear()

    def close(self, reason: str) -> None:
        """Close after what is queued has been sent, and remember why."""
        self._reason = reason
        self._flush()
        if self._transport is not None:
            self._transport.close()

    def abort(self, reason: str) -> None:
        """Close at once; what is queued is lost."""
        self._reason = reason
        if self._transport is not None:
            self._transport.abort()

    def _arm(self) -> None:
        wait = min(FRAME_SECONDS, self._idle_seconds or FRAME_SECONDS)
        self._timer = asyncio.get_running_loop().call_later(wait / 2, self._check)

    def _check(self) -> None:
        now = asyncio.get_running_loop().time()
        if self._partial_since is not None and now - self._partial_since > FRAME_SECONDS:
            self.abort("a frame was left unfinished")
        elif self._idle_seconds is not None and now - self._last_frame > self._idle_seconds:
            self.close("idle")
        else:
            self._arm()
