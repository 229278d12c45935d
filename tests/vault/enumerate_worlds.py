"""Every order of a few messages, up to a depth: small, exhaustive, and without chance.

Worlds that differ only in their event log are taken for one, since no transition reads that log.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from hsm_app.vault.events import NO_EVENTS
from hsm_app.vault.owner import Action
from hsm_app.vault.record import EMPTY, State
from tests.vault.example import NOW, policy
from tests.vault.ledger import Finish, Message, Owned, Register, Start, World, step

DELAY = 10


def begun(*, maximum: int = 2) -> World:
    """Registration 1 is live in generation 1."""
    world = World(record=EMPTY, rules=policy(maximum=maximum, delay=DELAY), now=NOW)
    world, _ = step(world, Register(1, 0))
    world, _ = step(world, Owned(Action.ACTIVATE, target=1))
    return world


def guesses(world: World) -> Iterator[Message]:
    """Four attempts, one of them also with another KE1, and a right or wrong finish of each charge ever made."""
    yield from (Start(number, number) for number in range(4))
    yield Start(0, 9)
    for charge in world.charges:
        for right in (True, False):
            yield Finish(charge.attempt, charge.sequence, charge.generation, right)


def lives(world: World) -> Iterator[Message]:
    """Two attempts, and every way to replace or delete what is live, signed by the first owner or by nobody."""
    yield from (Start(number, number) for number in range(3))
    for charge in world.charges:
        yield Finish(charge.attempt, charge.sequence, charge.generation, True)
    for number in (2, 3):
        yield Register(number, world.record.generation)
        yield Owned(Action.ACTIVATE, target=number)
    yield Owned(Action.ACTIVATE, target=2, signer=1, generation=1)
    yield Owned(Action.DELETE)
    yield Owned(Action.DELETE, signer=1, generation=1)
    yield Owned(Action.CANCEL, signer=1, generation=1)


def successors(world: World, messages: Callable[[World], Iterator[Message]], *, ticks: bool) -> Iterator[World]:
    for message in messages(world):
        after, _ = step(world, message)
        yield replace(after, record=replace(after.record, events=NO_EVENTS))
    if ticks:
        yield replace(world, now=world.now + DELAY)


def worlds(
    first: World, messages: Callable[[World], Iterator[Message]], *, depth: int, ticks: bool = False
) -> set[World]:
    """Return every world within `depth` messages of the first. BrokenPromiseError as soon as one breaks a promise."""
    seen = {first}
    edge = seen
    for _ in range(depth):
        edge = {after for world in edge for after in successors(world, messages, ticks=ticks)} - seen
        seen = seen | edge
    return seen


def states(found: set[World]) -> set[State]:
    return {world.record.state for world in found}
