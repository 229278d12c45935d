"""A terminal of 80 by 24 that a test types into and looks at: a tmux server for each test, with a socket of its own.

What runs in it is the foreground job of a shell, as at a login: the terminal's signals reach it, and it can be stopped.
The shell writes its exit code down and stays, since tmux 3.3 does not always notice that a process has ended, and
writes over the screen when it does. It is dash, with a trap for SIGINT: when an interrupt has ended its job, bash ends
too, trap or not.
"""

from __future__ import annotations

import shlex
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.patience import PATIENCE

COLUMNS, LINES = 80, 24
SHELL = 'set -m; trap : INT; "$@"; echo $? >"$0"; exec sleep infinity'


class Pane:
    """One terminal, and what runs in it."""

    def __init__(self, socket: Path) -> None:
        self._socket = socket
        self._code = socket.with_suffix(".code")
        self._code.unlink(missing_ok=True)

    def type(self, text: str) -> None:
        """Type a line, and Enter."""
        self.tmux("send-keys", "-t", "pane", "-l", "--", text)
        self.press("Enter")

    def press(self, key: str) -> None:
        """Press a key by tmux's name: Enter, C-c, C-d, C-z."""
        self.tmux("send-keys", "-t", "pane", key)

    def screen(self) -> str:
        return self.tmux("capture-pane", "-p", "-t", "pane")

    def moment(self) -> tuple[str, str]:
        """Return the screen and the place of the cursor, of one moment: a prompt waits where it stands behind it."""
        screen, _, cursor = self.tmux(
            "capture-pane", "-p", "-t", "pane", ";", "display-message", "-p", "-t", "pane", "#{cursor_x} #{cursor_y}"
        ).rstrip("\n").rpartition("\n")  # fmt: skip
        return f"{screen}\n", cursor

    def has_ended(self) -> bool:
        return self._code.exists() and self._code.read_text().endswith("\n")

    def unbroken(self) -> str:
        """Return the screen with the lines joined that the terminal had to break."""
        return self.tmux("capture-pane", "-p", "-J", "-t", "pane")

    def keep(self, path: Path) -> None:
        """Write all that comes from now on to a file as well: what is cleared from the screen stays there."""
        path.touch()
        self.tmux("pipe-pane", "-t", "pane", f"cat >> {shlex.quote(str(path))}")

    def styled(self) -> str:
        """Return the screen with the colours that are left on it."""
        return self.tmux("capture-pane", "-p", "-e", "-t", "pane")

    def everything(self) -> str:
        """Return the scroll-back and the screen."""
        return self.tmux("capture-pane", "-p", "-S", "-", "-t", "pane")

    def wait_for(self, text: str) -> str:
        """Return the screen as soon as it shows `text`, in whatever lines it is broken into."""
        return self.wait_until(lambda: text in " ".join(self.screen().split()), text)

    def wait_until(self, is_there: Callable[[], bool], what: str) -> str:
        """Return the screen as soon as something is there."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            if is_there():
                return self.screen()
            time.sleep(0.05)
        raise AssertionError(f"{what!r} does not come; the screen is:\n{self.screen()}")

    def exit_code(self) -> int:
        """Return the exit code of what ran in the pane, once it has ended."""
        self.wait_until(self.has_ended, "the end")
        return int(self._code.read_text())

    def run(self, command: Sequence[str], size: tuple[int, int]) -> None:
        """Open the terminal."""
        line = shlex.join(["dash", "-c", SHELL, str(self._code), *command])
        self.tmux(
            "new-session", "-d", "-s", "pane", "-x", str(size[0]), "-y", str(size[1]), "--", f"exec {line}",
            ";", "set-option", "-g", "status", "off",
        )  # fmt: skip

    def close(self) -> None:
        """Take the terminal away from what runs in it, as the end of a connection does."""
        self.tmux("kill-server")

    def tmux(self, *arguments: str) -> str:
        command = ["tmux", "-S", str(self._socket), "-f", "/dev/null", *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=PATIENCE).stdout


@contextmanager
def pane(
    socket: Path, command: Sequence[str], environment: Mapping[str, str], size: tuple[int, int] = (COLUMNS, LINES)
) -> Iterator[Pane]:
    """Run a command in a terminal. Fails, never skips, without tmux."""
    assert shutil.which("tmux"), "tmux is not installed: run scripts/test-deps"
    opened = Pane(socket)
    opened.run(["env", *(f"{name}={value}" for name, value in environment.items()), *command], size)
    try:
        yield opened
    finally:
        running = ["tmux", "-S", str(socket), "kill-server"]
        subprocess.run(running, check=False, capture_output=True, timeout=PATIENCE)  # a test may have closed it
