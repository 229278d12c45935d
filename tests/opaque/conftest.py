"""A session on a real SoftHSM token, for keys that a test imports."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pkcs11 import Session

from hsm_app.token.initialise import initialise_token
from tests.token.fresh import SO_PIN, USER_PIN, blank, user


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    place = blank(tmp_path_factory.mktemp("opaque") / "token")
    initialise_token(place, SO_PIN, USER_PIN)
    with user(place) as opened:
        yield opened
