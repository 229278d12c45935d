"""What is broken when: the seeded plan of faults. Pure; the same seed gives the same plan.

A plan is a sequence of rounds. In an ordinary round one or two of the five replicas are broken, each in one way, and a
round ends only when all of them are back, so a majority is whole at every moment. An outage round breaks three: then no
operation may succeed, and each has to fail in bounded time. A severed pair of replicas counts one of the two as broken,
since without it all others reach each other.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

REPLICAS = 5
OUTAGE_EVERY = 9  # rounds


class Kind(StrEnum):
    KILL = "SIGKILL and restart"
    PAUSE = "SIGSTOP, then SIGCONT"
    ISOLATE = "all links cut"
    SEVER = "one pair of replicas cut"
    MUTE = "one way: nothing it says arrives"
    DEAFEN = "one way: nothing reaches it"
    LAG = "slow links"
    DISK_FULL = "full disk"
    DISK_SLOW = "slow disk"


OUTAGES = (Kind.KILL, Kind.PAUSE, Kind.ISOLATE)  # those after which a replica surely takes part in nothing
WEIGHTS = {Kind.KILL: 5, Kind.PAUSE: 3, Kind.ISOLATE: 3, Kind.SEVER: 2, Kind.MUTE: 2, Kind.DEAFEN: 2, Kind.LAG: 1,
           Kind.DISK_FULL: 3, Kind.DISK_SLOW: 2}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """`victim` is broken `after` seconds into its round, for `hold` seconds. `other` is the far end of a severed pair.

    `resets`: when links are mended, the connections that were open are reset instead of delivering what was held back.
    """

    kind: Kind
    victim: int
    other: int
    after: float
    hold: float
    resets: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """Faults on different replicas: up to two, or three when it `is_outage`."""

    faults: tuple[Fault, ...]
    is_outage: bool

    def __str__(self) -> str:
        words = "; ".join(f"replica {fault.victim}: {fault.kind}, {fault.hold:.1f} s" for fault in self.faults)
        return f"{'outage, ' if self.is_outage else ''}{words}"


def rounds(seed: int) -> Iterator[Round]:
    """Yield rounds for ever. Every kind occurs in the first nine faults, since a short run has no more."""
    dice = random.Random(seed)
    fresh = dice.sample(list(Kind), len(Kind))
    number = 0
    while True:
        number += 1
        if number % OUTAGE_EVERY == 4:
            yield _outage(dice)
            continue
        victims = dice.sample(range(1, REPLICAS + 1), dice.choice((1, 2, 2)))
        yield Round(faults=tuple(_fault(dice, victim, fresh) for victim in victims), is_outage=False)


def _fault(dice: random.Random, victim: int, fresh: list[Kind]) -> Fault:
    kind = fresh.pop() if fresh else dice.choices(list(WEIGHTS), weights=list(WEIGHTS.values()))[0]
    others = [replica for replica in range(1, REPLICAS + 1) if replica != victim]
    return Fault(
        kind=kind,
        victim=victim,
        other=dice.choice(others),
        after=dice.uniform(0, 1.5),
        # A third of the faults are over before the links' own second of silence has passed.
        hold=dice.uniform(0, 1) if dice.random() < 1 / 3 else dice.uniform(1, 5),
        resets=dice.random() < 0.5,
    )


def _outage(dice: random.Random) -> Round:
    victims = dice.sample(range(1, REPLICAS + 1), 3)
    faults = [Fault(kind=dice.choice(OUTAGES), victim=victim, other=victim, after=0, hold=dice.uniform(1, 3),
                    resets=dice.random() < 0.5) for victim in victims]  # fmt: skip
    return Round(faults=tuple(faults), is_outage=True)
