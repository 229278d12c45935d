"""The guarded clock, as sentences."""

from __future__ import annotations

import pytest

from hsm_app.errors import QuorumError
from hsm_app.replica.clock import TOLERANCE, GuardedClock


class Hands:
    def __init__(self) -> None:
        self.wall = 1_000_000.0
        self.steady = 50.0

    def pass_seconds(self, seconds: float) -> None:
        self.wall += seconds
        self.steady += seconds

    def clock(self) -> GuardedClock:
        return GuardedClock(lambda: self.wall, lambda: self.steady)


def test_time_that_passes_evenly_is_told() -> None:
    hands = Hands()
    clock = hands.clock()
    hands.pass_seconds(3600)
    assert clock.now() == 1_003_600


@pytest.mark.parametrize("jump", [TOLERANCE + 1, -TOLERANCE - 1, 86400 * 365, -86400])
def test_a_clock_that_jumps_is_refused_until_it_is_right_again(jump: float) -> None:
    hands = Hands()
    clock = hands.clock()
    hands.wall += jump
    for _ in range(2):
        with pytest.raises(QuorumError, match="clock jumped"):
            clock.now()
    hands.wall -= jump
    assert clock.now() == 1_000_000


def test_a_time_daemon_that_slews_slowly_is_followed_however_far_it_goes() -> None:
    hands = Hands()
    clock = hands.clock()
    for _ in range(10):
        hands.wall += TOLERANCE / 2
        clock.now()
    assert clock.now() == int(1_000_000 + 5 * TOLERANCE)
