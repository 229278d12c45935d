"""The chaos run in brief, and its parts: a ledger that forgives, or a plan that breaks too much, proves nothing."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from pathlib import Path

import pytest

from hsm_app.errors import DenyReason
from tests.chaos.device import Tally
from tests.chaos.disks import ProcessDisk
from tests.chaos.ledger import MAXIMUM, Broken, Ledger
from tests.chaos.report import Story, line, longest_gap, percentile, text
from tests.chaos.run import VERIFY_SECONDS, Run
from tests.chaos.schedule import Kind, rounds
from tests.chaos.wires import Wires

SECRET = b"s" * 32
Act = Callable[[Ledger], object]


def live() -> Ledger:
    ledger = Ledger("somebody")
    ledger.activated(1, "right", SECRET, b"k")
    return ledger


def guesses(count: int) -> list[Act]:
    """Wrong guesses, each answered as it should be."""
    return [act for left in range(MAXIMUM - 1, MAXIMUM - 1 - count, -1) for act in _guess(left)]


def _guess(left: int) -> tuple[Act, Act]:
    return Ledger.evaluated, lambda ledger: ledger.guessed_wrong(left)


SUCCESS: list[Act] = [Ledger.evaluated, lambda ledger: ledger.opened(SECRET, 1, 0)]
GHOST: Act = lambda ledger: ledger.abandoned(0)  # noqa: E731
DESTROYED: Act = lambda ledger: ledger.refused(DenyReason.DESTROYED)  # noqa: E731

KEPT: dict[str, list[Act]] = {
    "ten wrong guesses, and the end": [*guesses(10), DESTROYED],
    "nine, a success, and ten more": [*guesses(9), *SUCCESS, *guesses(10), DESTROYED],
    "a ghost that charged": [GHOST, Ledger.evaluated, lambda ledger: ledger.guessed_wrong(8)],
    "a ghost that did not": [GHOST, *guesses(1)],
    "nine guesses and a ghost make an end": [*guesses(9), GHOST, DESTROYED],
    "a repeated finish gives nothing back": [
        *SUCCESS, *guesses(2), lambda ledger: ledger.reopened(SECRET), lambda ledger: ledger.told("active", 1, 8),
    ],
    "a late deletion buries what is destroyed": [
        lambda ledger: ledger.deleted(2), lambda ledger: ledger.activated(3, "new", SECRET, b"k"), *guesses(10),
        lambda ledger: ledger.told("deleted", 4, 0),
    ],
}  # fmt: skip
BROKEN: dict[str, list[Act]] = {
    "an eleventh guess": [*guesses(9), *[Ledger.evaluated] * 2],
    "nine guesses, a repeated finish, nine guesses": [
        *SUCCESS, *guesses(9), lambda ledger: ledger.reopened(SECRET), *[Ledger.evaluated] * 2,
    ],
    "one guess costs nothing": [*guesses(2), Ledger.evaluated, lambda ledger: ledger.guessed_wrong(8)],
    "one guess costs two": [Ledger.evaluated, lambda ledger: ledger.guessed_wrong(8)],
    "a repeated finish gives something back": [
        *SUCCESS, *guesses(2), lambda ledger: ledger.reopened(SECRET), lambda ledger: ledger.told("active", 1, 10),
    ],
    "destroyed too early": [*guesses(8), DESTROYED],
    "destroyed, and status says active": [*guesses(10), lambda ledger: ledger.told("active", 1, 0)],
    "a record that is forgotten": [lambda ledger: ledger.refused(DenyReason.NO_RECORD)],
    "a change that is forgotten": [
        lambda ledger: ledger.activated(2, "new", b"n", b"k"), Ledger.evaluated,
        lambda ledger: ledger.opened(SECRET, 1, 0),
    ],
    "a generation that goes back": [lambda ledger: ledger.told("active", 0, 10)],
    "a generation that is given twice": [lambda ledger: ledger.activated(1, "new", SECRET, b"k")],
    "a deletion that is undone": [lambda ledger: ledger.deleted(2), Ledger.evaluated],
    "deleted by nobody": [*guesses(10), lambda ledger: ledger.told("deleted", 2, 0)],
}  # fmt: skip


@pytest.mark.parametrize("history", KEPT.values(), ids=KEPT.keys())
def test_a_kept_promise_is_none_broken(history: list[Act]) -> None:
    ledger = live()
    for act in history:
        act(ledger)


@pytest.mark.parametrize("history", BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_promise_is_seen_at_its_last_step(history: list[Act]) -> None:
    ledger = live()
    for act in history[:-1]:
        act(ledger)
    with pytest.raises(Broken):
        history[-1](ledger)


def test_no_round_breaks_more_than_a_minority_but_an_outage() -> None:
    for seed in range(50):
        for plan in itertools.islice(rounds(seed), 60):
            victims = [fault.victim for fault in plan.faults]
            assert len(set(victims)) == len(victims)
            assert len(victims) == 3 if plan.is_outage else len(victims) in (1, 2)
            assert all(fault.other != fault.victim for fault in plan.faults if fault.kind is Kind.SEVER)


def test_a_seed_replays_and_soon_shows_every_kind() -> None:
    for seed in range(20):
        plan = list(itertools.islice(rounds(seed), 12))
        assert plan == list(itertools.islice(rounds(seed), 12))
        assert {fault.kind for each in plan for fault in each.faults} == set(Kind)
        assert any(each.is_outage for each in plan)


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(100):
        writer.write(data)
    writer.close()


@pytest.mark.parametrize("direction", [(1, 2), (2, 1)], ids=["out", "back"])
@pytest.mark.parametrize("resets", [False, True], ids=["delivered when mended", "reset when mended"])
async def test_a_cut_wire_carries_nothing_that_way(direction: tuple[int, int], resets: bool) -> None:
    wires = Wires()
    servers = [await asyncio.start_server(_echo, "127.0.0.1", 0) for _ in range(2)]
    await wires.start({number: server.sockets[0].getsockname()[1] for number, server in enumerate(servers, 1)})
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", wires.ports[1, 2])
        writer.write(b"before")
        assert await reader.readexactly(6) == b"before"
        wires.cut([direction])
        writer.write(b"during")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.readexactly(1), 0.3)
        wires.mend([direction], resets=resets)
        if resets:
            with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
                await reader.readexactly(6)
        else:
            assert await reader.readexactly(6) == b"during"
        writer.close()
    finally:
        await wires.close()
        for server in servers:
            server.close()


def test_percentiles_and_gaps() -> None:
    assert percentile([4, 1, 3, 2], 0.5) == 2
    assert percentile([], 0.5) == 0
    assert longest_gap([5.0, 1.0, 2.0]) == 3.0


def test_the_last_line_is_for_scripts() -> None:
    story = Story(seed=7, findings=["x"])
    assert line(story, Tally()).startswith('CHAOS {"seed": 7, ')
    assert '"findings": 1' in line(story, Tally())
    assert "FOUND       x" in text(story, Tally())


@pytest.mark.parametrize("seed", [20])
def test_a_fleet_under_fire_keeps_its_promises(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    """Without image disks, so that it does the same for everybody; `make chaos` uses them where it may.

    Nor does it judge speed as `make chaos` does: other tests run beside it.
    """
    monkeypatch.setattr("tests.chaos.site.make_disk", ProcessDisk)
    for bound in ("REFUSED_SECONDS", "BACK_SECONDS"):
        monkeypatch.setattr(f"tests.chaos.run.{bound}", VERIFY_SECONDS)
    run = Run(tmp_path / "fleet", seed, owners=6, sieges=1, say=print)
    asyncio.run(run.go(20))
    print(text(run.story, run.tally))
    assert run.story.findings == []
    assert run.story.rounds >= 1
    assert len(run.tally.successes) > 50
