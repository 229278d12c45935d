"""Fixtures that several rooms share."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from hypothesis import HealthCheck, settings

from tests.evidence.deployment import Deployment
from tests.live_fleet import LiveFleet
from tests.order import put_slowest_first
from tests.ports import free_ports
from tests.postgres_server import PostgresServer, running
from tests.steady_loop import SteadyLoop

# An example, or the making of one, may be slow on a busy machine; speed is no test's matter.
settings.register_profile("vault", deadline=None, suppress_health_check=[HealthCheck.too_slow])
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


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A PostgreSQL server that stays up; each store takes a schema of its own. Tests that hurt a server make one."""
    with running(free_ports(1)[0]) as server:
        yield server


@pytest.fixture(scope="session")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """A sealed fleet with all its evidence. Shared: look only."""
    with Deployment.created(tmp_path_factory.mktemp("deployment") / "one") as made:
        yield made


@pytest.fixture(scope="session")
def other_deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """Another fleet, of people with the same names, for what is swapped between two."""
    with Deployment.created(tmp_path_factory.mktemp("deployment") / "other", fleet="fleet-2") as made:
        yield made


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], SteadyLoop]]:
    """What pytest-asyncio runs asynchronous tests and fixtures on."""
    return {"steady": SteadyLoop}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    put_slowest_first(items)
