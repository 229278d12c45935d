"""The replica's door: relays connect here, and each of their frames is one sealed request.

Requests run side by side, up to a bound; one over it is sent on to another replica at once instead of waiting in a
queue that nobody sees. A bug in the service ends the process: it must not go on with a state nobody understands.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from hsm_app.net.address import Address, listen
from hsm_app.net.connection import FrameConnection
from hsm_app.replica.service import Service
from hsm_app.wire.envelopes import REQUEST_LIMIT, Outcome, Request, Response, decode_request, encode_response

CLOSING_SECONDS = 5.0  # an operation gives up after 3
log = logging.getLogger(__name__)


class Door:
    """Accepts relays and answers their requests. `fail` is called with the exception of a bug."""

    def __init__(self, service: Service, in_flight: int, fail: Callable[[BaseException], None]) -> None:
        self._service = service
        self._in_flight = in_flight
        self._fail = fail
        self._tasks: set[asyncio.Task[None]] = set()
        self._relays: set[FrameConnection] = set()
        self._server: asyncio.Server | None = None

    async def start(self, address: Address) -> None:
        """Listen on `address`. ConfigError when it cannot be had."""
        self._server = await listen(address, self._protocol)

    async def close(self) -> None:
        """Take no new requests, let those under way finish for a while, and hang up."""
        if self._server is not None:
            self._server.close()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=CLOSING_SECONDS)
        for task in list(self._tasks):
            task.cancel()
        for relay in list(self._relays):
            relay.close("this replica stops")

    def _protocol(self) -> FrameConnection:
        return FrameConnection(
            limit=REQUEST_LIMIT,
            idle_seconds=None,
            on_frame=self._received,
            on_close=lambda relay, _: self._relays.discard(relay),
            on_open=self._relays.add,
        )

    def _received(self, relay: FrameConnection, frame: bytes) -> None:
        request = decode_request(frame)
        if len(self._tasks) >= self._in_flight or self._server is None or not self._server.is_serving():
            busy = Response(id=request.id, outcome=Outcome.TRY_ANOTHER, sealed=b"", detail="this replica is busy")
            relay.send(encode_response(busy))
            return
        task = asyncio.get_running_loop().create_task(self._answer(relay, request))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, relay: FrameConnection, request: Request) -> None:
        try:
            response = await self._service.answer(request)
        except Exception as error:  # the service answers every VaultError; what gets here is a bug
            log.exception("a request met a bug; the replica stops")
            self._fail(error)
            return
        relay.send(encode_response(response))
