"""`hsm-vault` that is killed at a point which a test names: python -m tests.system.killed POINT ARGUMENTS...

It kills itself there. A test that watched it from outside and killed it would come too late on a busy machine. Points:

- `a page is swept`: the first page of a sweep is kept, and there are more;
- any other words: when it has said a line that contains them.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import click

from hsm_app.cli.main import main
from hsm_app.replica import sweeping

SWEPT = "a page is swept"
say, keep = click.echo, sweeping.replace_file
point = ""


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def say_and_die(message: object = None, *rest: object, **options: object) -> None:
    say(message, *rest, **options)  # type: ignore[arg-type]
    if point in str(message):
        die()


def keep_and_die(path: Path, data: bytes) -> None:
    keep(path, data)
    if b'"is_complete": 0' in data:
        die()


if __name__ == "__main__":
    point = sys.argv.pop(1)
    if point == SWEPT:
        sweeping.replace_file = keep_and_die
    else:
        click.echo = say_and_die
    main()
