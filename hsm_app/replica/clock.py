"""Wall-clock time that notices when it jumps.

No bound rests on a clock (VAULT-NO-BOUND-ON-CLOCK), but waits, delays and expiry are read from it. A clock that leaps
while the process runs would end them early or freeze records, so this replica then steps aside until its clock is
right again or someone restarts it on purpose; the others of the fleet go on.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from hsm_app.errors import QuorumError

TOLERANCE = 30.0  # seconds; a time daemon slews by less than this between two requests, and steps by more
log = logging.getLogger(__name__)


def _boot_time() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class GuardedClock:
    """Implements ports.Clock. `wall` and `steady` return seconds; `steady` never jumps, also not over a suspend."""

    def __init__(self, wall: Callable[[], float] = time.time, steady: Callable[[], float] = _boot_time) -> None:
        self._wall = wall
        self._steady = steady
        self._offset = wall() - steady()
        self._jumped = False

    def now(self) -> int:
        """Return POSIX seconds. QuorumError while the clock stands more than `TOLERANCE` from where it should."""
        offset = self._wall() - self._steady()
        jump = offset - self._offset
        if abs(jump) > TOLERANCE:
            if not self._jumped:
                log.error("clock jumped by %+.0f s; this replica stops answering until it is right or restarted", jump)
            self._jumped = True
            raise QuorumError(
                f"this replica's clock jumped by {jump:+.0f} s, so it does not answer",
                "Another replica will; its operator should set the clock right, or restart it if the new time is right",
            )
        self._jumped = False
        self._offset = offset  # slow slewing is followed
        return int(self._wall())
