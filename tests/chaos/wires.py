"""The cables between the replicas: a TCP proxy for each ordered pair, which can be cut in each direction, or slowed.

A cut direction carries nothing, as a dead cable would: bytes are read and wait, and a new connection is accepted but
gets nowhere. When it is mended, what waited is delivered, as TCP does after a short cut; or the open connections are
reset, as after a long one. Bytes are never lost from the middle of a stream, since TCP does not do that.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable

Direction = tuple[int, int]  # from replica, to replica
CHUNK = 65536


class Wires:
    """All cables. `ports[a, b]` is where `a` dials to reach `b`."""

    def __init__(self) -> None:
        self.ports: dict[Direction, int] = {}
        self._targets: dict[Direction, int] = {}
        self._gates: dict[Direction, asyncio.Event] = {}
        self._delays: dict[Direction, float] = {}
        self._servers: list[asyncio.Server] = []
        self._open: dict[Direction, set[asyncio.Task[None]]] = {}

    async def start(self, targets: dict[int, int]) -> None:
        """Listen for every pair. `targets`: the port at which each replica waits for the others."""
        for pair in [(a, b) for a in targets for b in targets if a != b]:
            self._targets[pair], self._open[pair] = targets[pair[1]], set()
            self._gates[pair] = asyncio.Event()
            self._gates[pair].set()
            server = await asyncio.start_server(self._handler(pair), "127.0.0.1", 0)
            self._servers.append(server)
            self.ports[pair] = server.sockets[0].getsockname()[1]

    def cut(self, directions: Iterable[Direction]) -> None:
        for direction in directions:
            self._gates[direction].clear()

    def mend(self, directions: Iterable[Direction], *, resets: bool) -> None:
        for direction in directions:
            if resets:
                self._reset(direction)
                self._reset(direction[::-1])
            self._gates[direction].set()

    def slow(self, directions: Iterable[Direction], seconds: float) -> None:
        for direction in directions:
            self._delays[direction] = seconds

    async def close(self) -> None:
        for server in self._servers:
            server.close()
        for pair in self._open:
            self._reset(pair)
        await asyncio.sleep(0)

    def _reset(self, pair: Direction) -> None:
        for task in self._open[pair]:
            task.cancel()

    def _handler(self, pair: Direction):  # type: ignore[no-untyped-def]
        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            self._open[pair].add(task)
            try:
                await self._carry(pair, reader, writer)
            except (OSError, asyncio.CancelledError):
                pass  # the connection is over, which both ends see
            finally:
                self._open[pair].discard(task)
                writer.transport.abort()

        return handle

    async def _carry(self, pair: Direction, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        back = pair[::-1]
        await self._gates[pair].wait()
        await self._gates[back].wait()
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._targets[pair])
        pumps = [asyncio.ensure_future(self._pump(pair, reader, far_writer)),
                 asyncio.ensure_future(self._pump(back, far_reader, writer))]  # fmt: skip
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            far_writer.transport.abort()

    async def _pump(self, direction: Direction, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await source.read(CHUNK):
                if delay := self._delays.get(direction):
                    await asyncio.sleep(delay)
                await self._gates[direction].wait()
                sink.write(data)
                await sink.drain()


def around(replica: int, others: Iterable[int]) -> tuple[list[Direction], list[Direction]]:
    """Return the directions out of a replica, and those into it."""
    far = [other for other in others if other != replica]
    return [(replica, other) for other in far], [(other, replica) for other in far]
