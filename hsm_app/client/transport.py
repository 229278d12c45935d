"""One connection to the relay: questions and answers matched by this connection's own ids.

The relay is not trusted with anything but delivery. What can go wrong here is one thing, a QuorumError: ambiguous when
the request had left, since it may have arrived.
"""

from __future__ import annotations

import asyncio
from itertools import count

from hsm_app.errors import QuorumError
from hsm_app.net.address import Address, dial
from hsm_app.net.connection import FrameConnection
from hsm_app.wire.envelopes import RESPONSE_LIMIT, Request, Response, decode_response, encode_request

NETWORK = "Check the network and the relay's address, and try again"


class RelayConnection:
    """Dials when it is first asked, and again after a loss. Many requests may be under way at once.

    `fleet` names whose replicas the relay is to ask, "" leaves that to it."""

    def __init__(self, address: Address, fleet: str) -> None:
        self._address = address
        self._fleet = fleet
        self._ids = count(1)
        self._waiting: dict[int, tuple[FrameConnection, asyncio.Future[Response]]] = {}
        self._connection: FrameConnection | None = None
        self._dialling = asyncio.Lock()

    async def ask(self, route: int, sealed: bytes, seconds: float) -> Response:
        """Send one sealed request and return the response to it, within `seconds`. QuorumError when none comes."""
        sent = False
        try:
            async with asyncio.timeout(seconds):
                connection = await self._connected()
                number = next(self._ids)
                answer: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
                self._waiting[number] = connection, answer
                connection.send(encode_request(Request(id=number, fleet=self._fleet, route=route, sealed=sealed)))
                sent = True
                try:
                    return await answer
                finally:
                    self._waiting.pop(number, None)
        except TimeoutError:
            raise QuorumError(f"no answer by way of {self._address}", NETWORK, ambiguous=sent) from None
        except OSError as error:
            raise QuorumError(
                f"the relay at {self._address} is out of reach: {error.strerror or error}", NETWORK
            ) from error

    async def close(self) -> None:
        """Close; whatever is still under way fails."""
        if self._connection is not None:
            self._connection.abort("the client is done")
            self._connection = None

    async def _connected(self) -> FrameConnection:
        async with self._dialling:
            if self._connection is None or not self._connection.is_open:
                await dial(self._address, self._protocol)
            if self._connection is None:
                raise ConnectionResetError("the relay closed the connection at once")
            return self._connection

    def _protocol(self) -> FrameConnection:
        return FrameConnection(
            limit=RESPONSE_LIMIT, idle_seconds=None, on_frame=self._received, on_close=self._lost, on_open=self._opened
        )

    def _opened(self, connection: FrameConnection) -> None:
        self._connection = connection

    def _received(self, connection: FrameConnection, frame: bytes) -> None:
        response = decode_response(frame)
        asked, answer = self._waiting.get(response.id, (None, None))
        if asked is connection and answer is not None and not answer.done():  # else nobody waits, or nobody ever asked
            answer.set_result(response)

    def _lost(self, connection: FrameConnection, reason: str) -> None:
        if connection is self._connection:
            self._connection = None
        for asked, answer in self._waiting.values():
            if asked is connection and not answer.done():
                answer.set_exception(QuorumError(f"the relay hung up: {reason}", NETWORK, ambiguous=True))
