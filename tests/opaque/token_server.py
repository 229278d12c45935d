"""An OPAQUE server whose two keys are objects of a SoftHSM token. The scalars are a test's, so they are imported."""

from __future__ import annotations

from typing import Any

from pkcs11 import Session

from hsm_app.opaque import server
from hsm_app.opaque.envelope import Identities
from hsm_app.opaque.group import Point, SoftwareKey, check_point, encode, multiply
from hsm_app.opaque.messages import RegistrationRecord
from hsm_app.token.objects import shared_x
from tests.token.fresh import known_key


class TokenKey:
    """A private key in the token; `public` as its owner would have stored it."""

    def __init__(self, session: Session, scalar: int) -> None:
        self._object: Any = known_key(session, scalar)
        self.public = encode(SoftwareKey(scalar).public)

    def times(self, point: bytes) -> bytes:
        """Return scalar times point, 33 bytes, by two derives in the token."""
        return encode(self._multiply(check_point(point)))

    def _multiply(self, point: Point) -> Point:
        return multiply(lambda asked: shared_x(self._object, asked), check_point(self.public), point)


class TokenServer:
    """One client's server: the OPRF key of its record, and the static key."""

    def __init__(self, oprf: TokenKey, static: TokenKey, *, context: bytes, identities: Identities) -> None:
        self.oprf, self.static = oprf, static
        self._context, self._identities = context, identities

    def register(self, blinded: bytes) -> bytes:
        return server.registration_response(self.oprf.times(blinded), self.static.public)

    def login(
        self, data: bytes, record: bytes, randomness: server.LoginRandomness
    ) -> tuple[bytes, server.ServerLoginState]:
        ke1 = server.begin_login(data)
        return server.respond(
            ke1,
            RegistrationRecord.from_bytes(record),
            evaluated=self.oprf.times(ke1.blinded),
            dh_static=self.static.times(ke1.client_keyshare),
            server_public_key=self.static.public,
            randomness=randomness,
            identities=self._identities,
            context=self._context,
        )
