"""The relay as a service: accepts clients, limits each source, forwards, and answers under the client's own id."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from hsm_app.model import ROUTES
from hsm_app.net.address import Address, listen
from hsm_app.net.connection import FrameConnection
from hsm_app.relay.forwarding import Forwarding, refused
from hsm_app.relay.limits import SourceLimits, SourceTable
from hsm_app.relay.upstream import Upstream
from hsm_app.wire.envelopes import REQUEST_LIMIT, Request, Response, decode_request, encode_response

log = logging.getLogger(__name__)
Groups = Sequence[Sequence[Address]]


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayOptions:
    """What a relay needs to know. `groups[g]` lists the addresses of group g's replicas in the manifest's order.

    `fleets` gives the groups of fleets by name; `groups` are those of any fleet that is not among them.
    """

    listen: Address
    groups: Groups
    fleets: Mapping[str, Groups]
    limits: SourceLimits
    idle_seconds: float
    slow_after: float
    give_up_after: float
    in_flight: int


class Relay:
    def __init__(self, options: RelayOptions) -> None:
        self._options = options
        self._groups = _upstreams(options.groups)
        self._fleets = {fleet: _upstreams(groups) for fleet, groups in options.fleets.items()}
        self._sources = SourceTable(options.limits)
        self._in_flight = 0
        self._server: asyncio.Server | None = None
        self._clients: set[FrameConnection] = set()

    async def start(self) -> None:
        """Dial the replicas and listen for clients. ConfigError when the address cannot be had."""
        self._server = await listen(self._options.listen, self._protocol)
        for upstream in self._all():
            upstream.start()

    async def failure(self) -> None:
        """Wait for ever: a relay holds nothing that could go wrong for good."""
        await asyncio.Event().wait()

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        for client in list(self._clients):
            client.close("the relay stops")
        for upstream in self._all():
            await upstream.close()

    def _protocol(self) -> FrameConnection:
        return FrameConnection(
            limit=REQUEST_LIMIT,
            idle_seconds=self._options.idle_seconds,
            on_frame=self._received,
            on_close=self._closed,
            on_open=self._opened,
        )

    def _opened(self, client: FrameConnection) -> None:
        if self._sources.connect(client.source, self._now()):
            self._clients.add(client)
        else:
            client.abort("too many connections from one source")

    def _closed(self, client: FrameConnection, reason: str) -> None:
        if client in self._clients:
            self._clients.discard(client)
            self._sources.disconnect(client.source)
        log.debug("client of %s: %s", client.source, reason)

    def _received(self, client: FrameConnection, frame: bytes) -> None:
        request = decode_request(frame)
        if not self._sources.spend(client.source, self._now()):
            self._reply(client, request.id, refused("too many requests from this address; wait a few seconds"))
            return
        if self._in_flight >= self._options.in_flight:
            self._reply(client, request.id, refused("the relay is full; wait a few seconds"))
            return
        self._in_flight += 1

        def done(response: Response) -> None:
            self._in_flight -= 1
            self._reply(client, request.id, response)

        Forwarding(
            self._order(request),
            request,
            slow_after=self._options.slow_after,
            give_up_after=self._options.give_up_after,
            done=done,
        )

    def _order(self, request: Request) -> list[Upstream]:
        """The replicas of the route's group, the preferred one first (same rule as `fleet.routing`).

        Who names no fleet asks for keys, which any replica can prove: then those of the other fleets come after.
        """
        others = self._fleets.values() if not request.fleet else ()
        fleets = [self._fleets.get(request.fleet, self._groups), *others]
        return [upstream for groups in fleets for upstream in _preferred(groups, request.route)]

    def _all(self) -> list[Upstream]:
        return [each for groups in (self._groups, *self._fleets.values()) for group in groups for each in group]

    def _reply(self, client: FrameConnection, number: int, response: Response) -> None:
        client.send(encode_response(replace(response, id=number)))

    def _now(self) -> float:
        return asyncio.get_running_loop().time()


def _preferred(groups: list[list[Upstream]], route: int) -> list[Upstream]:
    group = groups[route * len(groups) // ROUTES]
    first = route % len(group)
    return group[first:] + group[:first]


def _upstreams(groups: Groups) -> list[list[Upstream]]:
    return [[Upstream(address) for address in group] for group in groups]
