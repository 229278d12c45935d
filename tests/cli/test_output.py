"""Output that does not go where it should: a sentence and an exit code, and no half a file that is in the way later."""

from __future__ import annotations

import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from hsm_app.cli.new_code import NewCode, hand_over
from hsm_app.errors import ConfigError
from hsm_app.key_files import make_key_file
from hsm_app.operator.tenant import replace_token_file
from tests.cli.command import run_without_privileges


@pytest.mark.parametrize("words", [("token", "profile"), ("ceremony", "plan", "rehearsal"), ("--help",)])
def test_a_full_disk_behind_the_output_is_said(words: tuple[str, ...]) -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "hsm_app.cli.main", *words],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert (done.returncode, done.stderr.count("\n"), "No space left" in done.stderr) == (8, 1, True), done.stderr


def test_a_file_that_may_not_even_be_looked_for_is_named(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o000)
    look = "from pathlib import Path; from hsm_app.cli import main; "
    look += f"main.cli.main = lambda **_: Path({str(closed / 'epoch')!r}).exists(); main.main()"
    done = run_without_privileges("-c", look)
    assert (done.returncode, done.stderr.count("\n"), f"cannot use {closed}/epoch" in done.stderr) == (3, 1, True), (
        done.stderr
    )


WRITERS: dict[str, Callable[[Path], object]] = {
    "a code": lambda path: hand_over(NewCode(text="a code", generated=True), path, quiet=False),
    "a key": make_key_file,
    "an account token": lambda path: replace_token_file(path, "token"),
}


@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS.keys())
def test_a_file_that_cannot_be_written_whole_is_not_left_behind(
    write: Callable[[Path], object], tmp_path: Path
) -> None:
    before, ignored = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))  # as a full disk: files are made, and hold nothing
    try:
        with pytest.raises(ConfigError, match="cannot write"):
            write(tmp_path / "file")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)
    assert not list(tmp_path.iterdir())
