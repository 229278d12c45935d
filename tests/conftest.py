"""Fixtures that several rooms share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests.live_fleet import LiveFleet

settings.register_profile("vault", deadline=None)  # an example may be slow on a busy machine; speed is no test's matter
settings.load_profile("vault")


@pytest.fixture(scope="session")
def shared_fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveFleet]:
    fleet = LiveFleet.create(tmp_path_factory.mktemp("live") / "fleet")
    try:
        yield fleet
    finally:
        fleet.stop()


@pytest.fixture
def fleet(shared_fleet: LiveFleet) -> LiveFleet:
    """The suite's fleet, all five replicas and the relay running. A test may kill what it likes; use fresh accounts."""
    shared_fleet.start()
    return shared_fleet
