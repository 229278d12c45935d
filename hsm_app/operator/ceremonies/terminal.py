"""The room on a terminal: what a step, a question and a share look like at 80 by 24.

A share stands on the screen between two clearings, also when something goes wrong in between. It comes after the
custodian pressed Enter, so that everybody else has looked away, and goes at the next Enter. Shares go nowhere else. A
word that is not in the list is told at once, where only its custodian looks, and typed again. Words of a share that
somebody types at a question, whose answer would go into the public record, are answered by a clearing.

What does not fit on the screen, or would be cleared before anybody could read it, waits for Enter: a serial console has
nothing to scroll back to.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime

from hsm_app.ceremony.custody import WORDS
from hsm_app.ceremony.words import is_like_a_share, nearest, word_of
from hsm_app.operator.ceremonies.console import PRIVATE, STRONG, WIDTH, Console

TEXT = WIDTH - 2  # a full line makes some terminals wrap
COLUMNS = 4
WRONG_PLACE = (
    "These were words like those of a share. They are not written down, and the screen was cleared. A share is typed "
    "only where the screen says so. Answer in other words."
)
MORE = "-- Press Enter to read on. "


class TerminalRoom:
    """Implements `Room`. `title` heads each screen; `present` are the participants; `clock` gives POSIX seconds."""

    def __init__(self, title: str, present: Sequence[str], clock: Callable[[], int]) -> None:
        self._title, self._present, self._clock = title, ", ".join(present), clock
        self._console = Console()
        self._rows = 0  # written since people last pressed a key

    def open_step(self, number: int, of: int, step: str, title: str, roles: str) -> None:
        self._let_read()
        self._clear()
        now = datetime.fromtimestamp(self._clock(), UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        self._line(f"{textwrap.shorten(self._title, TEXT - len(now) - 2):<{TEXT - len(now)}}{now}")
        self._line("=" * TEXT)
        self._heading(f"STEP {number} of {of}: {title}", STRONG)
        self._paragraph(f"Who acts: {roles}. In the record: {step}.")
        self._paragraph(f"Who is here: {self._present}.")
        self._line("-" * TEXT)
        self._line()

    def say(self, text: str) -> None:
        self._paragraph(text)
        self._line()

    def ask(self, prompt: str) -> str:
        while is_like_a_share(line := self._asked(prompt)):
            self._clear()
            self.say(WRONG_PLACE)
        return line

    def _asked(self, prompt: str) -> str:
        lines = textwrap.wrap(prompt, TEXT - 4)
        for line in lines[:-1]:
            self._line(f"  {line}")
        return self._read(f"> {lines[-1] if lines else ''} ")

    def show_share(self, custodian: str, words: Sequence[str]) -> None:
        with self._private():
            self._heading(f"THE SHARE OF {custodian}", PRIVATE)
            self._paragraph(f"Only {custodian} looks at this screen from here on. Have paper and a pen ready.")
            self._line()
            self._read("Press Enter to see the words. ")
            self._clear()
            self._heading(f"THE SHARE OF {custodian}: {len(words)} words, line by line", PRIVATE)
            for start in range(0, len(words), COLUMNS):
                row = enumerate(words[start : start + COLUMNS], start + 1)
                self._line("".join(f"{number:>4}. {word:<13}" for number, word in row).rstrip())
                self._line()
            self._paragraph("Write each down with its number, and compare. They are not shown again.")
            self._line()
            self._read("Press Enter when all are on paper. The screen is cleared then. ")

    def ask_share(self, custodian: str) -> str:
        typed: list[str] = []
        with self._private():
            self._heading(f"TYPE THE SHARE OF {custodian}", PRIVATE)
            self._paragraph(
                f"{WORDS} words in their order, as many in a line as you like. The first four letters of a word are "
                "enough. An empty line ends it early. The screen is cleared afterwards."
            )
            self._line()
            while len(typed) < WORDS:
                words = self._console.read_on(f"from word {len(typed) + 1:>2}: ").split()
                if not words:
                    break
                typed += self._known(words, len(typed))
        return " ".join(typed)

    def wait(self, text: str) -> None:
        for line in textwrap.wrap(f"{text} ...", TEXT):
            self._console.line(line)

    def _known(self, words: Sequence[str], before: int) -> Sequence[str]:
        """Return the words up to the first that is not in the list, and tell of that one."""
        for place, word in enumerate(words):
            if word_of(word) is None:
                near = ", ".join(nearest(word))
                wrong = f"word {before + place + 1} is not in the list" + (f"; near it are: {near}" if near else "")
                for line in textwrap.wrap(f"{wrong}. Go on from there.", TEXT):
                    self._console.line(line)
                return words[:place]
        return words

    @contextmanager
    def _private(self) -> Iterator[None]:
        """Clear screen and scroll-back before and after, whatever happens."""
        self._let_read()
        self._clear()
        try:
            yield
        finally:
            self._clear()

    def _heading(self, text: str, style: str) -> None:
        self._line()
        for line in textwrap.wrap(text, TEXT - 4):
            self._line(f"  {line}", style)
        self._line()

    def _paragraph(self, text: str) -> None:
        """Write it in one piece, if it fits on a screen: words that are read aloud are not torn apart."""
        lines, page = textwrap.wrap(text, TEXT), self._console.height - 2
        if len(lines) <= page < self._rows + len(lines):
            self._let_read()
        for line in lines:
            self._line(line)

    def _line(self, text: str = "", style: str = "") -> None:
        if self._rows >= self._console.height - 2:
            if not text:
                return
            self._read(MORE)
        self._console.line(text, style)
        self._rows += 1

    def _let_read(self) -> None:
        if self._rows:
            self._read(MORE)

    def _read(self, prompt: str) -> str:
        line = self._console.read(prompt)
        self._rows = 0
        return line

    def _clear(self) -> None:
        self._console.clear()
        self._rows = 0
