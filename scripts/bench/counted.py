"""What the replicas counted during a run (votes, anchors, batches, round trips), as each tells it at SIGUSR1."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

MARK = "counters "


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """Sums over the replicas. `batches[n]`: those of up to 2 ** n votes, and more than half of that."""

    votes: int
    anchors: int
    batches: tuple[int, ...]
    one_round: int
    two_rounds: int
    more_rounds: int

    def __sub__(self, before: Counted) -> Counted:
        return Counted(
            votes=self.votes - before.votes,
            anchors=self.anchors - before.anchors,
            batches=tuple(now - then for now, then in zip(self.batches, before.batches, strict=True)),
            one_round=self.one_round - before.one_round,
            two_rounds=self.two_rounds - before.two_rounds,
            more_rounds=self.more_rounds - before.more_rounds,
        )

    @property
    def operations(self) -> int:
        return self.one_round + self.two_rounds + self.more_rounds


def parse(log: str) -> dict[str, Any]:
    """Return the counters of the last line of a log that tells them."""
    told: dict[str, Any] = json.loads(log.rpartition(MARK)[2].partition("\n")[0])
    return told


def total(told: Sequence[dict[str, Any]]) -> Counted:
    """Return the sums over replicas."""
    return Counted(
        votes=sum(one["votes"] for one in told),
        anchors=sum(one["anchors"] for one in told),
        batches=tuple(map(sum, zip(*(one["batches"] for one in told), strict=True))),
        one_round=sum(one["one_round"] for one in told),
        two_rounds=sum(one["two_rounds"] for one in told),
        more_rounds=sum(one["more_rounds"] for one in told),
    )


def sizes(batches: Sequence[int]) -> dict[str, int]:
    """Say how many batches were how large, for people."""
    return {
        "1" if n == 0 else f"{(1 << (n - 1)) + 1} to {1 << n}" if n > 1 else "2": count
        for n, count in enumerate(batches)
        if count
    }
