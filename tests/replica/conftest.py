"""Replicas that bear with a busy machine: whoever of them is silent in a test is silent for good."""

from __future__ import annotations

import pytest

from hsm_app.replica import inquiries, links, peers
from tests.replica.link_group import PATIENCE


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test of what one of these does makes it short."""
    monkeypatch.setattr(peers, "SILENCE_SECONDS", PATIENCE)
    monkeypatch.setattr(links, "HANDSHAKE_SECONDS", PATIENCE)
    monkeypatch.setattr(inquiries, "PATIENCE", PATIENCE)
