"""An event loop whose clock stands still while the machine is busy: every asynchronous test runs on it.

A program's own patience (a peer that is silent for a second is given up) is real here, and so is a test's. On a slow or
stalled machine the ordinary clock makes both run out although nobody is silent: the answer lies in the socket and could
not be read yet. So the clock of this loop goes on only while the loop waits and nothing comes. Work takes none of it,
and neither does a process that was stopped: what lies in the sockets afterwards is read before the next timer is due.
Whoever really stays silent is given up as before, after as long a wait.

What other threads and other processes need is waited for, and counts.
"""

from __future__ import annotations

import asyncio
import selectors
import time


class _WaitingSelector(selectors.DefaultSelector):
    """Counts in `waited` the seconds of waiting for nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.waited = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        began = time.monotonic()
        events = super().select(timeout)
        if timeout is not None and timeout > 0:
            # With an event, no timer becomes due: what the event sets off comes first, over several turns of the loop.
            self.waited += min(time.monotonic() - began, timeout / 2) if events else timeout
        return events


class SteadyLoop(asyncio.SelectorEventLoop):
    """`time()` is in seconds that the loop has waited since it was made."""

    def __init__(self) -> None:
        self._waiting = _WaitingSelector()
        super().__init__(self._waiting)

    def time(self) -> float:
        return self._waiting.waited
