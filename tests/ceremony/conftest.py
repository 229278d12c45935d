"""Geneses that went as they should, made once. Shared: look only."""

from __future__ import annotations

import pytest

from tests.ceremony.stage import MAINTAINED, Rehearsal


@pytest.fixture(scope="session")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> Rehearsal:
    rehearsal = Rehearsal(tmp_path_factory.mktemp("genesis") / "sealed")
    rehearsal.play()
    return rehearsal


@pytest.fixture(scope="session")
def maintained(tmp_path_factory: pytest.TempPathFactory) -> Rehearsal:
    rehearsal = Rehearsal(tmp_path_factory.mktemp("genesis") / "maintained", MAINTAINED)
    rehearsal.play()
    return rehearsal
