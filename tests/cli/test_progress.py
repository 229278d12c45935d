"""A bar for somebody who watches something large, and silence otherwise."""

from __future__ import annotations

import io
import sys

import pytest

from hsm_app.cli.progress import LARGE, progress_bar
from hsm_app.client.backup.streams import silent


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_large_work_on_a_terminal_shows_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with progress_bar("Backing up", 2 * LARGE) as progress:
        for _ in range(64):
            progress(LARGE // 64)
    assert "Backing up" in terminal.getvalue()
    assert "50%" in terminal.getvalue()


def test_small_work_shows_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", Terminal())
    with progress_bar("Backing up", LARGE - 1) as progress:
        assert progress is silent


def test_a_log_file_gets_no_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    log = io.StringIO()
    monkeypatch.setattr(sys, "stderr", log)
    with progress_bar("Backing up", 2 * LARGE) as progress:
        progress(LARGE)
    assert log.getvalue() == ""
