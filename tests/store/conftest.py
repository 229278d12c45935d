"""A server for the session, and a place of either kind for each test."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from hsm_app.ports import Store
from tests.postgres_server import PostgresServer
from tests.store.places import FilePlace, Place, fresh_place


@pytest.fixture(params=["SQLite", "PostgreSQL"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """The place of a store, on either kind in turn. A missing server is an error, not a skip."""
    if request.param == "SQLite":
        return FilePlace(tmp_path / "votes.db")
    server: PostgresServer = request.getfixturevalue("postgres_server")
    return fresh_place(server)


@pytest.fixture
def store(place: Place) -> Iterator[Store]:
    with closing(place.open()) as opened:
        yield opened
