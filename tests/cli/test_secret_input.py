"""Secrets come from a descriptor or a terminal without echo, and from nowhere else."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from hsm_app.cli.secret_input import LIMIT, chosen_secret, secret_line
from hsm_app.errors import ConfigError
from tests.patience import PATIENCE


def pipe(data: bytes) -> int:
    read_end, write_end = os.pipe()
    os.write(write_end, data)
    os.close(write_end)
    return read_end


LINES = {
    "a line": (b"secret\n", "secret"),
    "a line without an end": (b"secret", "secret"),
    "a line of another system": (b"secret\r\n", "secret"),
    "the first of two lines": (b"secret\nmore\n", "secret"),
    "spaces that belong to it": (b" a b \n", " a b "),
    "text beyond ASCII": ("é☂\n".encode(), "é☂"),
}


@pytest.mark.parametrize(("data", "secret"), LINES.values(), ids=LINES.keys())
def test_a_descriptor_gives(data: bytes, secret: str) -> None:
    descriptor = pipe(data)
    assert secret_line(descriptor, "code") == secret
    os.close(descriptor)


def test_what_follows_the_line_is_left_for_others() -> None:
    descriptor = pipe(b"one\ntwo\n")
    assert [secret_line(descriptor, "code"), chosen_secret(descriptor, "code")] == ["one", "two"]
    os.close(descriptor)


FAULTS = {
    "nothing": (b"", "is empty"),
    "an empty line": (b"\nsecret\n", "is empty"),
    "bytes that are no text": (b"s\xff\n", "is not UTF-8"),
    "more than a line": (b"x" * (LIMIT + 1), "is too long"),
}


@pytest.mark.parametrize(("data", "said"), FAULTS.values(), ids=FAULTS.keys())
def test_a_descriptor_is_refused_that_gives(data: bytes, said: str) -> None:
    descriptor = pipe(data)
    with pytest.raises(ConfigError, match=said):
        secret_line(descriptor, "code")
    os.close(descriptor)


def test_a_descriptor_that_is_not_open() -> None:
    descriptor = pipe(b"")
    os.close(descriptor)
    with pytest.raises(ConfigError, match=f"from descriptor {descriptor}: Bad file descriptor"):
        secret_line(descriptor, "code")


PROGRAM = """
from hsm_app.cli.secret_input import chosen_secret, secret_line
from hsm_app.errors import ConfigError
import sys
try:
    print("got", len({}), flush=True)
except ConfigError as error:
    print("refused:", error, flush=True)
"""


class Terminal:
    """A program on a terminal of its own, and what that terminal shows."""

    def __init__(self, call: str) -> None:
        self.pid, self._descriptor = pty.fork()
        if self.pid == 0:
            os.execv(sys.executable, [sys.executable, "-c", PROGRAM.format(call)])
        self.shown = b""

    def wait_for(self, text: bytes, times: int = 1) -> None:
        deadline = time.monotonic() + PATIENCE
        while self.shown.count(text) < times:
            if not select.select([self._descriptor], [], [], max(0.0, deadline - time.monotonic()))[0]:
                raise AssertionError(f"{text!r} was not shown, but {self.shown!r}")
            self.shown += os.read(self._descriptor, 1024)

    def type(self, text: bytes) -> None:
        os.write(self._descriptor, text)

    def close(self) -> None:
        os.close(self._descriptor)
        os.waitpid(self.pid, 0)


@pytest.fixture
def asked_once() -> Iterator[Terminal]:
    terminal = Terminal("secret_line(None, 'recovery code')")
    yield terminal
    terminal.close()


@pytest.fixture
def asked_twice() -> Iterator[Terminal]:
    terminal = Terminal("chosen_secret(None, 'new code')")
    yield terminal
    terminal.close()


def test_a_terminal_shows_nothing_of_what_is_typed(asked_once: Terminal) -> None:
    asked_once.wait_for(b"Recovery code: ")
    asked_once.type(b"open sesame\n")
    asked_once.wait_for(b"got 11")
    assert b"sesame" not in asked_once.shown


def test_nothing_typed_is_no_secret(asked_once: Terminal) -> None:
    asked_once.wait_for(b"Recovery code: ")
    asked_once.type(b"\n")
    asked_once.wait_for(b"refused: nothing was typed")


def test_a_chosen_secret_is_typed_twice(asked_twice: Terminal) -> None:
    asked_twice.wait_for(b"New code: ")
    asked_twice.type(b"open sesame\n")
    asked_twice.wait_for(b"New code, once more: ")
    asked_twice.type(b"open sesame\n")
    asked_twice.wait_for(b"got 11")


def test_two_entries_that_differ_are_refused(asked_twice: Terminal) -> None:
    asked_twice.wait_for(b"New code: ")
    asked_twice.type(b"open sesame\n")
    asked_twice.wait_for(b"New code, once more: ")
    asked_twice.type(b"open sesam\n")
    asked_twice.wait_for(b"refused: the two entries of the new code differ")


def test_without_a_terminal_nothing_is_read_from_standard_input() -> None:
    program = PROGRAM.format("secret_line(None, 'recovery code')")
    done = subprocess.run(
        [sys.executable, "-c", program],
        input="open sesame\n", text=True, capture_output=True, check=True, start_new_session=True,
    )  # fmt: skip
    assert "refused: there is no terminal to ask on" in done.stdout
