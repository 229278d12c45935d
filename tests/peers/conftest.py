"""The peers, and a finished replica's token for the server's side."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from hsm_app.token.replica_token import Pkcs11Token
from tests.peers.peer import Peer
from tests.token.fresh import finished


@pytest.fixture(scope="module")
def peer() -> Iterator[Peer]:
    with Peer() as started:
        yield started


@pytest.fixture(scope="module")
def fleet_public(made: tuple[Pkcs11Token, bytes]) -> bytes:
    return made[1]


@pytest.fixture(scope="module")
def token(made: tuple[Pkcs11Token, bytes]) -> Pkcs11Token:
    return made[0]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Pkcs11Token, bytes]]:
    """A sealed replica's token, open, and its `fleet-opaque` public key."""
    replica = finished(tmp_path_factory.mktemp("peers") / "token")
    opened = replica.open()
    try:
        yield opened, replica.commitments.opaque_public
    finally:
        opened.close()
