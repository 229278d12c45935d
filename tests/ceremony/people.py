"""The people of a ceremony at a real terminal: they read the screen, answer as it says, and keep their sheets."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

from tests.ceremony.pane import Pane
from tests.patience import PATIENCE

STEP = re.compile(r"^  STEP (\d+) of (\d+): (.+)$", re.MULTILINE)
ASKED = re.compile(r"type '?([\w ]+?)'?:$")
SHOWN = re.compile(r"THE SHARE OF (\w+): 20 words")
WANTED = re.compile(r"TYPE THE SHARE OF (\w+)")
PROMPT = re.compile(rf"{ASKED.pattern}|Press Enter .*\.$|^from word +\d+:$")


class People:
    """`steps` are the numbers of the steps they saw, `screens` what stood there whenever they were to do something."""

    def __init__(self, pane: Pane) -> None:
        self._pane = pane
        self._done: tuple[str, str] | None = None
        self.sheets: dict[str, list[str]] = {}
        self.steps: list[int] = []
        self.screens: list[str] = []

    def play(self, leave: Callable[[str], bool] = lambda _: False) -> None:
        """Do what the screen asks for until the program ends; press Ctrl-C at the first screen to `leave` at."""
        while (screen := self._next()) is not None:
            self.screens.append(screen)
            self.steps += [int(number) for number, _, _ in STEP.findall(screen) if int(number) not in self.steps]
            if leave(screen):
                self._pane.press("C-c")
                return
            self._act(screen, screen.rstrip().splitlines()[-1])

    def _next(self) -> str | None:
        """Return the screen when it waits for something new, None when the program has ended."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            if self._pane.has_ended():
                return None
            moment = self._pane.moment()
            if moment != self._done and _waits(*moment):
                self._done = moment
                return moment[0]
            time.sleep(0.05)
        raise AssertionError(f"nothing more happens; the screen is:\n{self._pane.screen()}")

    def _act(self, screen: str, prompt: str) -> None:
        if shown := SHOWN.search(screen):
            parts = screen.split()
            self.sheets[shown[1]] = [parts[parts.index(f"{number}.") + 1] for number in range(1, 21)]
        if wanted := WANTED.search(screen):
            self._pane.type(" ".join(self.sheets[wanted[1]]))
        elif asked := ASKED.search(prompt):
            self._pane.type(asked[1])
        else:
            self._pane.press("Enter")


def _waits(screen: str, cursor: str) -> bool:
    """Say whether the cursor stands behind a prompt, which is the last that was written.

    Not behind a part of one, nor behind a part of the answer: a terminal that is slow shows those for a moment, too.
    """
    column, row = (int(number) for number in cursor.split())
    lines = screen.splitlines()
    is_last = not "".join(lines[row + 1 :]).strip()
    if not is_last or row >= len(lines):
        return False
    prompt = lines[row].rstrip()
    return column == len(prompt) + 1 and PROMPT.search(prompt) is not None
