"""The record that the sentences begin with."""

from __future__ import annotations

import pytest

from tests.vault.example import Vault, active_vault


@pytest.fixture
def vault() -> Vault:
    return active_vault()
