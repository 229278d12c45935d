"""A progress bar on the error stream, for work that takes a while and somebody who watches."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click

from hsm_app.client.backup.streams import Progress, silent

LARGE = 32 << 20  # bytes; less is done before a bar would help


@contextmanager
def progress_bar(label: str, length: int) -> Iterator[Progress]:
    """Yield what to tell about bytes done; it shows a bar when `length` is large and the error stream is a terminal."""
    if length < LARGE or not sys.stderr.isatty():
        yield silent
        return
    with click.progressbar(length=length, label=label, file=sys.stderr, update_min_steps=1 << 20) as bar:
        yield bar.update
