"""Fixtures of the token room: real SoftHSM tokens, each in a directory of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from hsm_app.token.initialise import initialise_token
from hsm_app.token.location import TokenLocation
from hsm_app.token.replica_token import Pkcs11Token
from tests.token.fresh import SO_PIN, USER_PIN, ReplicaToken, blank, finished


@pytest.fixture
def location(tmp_path: Path) -> TokenLocation:
    """A fresh, initialised, empty token."""
    place = blank(tmp_path / "fresh")
    initialise_token(place, SO_PIN, USER_PIN)
    return place


@pytest.fixture(scope="session")
def sealed_token(tmp_path_factory: pytest.TempPathFactory) -> ReplicaToken:
    """The token of a sealed fleet's replica. Shared: a test that changes it takes `replica` instead."""
    return finished(tmp_path_factory.mktemp("sealed") / "token")


@pytest.fixture
def replica(sealed_token: ReplicaToken, tmp_path: Path) -> ReplicaToken:
    """A copy of the sealed replica's token that belongs to this test."""
    return sealed_token.copied_to(tmp_path / "replica")


@pytest.fixture
def token(sealed_token: ReplicaToken) -> Iterator[Pkcs11Token]:
    """The sealed replica's token, open."""
    opened = sealed_token.open()
    try:
        yield opened
    finally:
        opened.close()
