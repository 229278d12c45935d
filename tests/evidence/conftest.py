"""A maintained fleet that went less well, and the replacement of one of its tokens, for the tests of this room."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from hsm_app.operator.ceremonies.play import AGAIN, HOW_TO_GO_ON
from tests.evidence.deployment import Deployment
from tests.evidence.replacement import CLOCK, OBJECTION, Replaced


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
