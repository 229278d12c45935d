"""Up to six times, until it works or patience is out: how every question of a client copes with losses.

Tried again are a lost or silent connection, a relay or replica that cannot serve now, an ambiguous majority, an answer
that does not open, and a bundle that is not believed. Every request is safe to repeat: attempt id, registration id and
generation see to it. Anything else is final.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from typing import TypeVar

from hsm_app.client.randomness import random_share
from hsm_app.errors import LogError, QuorumError

ONE_ATTEMPT = 16.0  # seconds; the relay gives up after 15 by itself
PAUSES = (0.25, 0.5, 1.0, 2.0, 4.0)  # seconds between the attempts; no more, so who is refused at once hears it in 8 s
T = TypeVar("T")


async def patiently(attempt: Callable[[float], Awaitable[T]], patience: float) -> T:
    """Return what `attempt` returns, called with the seconds it may take.

    When patience or attempts are out: QuorumError, ambiguous when any attempt may have taken effect; or LogError when
    the last answer was a bundle that is not to be believed.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + patience
    pauses = iter(PAUSES)
    ambiguous = False
    while True:
        try:
            return await attempt(min(ONE_ATTEMPT, deadline - loop.time()))
        except (QuorumError, LogError) as error:
            ambiguous = ambiguous or (isinstance(error, QuorumError) and error.ambiguous)
            pause = random_share(next(pauses, math.inf))
            if loop.time() + pause >= deadline:
                raise _given_up(error, ambiguous) from error
        await asyncio.sleep(pause)


def _given_up(error: QuorumError | LogError, ambiguous: bool) -> QuorumError | LogError:
    if isinstance(error, LogError):  # which says nothing of what was asked for: it may have been delivered, too
        return LogError(
            error.check, f"the keys that were sent are not to be believed: {error.what}", error.todo or "Try again. "
            "If it stays so, tell the service: somebody may be trying to put other keys in the fleet's place"
        )  # fmt: skip
    nothing = "Nothing was changed, as far as the fleet has answered"
    todo = "It may have taken effect all the same; repeating it is safe" if ambiguous else nothing
    return QuorumError(
        f"the fleet did not decide in time: {error.what}", f"{todo}. Try again in a while", ambiguous=ambiguous
    )
