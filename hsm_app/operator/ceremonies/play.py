"""Plays a script: one step after the other, each written down before, while and after it happens.

A ceremony stops in one of three ways. It ends. Somebody pauses it, or the terminal is gone: "paused". Or something is
not as the script expects, a token or a disk fails: an exception sheet, and the program ends with that error. After all
but the first, `resume` goes on with the first step that is not done.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from hsm_app.ceremony.gathering import ALL, BACK, GOES_ON, RESUMED
from hsm_app.ceremony.room import Room, RoomClosed
from hsm_app.ceremony.script import Confirmation, Deed, Script, Step
from hsm_app.ceremony.transcript import EntryKind
from hsm_app.errors import ConfigError, StoreError, VaultError
from hsm_app.operator.ceremonies.journal import Journal

AGAIN, STOP = "again", "stop"
UNEXPECTED = "This is not the answer of the script. An exception sheet is opened."
WHAT_HAPPENED = "What happened? One line; it goes into the public record: "
NOT_EMPTY = "A sheet is not left empty."
HOW_TO_GO_ON = f"Type {AGAIN} to be asked again, or {STOP} to pause the ceremony here: "
PAUSED = "The ceremony is paused. Go on with: hsm-vault ceremony resume"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a deed yields: public results for the transcript, and lines for the people in the room."""

    results: Mapping[str, Any] = field(default_factory=dict)
    says: tuple[str, ...] = ()


Does = Callable[[Step], Outcome]


class Play:
    """One run of a ceremony. `deeds` has what the program does; a step without a deed only speaks and asks."""

    def __init__(self, script: Script, journal: Journal, room: Room) -> None:
        self._script, self._journal, self._room = script, journal, room
        self._step = ""

    def run(self, deeds: Mapping[Deed, Does]) -> None:
        """Play what is not done yet. Raises RoomClosed after a pause, or the error that stopped it."""
        if self._journal.is_ended:
            raise ConfigError("this ceremony has ended", "Sign and publish it: hsm-vault ceremony publish")
        left = [each for each in enumerate(self._script.steps, 1) if self._journal.result(each[1].id) is None]
        try:
            if self._journal.is_resumed and len(left) < len(self._script.steps):
                self._gather_again(left[0][0] if left else len(self._script.steps))
            for number, step in left:
                self._play(number, step, deeds)
            self._journal.write(EntryKind.END)
        except RoomClosed:
            self._journal.write(EntryKind.PAUSED)
            raise
        except StoreError:
            raise  # the disk takes nothing any more; the transcript ends with the last line that it took
        except VaultError as error:
            self._explain(str(error))
            raise

    def confirm(self, confirmation: Confirmation) -> None:
        """Ask until the answer is the script's. RoomClosed when people choose to stop."""
        while True:
            answer = self._room.ask(f"{confirmation.asks}: ")
            self._journal.write(EntryKind.CONFIRMED, self._step, asked=confirmation.asks, answer=answer[:200])
            if answer == confirmation.answer:
                return
            self._room.say(UNEXPECTED)
            self._except(f"answered {answer[:200]!r} to: {confirmation.asks}", self._reason())
            if self._how_to_go_on() == STOP:
                raise RoomClosed(PAUSED)

    def heard(self, token: str, operation: Mapping[str, Any]) -> None:
        """Write down one call that a token was asked for."""
        self._journal.write(EntryKind.OPERATION, self._step, token=token, **operation)

    def excuse(self, what: str) -> None:
        """Open an exception sheet for something that the program noticed and can go on after."""
        self._room.say(what)
        self._except(what, self._reason())

    def _gather_again(self, number: int) -> None:
        """Ask who is here before anything goes on: the roll call was at another time."""
        self._step = RESUMED
        self._room.open_step(number, len(self._script.steps), RESUMED, "The ceremony goes on", ALL)
        self._room.say(GOES_ON)
        self.confirm(BACK)

    def _play(self, number: int, step: Step, deeds: Mapping[Deed, Does]) -> None:
        self._step = step.id
        self._journal.write(EntryKind.STARTED, step.id)
        self._room.open_step(number, len(self._script.steps), step.id, step.title, step.roles)
        for text in step.text:
            self._room.say(text)
        outcome = Outcome() if step.deed is Deed.NONE else deeds[step.deed](step)
        for text in outcome.says:
            self._room.say(text)
        for confirmation in step.confirmations:
            self.confirm(confirmation)
        self._journal.write(EntryKind.DONE, step.id, **outcome.results)

    def _reason(self) -> str:
        while not (reason := self._room.ask(WHAT_HAPPENED)):
            self._room.say(NOT_EMPTY)
        return reason

    def _how_to_go_on(self) -> str:
        while (answer := self._room.ask(HOW_TO_GO_ON)) not in (AGAIN, STOP):
            self._room.say(f"{AGAIN} and {STOP} are the only answers here.")
        return answer

    def _except(self, what: str, reason: str) -> None:
        self._journal.write(EntryKind.EXCEPTION, self._step, what=what, reason=reason[:1000])

    def _explain(self, what: str) -> None:
        """Write an error down with what the people say of it; a terminal that is gone too says nothing."""
        try:
            self._room.say(f"The step failed: {what}")
            reason = self._reason()
        except RoomClosed:
            reason = ""
        self._except(what, reason)
