"""A scripted operator: answers what the script expects, unless a test says otherwise, and remembers what it saw."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from hsm_app.ceremony.room import RoomClosed
from hsm_app.operator.ceremonies.custodians import WHO
from hsm_app.operator.ceremonies.play import HOW_TO_GO_ON, STOP, WHAT_HAPPENED

REASON = "somebody dropped a cup"


@dataclass
class ScriptedRoom:
    """`expected` maps a question to its one answer. `leave_at` closes the room at that step's opening."""

    expected: dict[str, str]
    sheets: dict[str, str] = field(default_factory=dict)  # what custodians wrote down
    answers: list[tuple[str, str]] = field(default_factory=list)  # of a test: (part of the question, the next answer)
    mistyped: Callable[[str, str], str | None] = lambda _custodian, _words: None
    leave_at: str = ""
    before_asking: Callable[[], None] = lambda: None
    shown: list[str] = field(default_factory=list)
    steps: list[str] = field(default_factory=list)
    comes: list[str] = field(default_factory=list)  # who comes to the screen next

    def open_step(self, number: int, of: int, step: str, title: str, roles: str) -> None:
        self.steps.append(step)
        self.shown.append(f"== {number}/{of} {title} ({roles})")
        if step == self.leave_at:
            raise RoomClosed("the terminal is gone")

    def say(self, text: str) -> None:
        self.shown.append(text)

    def ask(self, prompt: str) -> str:
        self.before_asking()
        for index, (part, answer) in enumerate(self.answers):
            if part in prompt:
                del self.answers[index]
                return answer
        if prompt == WHO:
            self.comes = self.comes or list(self.sheets)
            return self.comes.pop(0)
        if prompt in (WHAT_HAPPENED, HOW_TO_GO_ON):
            return REASON if prompt == WHAT_HAPPENED else STOP
        return self.expected[prompt.removesuffix(": ")]

    def show_share(self, custodian: str, words: Sequence[str]) -> None:
        self.sheets[custodian] = " ".join(words)

    def ask_share(self, custodian: str) -> str:
        words = self.sheets[custodian]
        return self.mistyped(custodian, words) or words

    def wait(self, text: str) -> None:
        self.shown.append(text)
