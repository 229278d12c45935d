"""Fixtures that several rooms share."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator

import pytest
from hypothesis import HealthCheck, settings

from hsm_app.operator.ceremonies.play import AGAIN, HOW_TO_GO_ON
from tests.evidence.deployment import Deployment
from tests.evidence.replacement import CLOCK, OBJECTION, Replaced
from tests.live_fleet import LiveFleet
from tests.order import put_slowest_first
from tests.ports import free_ports
from tests.postgres_server import PostgresServer, running
from tests.steady_loop import SteadyLoop

# An example, and drawing it, may be slow on a busy machine; speed is no test's matter.
settings.register_profile("vault", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("vault")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a shell starts its background jobs so, and programs inherit it
    signal.signal(signal.SIGINT, signal.default_int_handler)


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


@pytest.fixture(scope="session")
def unlucky(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """A maintained fleet whose clock was doubted; Ben did not sign, Cleo, a custodian, objects. Shared: look only."""
    root = tmp_path_factory.mktemp("deployment") / "unlucky"
    answers = [(CLOCK, "five minutes slow"), (HOW_TO_GO_ON, AGAIN)]
    with Deployment.created(
        root, custody="maintained", answers=answers, silent=(2,), objections={3: OBJECTION}
    ) as made:
        yield made


@pytest.fixture(scope="session")
def replaced(unlucky: Deployment) -> Iterator[Replaced]:
    """The token of replica 2 of that fleet was replaced, and all went well. Shared: look only."""
    with Replaced.created(unlucky) as made:
        yield made


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], SteadyLoop]]:
    """What pytest-asyncio runs asynchronous tests and fixtures on."""
    return {"steady": SteadyLoop}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    put_slowest_first(items)
