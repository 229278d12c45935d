"""A real terminal, line by line: 80 by 24 is enough, and a serial console without colour or cursor keys.

Text is written as lines, and one sequence clears the screen and what can be scrolled back to (ECMA-48: CUP, ED 2;
xterm's ED 3, which a terminal without scroll-back ignores). The terminal edits lines itself, so no library keeps a
history of what was typed. What is not printable is written as a question mark: no token's label moves the cursor.

Interrupts are heard at the next question, and at once while a question waits. So the program is never torn out of
a write to the transcript or a call to a token; whoever interrupts a second time in between gets just that.
"""

from __future__ import annotations

import os
import signal
import sys
import termios
from contextlib import suppress
from types import FrameType

from hsm_app.ceremony.room import RoomClosed
from hsm_app.errors import ConfigError

WIDTH, HEIGHT = 80, 24
CLEAR = "\x1b[H\x1b[2J\x1b[3J"
STRONG, PRIVATE = "32", "31"  # bold green, bold red; the words beside them say the same
KEYBOARD, SCREEN = 0, 1
SIGNALS = (signal.SIGINT, signal.SIGHUP, signal.SIGTERM, signal.SIGQUIT)
NO_TERMINAL = "A ceremony is played by people: run it in a terminal, or with --dry-run"
RESUME = "What is done is written down. Go on with: hsm-vault ceremony resume DIRECTORY"
SOON = b"\r\nThe ceremony pauses at the next question. Interrupt again to stop at once.\r\n"


class Console:
    """The terminal of this process. One for a process, in its main thread: the signals are the console's from now on.

    ConfigError when standard input or output is no terminal, or one that is too small.
    """

    def __init__(self) -> None:
        if not (os.isatty(KEYBOARD) and os.isatty(SCREEN)):
            raise ConfigError("standard input and output are no terminal", NO_TERMINAL)
        columns, lines = os.get_terminal_size(SCREEN)  # a serial console does not know, and says 0
        if 0 < columns < WIDTH or 0 < lines < HEIGHT:
            raise ConfigError(f"the terminal has {columns} columns and {lines} lines", "Make it 80 by 24 or larger")
        self._terminal = os.environ.get("TERM", "dumb")
        self._typed = b""
        self._told = 0  # the signal that somebody sent
        self._is_listening = False
        for number in SIGNALS:
            signal.signal(number, self._interrupted)
        signal.signal(signal.SIGTSTP, signal.SIG_IGN)  # nobody puts a ceremony to sleep with a share on the screen

    @property
    def height(self) -> int:
        """How many lines the terminal has now: a window may be made smaller meanwhile."""
        try:
            return os.get_terminal_size(SCREEN).lines or HEIGHT
        except OSError as error:
            raise _gone() from error

    def line(self, text: str = "", style: str = "") -> None:
        """Write one line. `style` is STRONG or PRIVATE, as far as the terminal and NO_COLOR allow."""
        plain = _printable(text)
        codes = self._codes(style) if style else ""
        self._write(f"\x1b[{codes}m{plain}\x1b[0m\r\n" if codes else f"{plain}\r\n")

    def read(self, prompt: str) -> str:
        """Return the line that is typed after the prompt, without blanks around it. What came earlier is dropped."""
        self._forget()
        return self.read_on(prompt)

    def read_on(self, prompt: str) -> str:
        """Return the next line, which may have been typed before the prompt."""
        self._write(_printable(prompt))
        self._is_listening = True
        try:
            return self._line()
        except OSError as error:
            raise _gone() from error
        finally:
            self._is_listening = False

    def clear(self) -> None:
        """Clear screen, scroll-back and what was typed and not read. Works after an interrupt too."""
        self._put(CLEAR)
        self._forget()

    def _line(self) -> str:
        self._stop_if_told()
        while b"\n" not in self._typed:
            piece = os.read(KEYBOARD, 4096)
            if not piece:
                raise _gone()
            self._typed += piece
        line, _, self._typed = self._typed.partition(b"\n")
        return line.decode(errors="replace").strip()

    def _forget(self) -> None:
        self._typed = b""
        try:
            termios.tcflush(KEYBOARD, termios.TCIFLUSH)
        except termios.error as error:
            raise _gone() from error

    def _write(self, text: str) -> None:
        self._stop_if_told()
        self._put(text)

    def _put(self, text: str) -> None:
        raw = text.encode(sys.stdout.encoding, "replace")
        try:
            while raw:
                raw = raw[os.write(SCREEN, raw) :]
        except OSError as error:
            raise _gone() from error

    def _codes(self, style: str) -> str:
        if self._terminal == "dumb":
            return ""
        no_colour = os.environ.get("NO_COLOR") or self._terminal.startswith(("vt1", "vt2"))
        return "1" if no_colour else f"1;{style}"

    def _stop_if_told(self) -> None:
        if self._told:
            raise _gone() if self._told == signal.SIGHUP else RoomClosed("somebody interrupted the ceremony", RESUME)

    def _interrupted(self, number: int, _frame: FrameType | None) -> None:
        if self._told and not self._is_listening and number != signal.SIGHUP:  # which kernel and shell both send
            raise KeyboardInterrupt
        self._told = number
        if self._is_listening:
            self._stop_if_told()
        with suppress(OSError):  # the terminal may be gone already
            os.write(SCREEN, SOON)


def _gone() -> RoomClosed:
    return RoomClosed("the terminal is gone", RESUME)


def _printable(text: str) -> str:
    return "".join(sign if sign.isprintable() else "?" for sign in text)
