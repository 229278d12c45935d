"""One request on its way through the relay: to the record's preferred replica, then to the next ones.

The next replica is asked when the one before is away, says TRY_ANOTHER, or is silent for `slow_after` seconds (a
replica that hangs must not hang its clients). Asking two replicas is harmless: every request is safe to repeat, since
attempt id, registration id and generation make a repeat change nothing. The first answer wins; later ones are dropped.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from hsm_app.relay.upstream import Upstream
from hsm_app.wire.envelopes import Outcome, Request, Response


class Forwarding:
    """Drives one request. `done` is called exactly once, with the answer as it came or a refusal of the relay's own."""

    def __init__(
        self,
        upstreams: Sequence[Upstream],
        request: Request,
        *,
        slow_after: float,
        give_up_after: float,
        done: Callable[[Response], None],
    ) -> None:
        # Replicas that are down go last instead of being left out: the relay may be the one that is wrong.
        self._queue = sorted(upstreams, key=lambda upstream: not upstream.is_up)
        self._request = request
        self._slow_after = slow_after
        self._done: Callable[[Response], None] | None = done
        self._under_way = 0
        self._last: Response | None = None
        loop = asyncio.get_running_loop()
        self._deadline = loop.call_later(give_up_after, self._finish)
        self._slow: asyncio.TimerHandle | None = None
        self._next()

    def _next(self) -> None:
        if self._slow is not None:
            self._slow.cancel()
            self._slow = None
        if self._done is None:
            return
        if not self._queue:
            if not self._under_way:
                self._finish()
            return
        upstream = self._queue.pop(0)
        self._under_way += 1
        self._slow = asyncio.get_running_loop().call_later(self._slow_after, self._next)
        upstream.ask(self._request, self._answered)

    def _answered(self, response: Response | None) -> None:
        self._under_way -= 1
        if self._done is None:
            return
        if response is not None and response.outcome is Outcome.ANSWERED:
            self._last = response
            self._finish()
            return
        if response is not None and not (self._last is not None and self._last.bundle):
            self._last = response  # a bundle brings the client on, whoever else could not serve it
        self._next()

    def _finish(self) -> None:
        done, self._done = self._done, None
        self._deadline.cancel()
        if self._slow is not None:
            self._slow.cancel()
        if done is not None:
            done(self._last or refused("no replica of this group answers; try again in a while"))


def refused(detail: str) -> Response:
    """A refusal of the relay's own. It is not authenticated, and a client takes it as a delivery failure only."""
    return Response(id=0, outcome=Outcome.REFUSED, sealed=b"", detail=detail)
