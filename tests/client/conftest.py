"""A client that waits for an answer as long as a busy machine needs: it asks no more often than a test counts."""

from __future__ import annotations

import pytest

from hsm_app.client import patience
from tests.client.software_vault import PATIENCE


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test of answers that do not come makes it short."""
    monkeypatch.setattr(patience, "ONE_ATTEMPT", PATIENCE)
