"""Runs of many seeds: what a failing one prints, and how many processes share the work."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from typing import NamedTuple

from tests.simulation.ledger import FoundError
from tests.simulation.world import World

BLOCK = 10  # seeds that a process takes at a time


class Run(NamedTuple):
    """One seed's figures, and what it found."""

    seed: int
    evaluations: int
    choices: int  # values chosen
    starts: int
    refused: int  # starts
    story: str | None


@dataclass(slots=True)
class Total:
    """Of many runs. `stories` are the transcripts of those that found something."""

    seeds: int = 0
    evaluations: int = 0
    choices: int = 0
    starts: int = 0
    refused: int = 0
    seconds: float = 0.0

    def add(self, run: Run) -> None:
        self.seeds += 1
        self.evaluations += run.evaluations
        self.choices += run.choices
        self.starts += run.starts
        self.refused += run.refused

    @property
    def seeds_per_minute(self) -> float:
        return 60 * self.seeds / self.seconds if self.seconds else 0.0


def run(seed: int) -> Run:
    """Run one seed."""
    world = World(seed)
    story = None
    try:
        world.run()
    except FoundError as found:
        story = story_of(world, found)
    starts = sum(" starts: " in line for line in world.lines)
    refused = sum(" does not start: " in line for line in world.lines)
    return Run(seed, world.ledger.evaluations, world.ledger.choices, starts, refused, story)


def story_of(world: World, found: FoundError) -> str:
    """Return what a person needs to understand a run that failed, and to run it again."""
    again = f"make simulate SEED={world.seed}"
    return "\n".join([f"seed {world.seed} ({again})", *world.lines, f"seed {world.seed}: {found}"])


def failure_of(seed: int) -> str | None:
    return run(seed).story


def run_block(first: int) -> list[Run]:
    """Run some seeds. A world refers to itself all over, and the collector is slow to come by itself."""
    gc.collect()
    return [run(seed) for seed in range(first, first + BLOCK)]


def run_all(first: int, count: int, workers: int) -> Iterator[tuple[Run, float]]:
    """Run `count` seeds from `first` on, in spawned processes; yield each run and the seconds since the beginning."""
    began = time.monotonic()
    blocks = range(first, first + count, BLOCK)
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        for block in pool.map(run_block, blocks):
            for one in block:
                if one.seed < first + count:
                    yield one, time.monotonic() - began
