"""A few hundred seeds, the same run twice, and the mutants.

What the simulated faults cover: loss, repetition, disorder and delay of votes, ended and one-way cut links, kills and
device errors at every point between two durable writes, disks rolled back, wiped and cloned, slow disks, clocks that
jump, requests replayed, several people at one record, a replica replaced meanwhile, and what came in its place too.
What they do not: tokens that lie or are rolled back, disks that lose what they acknowledged, edited rows
(`tests/replica`), OPAQUE, sealed requests, sockets.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.simulation.mutants import MUTANTS, hunt
from tests.simulation.runs import failure_of
from tests.simulation.schedules import SCHEDULES, NewcomersDie
from tests.simulation.world import World

ROOT = Path(__file__).parent.parent.parent
SEEDS, DYING, BLOCK = 200, 20, 20
REPLAYED = (3, 11, 42)


@pytest.mark.parametrize("first", range(0, SEEDS, BLOCK))
def test_no_seed_finds_anything(first: int) -> None:
    for seed in range(first, first + BLOCK):
        assert failure_of(seed) is None


@pytest.mark.parametrize("first", range(0, DYING, BLOCK))
def test_no_seed_finds_anything_where_a_newcomer_dies_too(first: int) -> None:
    """VAULT-MEMBERSHIP-ISSUED-STAYS: and each of these runs comes to its end."""
    for seed in range(first, first + BLOCK):
        world = NewcomersDie(seed)
        world.run()
        assert any("is replaced twice" in line for line in world.lines), seed


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_no_directed_schedule_finds_anything(schedule: type[World]) -> None:
    schedule().run()


def transcripts() -> str:
    """Return a digest of some runs' whole transcripts."""
    digest = hashlib.sha256()
    for seed in REPLAYED:
        world = World(seed)
        world.run()
        digest.update("\n".join(world.lines).encode())
    return digest.hexdigest()


@pytest.mark.parametrize("hash_seed", ["1", "20261123"])
def test_a_run_replays_exactly_in_another_process(hash_seed: str) -> None:
    """What is ordered by hashes or by addresses would differ there."""
    program = "from tests.simulation.test_simulation import transcripts; print(transcripts())"
    environment = os.environ | {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT)}
    other = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=environment, check=True, capture_output=True, text=True
    )
    assert other.stdout.strip() == transcripts()


@pytest.mark.parametrize("name", MUTANTS)
def test_the_simulator_finds_a_vault_that_would(name: str) -> None:
    assert hunt(name) is not None


def test_a_failing_run_prints_its_seed_and_its_transcript() -> None:
    caught = hunt("be content with less than a majority")
    assert caught is not None
    assert "make simulate SEED=" in caught.story
    assert "asks replica" in caught.story
