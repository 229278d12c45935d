"""The relay's connection to one replica: many requests at once over one socket, matched by the relay's own ids.

When the connection ends, every request under way over it fails at once, so the relay goes on to the next replica
without waiting for a time-out. Dialling again happens in the background with growing pauses.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace
from itertools import count

from hsm_app.errors import ProtocolError
from hsm_app.net.address import Address, dial
from hsm_app.net.connection import FrameConnection
from hsm_app.wire.envelopes import RESPONSE_LIMIT, Request, Response, decode_response, encode_request

FIRST_PAUSE, LONGEST_PAUSE = 0.1, 2.0  # seconds between attempts to reach a replica that is away
log = logging.getLogger(__name__)

Answer = Callable[[Response | None], None]  # None: the connection ended before an answer came


class Upstream:
    """One replica as the relay sees it."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self._connection: FrameConnection | None = None
        self._waiting: dict[int, Answer] = {}
        self._ids = count(1)
        self._pause = FIRST_PAUSE
        self._dialler: asyncio.Task[None] | None = None
        self._closed = False

    @property
    def is_up(self) -> bool:
        return self._connection is not None and self._connection.is_open

    def start(self) -> None:
        """Begin to dial; returns at once."""
        if not self._closed and (self._dialler is None or self._dialler.done()):
            self._dialler = asyncio.get_running_loop().create_task(self._dial())

    def ask(self, request: Request, answer: Answer) -> None:
        """Send one request under a number of our own; `answer` is called once, later."""
        connection = self._connection
        if connection is None or not connection.is_open:
            asyncio.get_running_loop().call_soon(answer, None)
            return
        number = next(self._ids)
        self._waiting[number] = answer
        connection.send(encode_request(replace(request, id=number)))

    async def close(self) -> None:
        self._closed = True
        if self._dialler is not None:
            self._dialler.cancel()
            await asyncio.gather(self._dialler, return_exceptions=True)
        if self._connection is not None:
            self._connection.abort("the relay stops")

    async def _dial(self) -> None:
        while not self._closed and not self.is_up:
            try:
                await dial(self.address, self._protocol)
                return
            except OSError as error:
                log.debug("replica at %s is away: %s", self.address, error)
            await asyncio.sleep(self._pause)
            self._pause = min(LONGEST_PAUSE, self._pause * 2)

    def _protocol(self) -> FrameConnection:
        return FrameConnection(
            limit=RESPONSE_LIMIT, idle_seconds=None, on_frame=self._received, on_close=self._lost, on_open=self._opened
        )

    def _opened(self, connection: FrameConnection) -> None:
        self._connection = connection
        self._pause = FIRST_PAUSE
        log.info("replica at %s is reachable", self.address)

    def _received(self, connection: FrameConnection, frame: bytes) -> None:
        response = decode_response(frame)
        answer = self._waiting.pop(response.id, None)
        if answer is None:
            raise ProtocolError("an answer to a question that was not asked")
        answer(response)

    def _lost(self, connection: FrameConnection, reason: str) -> None:
        log.info("replica at %s: %s", self.address, reason)
        self._connection = None
        waiting, self._waiting = self._waiting, {}
        for answer in waiting.values():
            answer(None)
        self.start()
