"""All orders of a few messages, with a maximum of two charges: a second opinion beside `test_any_order`."""

from __future__ import annotations

from hsm_app.vault.record import State
from tests.vault.enumerate_worlds import begun, guesses, lives, states, worlds


def test_every_order_of_guesses() -> None:
    """Four attempts in whatever order and number: after eight messages there is no new world left to reach."""
    found = worlds(begun(), guesses, depth=8)
    assert worlds(begun(), guesses, depth=9) == found
    assert states(found) == {State.ACTIVE, State.DESTROYED}
    assert any(world.record.last_success > 1 and world.record.state is State.DESTROYED for world in found)


def test_every_order_of_replacing_and_deleting() -> None:
    found = worlds(begun(), lives, depth=5, ticks=True)
    assert states(found) == {State.ACTIVE, State.DESTROYED, State.DELETED}
    assert max(world.record.generation for world in found) > 2
