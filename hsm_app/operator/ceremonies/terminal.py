"""The room on a real terminal: 80 by 24 is enough, and a serial console without colour or cursor keys.

Nothing but lines is written, and one sequence that clears the screen and what can be scrolled back to (ECMA-48: ED 2,
CUP; xterm's ED 3, which a terminal that lacks it ignores). Colour is never the only sign of anything; NO_COLOR and
TERM=dumb switch it off. A share stands on the screen between two clearings, also when something goes wrong in between.
Lines are read by the terminal itself, so that no library keeps a history of what was typed.
"""

from __future__ import annotations

import os
import signal
import sys
import textwrap
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from types import FrameType

from hsm_app.ceremony.custody import WORDS
from hsm_app.ceremony.room import RoomClosed
from hsm_app.errors import ConfigError

WIDTH = 78
CLEAR = "\x1b[2J\x1b[H\x1b[3J"
BOLD, PLAIN = "\x1b[1m", "\x1b[0m"
COLUMNS = 4
CLOSED = ("the terminal was closed, or somebody interrupted", "Go on with: hsm-vault ceremony resume DIRECTORY")
NO_TERMINAL = "A ceremony is played by people: run it in a terminal, or with --dry-run"


class TerminalRoom:
    """Implements `Room`. `title` heads every screen; `present` are the participants; `clock` gives POSIX seconds."""

    def __init__(self, title: str, present: Sequence[str], clock: Callable[[], int]) -> None:
        if not (sys.stdin.isatty() and sys.stdout.isatty()):
            raise ConfigError("standard input and output are no terminal", NO_TERMINAL)
        self._title, self._present, self._clock = title, present, clock
        self._bold = not os.environ.get("NO_COLOR") and os.environ.get("TERM", "dumb") != "dumb"
        for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
            signal.signal(number, _hang_up)

    def open_step(self, number: int, of: int, step: str, title: str, roles: str) -> None:
        self._write(CLEAR)
        now = datetime.fromtimestamp(self._clock(), UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        self._line(f"{self._title[: WIDTH - len(now) - 2]:<{WIDTH - len(now)}}{now}")
        self._line("=" * WIDTH)
        self._heading(f"STEP {number} of {of}: {title}")
        self._line(f"{step}; {roles} act"[:WIDTH])
        self._paragraph("Present: " + ", ".join(self._present))
        self._line("-" * WIDTH)

    def say(self, text: str) -> None:
        self._paragraph(text)
        self._line("")

    def ask(self, prompt: str) -> str:
        wrapped = textwrap.wrap(prompt, WIDTH)
        for line in wrapped[:-1]:
            self._line(line)
        return self._read(f"> {wrapped[-1]} " if wrapped else "> ")

    def show_share(self, custodian: str, words: Sequence[str]) -> None:
        with self._private():
            self._heading(f"SHARE OF {custodian}")
            self._paragraph(f"Only {custodian} looks at the screen from here on. Have paper and pen ready.")
            self._read("Press Enter to see your words. ")
            self._write(CLEAR)
            self._heading(f"SHARE OF {custodian}: {len(words)} words, read along each line")
            for start in range(0, len(words), COLUMNS):
                row = words[start : start + COLUMNS]
                self._line("".join(f"{number:>4}. {word:<13}" for number, word in enumerate(row, start + 1)).rstrip())
            self._line("")
            self._paragraph("Write all of them down with their numbers, and compare. They will not be shown again.")
            self._read("Press Enter when you have them; the screen is cleared. ")

    def ask_share(self, custodian: str) -> str:
        typed: list[str] = []
        with self._private():
            self._heading(f"TYPE THE SHARE OF {custodian}")
            self._paragraph(
                f"{WORDS} words, in order, as many in a line as you like; four letters of a word are enough. "
                "An empty line ends it. What you type is cleared afterwards."
            )
            while len(typed) < WORDS:
                words = self._read(f"from word {len(typed) + 1}: ").split()
                if not words:
                    break
                typed += words
        return " ".join(typed)

    def wait(self, text: str) -> None:
        self._paragraph(f"{text} ...")

    @contextmanager
    def _private(self) -> Iterator[None]:
        """Clear screen and scroll-back before and after, whatever happens."""
        self._write(CLEAR)
        try:
            yield
        finally:
            self._write(CLEAR)

    def _read(self, prompt: str) -> str:
        self._write(prompt)
        try:
            line = sys.stdin.readline()
        except (KeyboardInterrupt, OSError, UnicodeDecodeError):
            line = ""
        if not line.endswith("\n"):
            raise RoomClosed(*CLOSED)
        return line.strip()

    def _heading(self, text: str) -> None:
        for line in textwrap.wrap(text, WIDTH):
            self._line(f"{BOLD}{line}{PLAIN}" if self._bold else line)

    def _paragraph(self, text: str) -> None:
        for line in textwrap.wrap(text, WIDTH):
            self._line(line)

    def _line(self, text: str) -> None:
        self._write(f"{text}\n")

    def _write(self, text: str) -> None:
        try:
            sys.stdout.write(text)
            sys.stdout.flush()
        except OSError as error:
            raise RoomClosed(*CLOSED) from error


def _hang_up(_number: int, _frame: FrameType | None) -> None:
    """Somebody interrupts, the terminal is gone, or the machine shuts down: stop here, with everything written down."""
    raise RoomClosed(*CLOSED)
