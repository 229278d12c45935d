"""The relay against stand-in replicas on real sockets: who is asked, in which order, and what the client gets.

The replicas here do no cryptography and prove none; what passes a relay in front of a real fleet is in
`test_relay_learns_nothing.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from hsm_app.errors import ConfigError
from hsm_app.net.address import Address, dial, listen
from hsm_app.net.connection import FrameConnection
from hsm_app.relay.limits import SourceLimits
from hsm_app.relay.server import Relay, RelayOptions
from hsm_app.wire.envelopes import (
    REQUEST_LIMIT,
    RESPONSE_LIMIT,
    Outcome,
    Request,
    Response,
    decode_request,
    decode_response,
    encode_request,
    encode_response,
)
from tests.ports import free_ports

Behaviour = Callable[[Request], Response | None]
PATIENCE = 60  # seconds that a test waits for what has to come, and a relay for a replica that is not to be given up
GENEROUS = SourceLimits(requests_per_second=1000, burst=1000, connections=10)


def answers(name: bytes) -> Behaviour:
    return lambda request: Response(id=request.id, outcome=Outcome.ANSWERED, sealed=name + request.sealed)


def points_on(request: Request) -> Response:
    return Response(id=request.id, outcome=Outcome.TRY_ANOTHER, sealed=b"reason", detail="no majority")


def is_silent(request: Request) -> None:
    return None


class StandIn:
    """A replica that answers as told and remembers what it was asked."""

    def __init__(self, behaviour: Behaviour) -> None:
        self.behaviour = behaviour
        self.asked: list[Request] = []
        self.connections: list[FrameConnection] = []
        self.server: asyncio.Server | None = None
        self.address = Address()

    async def start(self) -> None:
        self.server = await listen(Address(host="127.0.0.1", port=0), self._protocol)
        self.address = Address(host="127.0.0.1", port=self.server.sockets[0].getsockname()[1])

    def die(self) -> None:
        if self.server is not None:
            self.server.close()
        for connection in self.connections:
            connection.abort("died")

    def _protocol(self) -> FrameConnection:
        return FrameConnection(
            limit=REQUEST_LIMIT, idle_seconds=None, on_frame=self._frame, on_close=lambda *_: None,
            on_open=self.connections.append,
        )  # fmt: skip

    def _frame(self, connection: FrameConnection, frame: bytes) -> None:
        request = decode_request(frame)
        self.asked.append(request)
        response = self.behaviour(request)
        if response is not None:
            connection.send(encode_response(response))


class Caller:
    """A client that sends requests and collects what comes back."""

    def __init__(self) -> None:
        self.answers: asyncio.Queue[Response] = asyncio.Queue()
        self.closed = asyncio.Event()
        self.connection: FrameConnection | None = None

    async def connect(self, address: Address) -> None:
        await dial(address, self._protocol)

    def _protocol(self) -> FrameConnection:
        self.connection = FrameConnection(
            limit=RESPONSE_LIMIT, idle_seconds=None, on_close=lambda *_: self.closed.set(),
            on_frame=lambda _, frame: self.answers.put_nowait(decode_response(frame)),
        )  # fmt: skip
        return self.connection

    async def ask(self, route: int, sealed: bytes = b"sealed", number: int = 7, fleet: str = "") -> Response:
        if self.connection is None:
            raise AssertionError("connect first")
        self.connection.send(encode_request(Request(id=number, fleet=fleet, route=route, sealed=sealed)))
        return await asyncio.wait_for(self.answers.get(), PATIENCE / 2)


@asynccontextmanager
async def relay_before(
    *behaviours: Behaviour,
    limits: SourceLimits = GENEROUS,
    slow_after: float = PATIENCE,
    give_up_after: float = PATIENCE,
    fleets: dict[str, list[list[Address]]] | None = None,
) -> AsyncIterator[tuple[Caller, list[StandIn], Address]]:
    replicas = [StandIn(behaviour) for behaviour in behaviours]
    for replica in replicas:
        await replica.start()
    address = Address(host="127.0.0.1", port=free_ports(1)[0])
    relay = Relay(
        RelayOptions(
            listen=address, groups=[[replica.address for replica in replicas]], fleets=fleets or {}, limits=limits,
            idle_seconds=PATIENCE, slow_after=slow_after, give_up_after=give_up_after, in_flight=100,
        )
    )  # fmt: skip
    await relay.start()
    caller = Caller()
    await caller.connect(address)
    async with asyncio.timeout(PATIENCE):
        while not all(upstream.is_up for upstream in relay._all()):
            await asyncio.sleep(0.005)
    try:
        yield caller, replicas, address
    finally:
        if caller.connection is not None:
            caller.connection.abort("done")
        await relay.close()
        for replica in replicas:
            replica.die()


@pytest.mark.parametrize("route", [0, 1, 2, 3, 65535])
async def test_the_preferred_replica_of_the_route_is_asked_and_no_other(route: int) -> None:
    async with relay_before(answers(b"0"), answers(b"1"), answers(b"2")) as (caller, replicas, _):
        response = await caller.ask(route)
        assert response == Response(id=7, outcome=Outcome.ANSWERED, sealed=str(route % 3).encode() + b"sealed")
        assert [len(replica.asked) for replica in replicas] == [int(n == route % 3) for n in range(3)]


async def test_a_replica_that_is_dead_is_passed_over() -> None:
    async with relay_before(answers(b"0"), answers(b"1"), answers(b"2")) as (caller, replicas, _):
        replicas[0].die()
        await asyncio.sleep(0.05)
        assert (await caller.ask(0)).sealed == b"1sealed"


async def test_a_replica_that_dies_with_the_request_in_hand_costs_no_time_out() -> None:
    async with relay_before(is_silent, answers(b"1")) as (caller, replicas, _):
        replicas[0].behaviour = lambda request: replicas[0].die()
        assert (await caller.ask(0)).sealed == b"1sealed"


async def test_a_replica_that_hangs_is_left_for_the_next_one() -> None:
    async with relay_before(is_silent, is_silent, answers(b"2"), slow_after=0.2) as (caller, replicas, _):
        assert (await caller.ask(0)).sealed == b"2sealed"
        assert [len(replica.asked) for replica in replicas] == [1, 1, 1]


async def test_a_replica_that_says_try_another_is_taken_at_its_word() -> None:
    async with relay_before(points_on, answers(b"1")) as (caller, _, _):
        assert (await caller.ask(0)).sealed == b"1sealed"


async def test_when_all_say_try_another_the_client_gets_the_last_sealed_reason() -> None:
    async with relay_before(points_on, points_on) as (caller, _, _):
        response = await caller.ask(0)
        assert (response.outcome, response.sealed) == (Outcome.TRY_ANOTHER, b"reason")


async def test_when_all_are_dead_the_client_is_told_at_once() -> None:
    async with relay_before(is_silent, is_silent) as (caller, replicas, _):
        for replica in replicas:
            replica.die()
        await asyncio.sleep(0.05)
        response = await caller.ask(0)
        assert response.outcome is Outcome.REFUSED
        assert "no replica" in response.detail


async def test_when_all_hang_the_client_is_told_in_bounded_time() -> None:
    async with relay_before(is_silent, is_silent, slow_after=0.2, give_up_after=0.6) as (caller, _, _):
        assert (await caller.ask(0)).outcome is Outcome.REFUSED


async def test_a_source_over_its_rate_is_refused_and_told_to_wait() -> None:
    limits = SourceLimits(requests_per_second=0.001, burst=2, connections=10)
    async with relay_before(answers(b"0"), limits=limits) as (caller, _, _):
        outcomes = [(await caller.ask(0)).outcome for _ in range(3)]
        assert outcomes == [Outcome.ANSWERED, Outcome.ANSWERED, Outcome.REFUSED]


async def test_a_source_with_too_many_connections_is_cut_off() -> None:
    limits = SourceLimits(requests_per_second=10, burst=10, connections=1)
    async with relay_before(answers(b"0"), limits=limits) as (caller, _, address):
        second = Caller()
        await second.connect(address)
        await asyncio.wait_for(second.closed.wait(), PATIENCE)
        assert (await caller.ask(0)).outcome is Outcome.ANSWERED


@pytest.mark.parametrize("junk", [b"\0\0\0\0", b"\xff\xff\xff\xff", b"\0\0\0\x03abc", b"GET / HTTP/1.1\r\n\r\n"])
async def test_bytes_that_are_no_request_end_that_connection_and_no_other(junk: bytes) -> None:
    async with relay_before(answers(b"0")) as (caller, _, address):
        reader, writer = await asyncio.open_connection(address.host, address.port)
        writer.write(junk)
        assert await asyncio.wait_for(reader.read(), PATIENCE) == b""
        writer.close()
        assert (await caller.ask(0)).outcome is Outcome.ANSWERED


async def test_a_port_in_use_is_a_clear_error() -> None:
    async with relay_before(answers(b"0")) as (_, _, address):
        with pytest.raises(ConfigError, match="is in use"):
            await listen(address, asyncio.Protocol)


async def test_each_fleet_has_replicas_of_its_own() -> None:
    async with relay_before(answers(b"2")) as (_, others, _):
        second = {"fleet-2": [[others[0].address]]}
        async with relay_before(answers(b"0"), answers(b"1"), fleets=second) as (caller, own, _):
            assert (await caller.ask(0, fleet="fleet-2")).sealed == b"2sealed"
            assert (await caller.ask(0, fleet="fleet-1")).sealed == b"0sealed"
            assert (await caller.ask(1)).sealed == b"1sealed"
            assert [len(replica.asked) for replica in (*own, *others)] == [1, 1, 1]


def refuses(bundle: bytes) -> Behaviour:
    return lambda request: Response(id=request.id, outcome=Outcome.REFUSED, sealed=b"", bundle=bundle)


async def test_a_bundle_reaches_the_client_whoever_else_cannot_serve() -> None:
    for order in ((points_on, refuses(b"the bundle")), (refuses(b"the bundle"), points_on)):
        async with relay_before(*order) as (caller, _, _):
            response = await caller.ask(0)
            assert (response.outcome, response.bundle) == (Outcome.REFUSED, b"the bundle")


async def test_a_refusal_does_not_keep_a_replica_from_answering() -> None:
    async with relay_before(refuses(b"an older bundle"), answers(b"1")) as (caller, _, _):
        assert (await caller.ask(0)).sealed == b"1sealed"


async def test_who_names_no_fleet_is_told_keys_by_any() -> None:
    async with (
        relay_before(refuses(b"the bundle")) as (_, others, _),
        relay_before(is_silent, fleets={"fleet-2": [[others[0].address]]}) as (
            caller,
            own,
            _,
        ),
    ):
        own[0].die()
        await asyncio.sleep(0.05)
        assert (await caller.ask(0)).bundle == b"the bundle"
        assert (await caller.ask(0, fleet="fleet-1")).bundle == b""
