"""An event loop whose time is simulated: it never waits, and the same calls give the same order, always.

The loop itself is asyncio's own, so whatever runs on asyncio runs here as it is. There is nothing to select on: when no
callback is ready, the clock goes on to the next timer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class VirtualLoop(asyncio.BaseEventLoop):
    """`time()` is in seconds since the loop was made. The first exception of a callback is kept in `failure`."""

    def __init__(self) -> None:
        super().__init__()
        self._selector = self
        self._at = 0.0
        self.failure: BaseException | None = None
        self.set_exception_handler(self._failed)

    def time(self) -> float:
        return self._at

    def select(self, timeout: float | None) -> list[object]:
        """Implement the one method of a selector that the loop calls."""
        if timeout is None:
            raise RuntimeError("the simulation waits for something that can never happen")
        self._at += timeout
        return []

    def _process_events(self, events: list[object]) -> None:
        """There are none."""

    def _write_to_self(self) -> None:
        """Nobody sleeps, so nobody has to be woken."""

    def _failed(self, _loop: object, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if self.failure is None:
            self.failure = error if isinstance(error, BaseException) else RuntimeError(context["message"])


def run(main: Coroutine[Any, Any, T], loop: VirtualLoop) -> T:
    """Run a coroutine to its end; raise what it or any callback raised. Whatever still runs then is cancelled."""
    try:
        asyncio.set_event_loop(loop)
        result = loop.run_until_complete(main)
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
    finally:
        asyncio.set_event_loop(None)
        loop.close()
    if loop.failure is not None:
        raise loop.failure
    return result
