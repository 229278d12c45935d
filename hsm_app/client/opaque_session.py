"""The client's half of OPAQUE (RFC 9807) in this vault's profile, for one fleet and one subject."""

from __future__ import annotations

from dataclasses import dataclass, field

from hsm_app.client.randomness import random_bytes
from hsm_app.errors import ProtocolError
from hsm_app.fleet.manifest import Fleet
from hsm_app.model import Subject
from hsm_app.opaque.client import (
    ClientLoginState,
    LoginRandomness,
    login_finish,
    login_start,
    register_finish,
    register_start,
    scalar_from,
)
from hsm_app.opaque.envelope import Identities
from hsm_app.opaque.messages import NONCE
from hsm_app.opaque.oprf import Blinded
from hsm_app.vault.profile import CONTEXT, client_identity, oprf_input, server_identity, stretch

SEED = 32  # bytes of a keyshare's seed
BLIND = 48  # random bytes of a blind


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistrationStart:
    """`blinded` (33 bytes) goes to the fleet."""

    state: Blinded = field(repr=False)

    @property
    def blinded(self) -> bytes:
        return self.state.element


class OpaqueSession:
    """Registrations and logins. Codes come in normalised; the finishes take the time that Argon2id demands."""

    def __init__(self, fleet: Fleet, subject: Subject) -> None:
        self._fleet = fleet
        self._subject = subject
        self._stretch = stretch(fleet.argon2)
        self._identities = Identities(client=client_identity(subject), server=server_identity(fleet.fleet))

    def start_registration(self, code: str) -> RegistrationStart:
        return RegistrationStart(state=register_start(self._password(code), scalar_from(random_bytes(BLIND))))

    def finish_registration(self, start: RegistrationStart, evaluated: bytes, public: bytes) -> tuple[bytes, bytes]:
        """Return the OPAQUE record (129 bytes) and the export key. ProtocolError unless `public` is the manifest's."""
        if public != self._fleet.opaque_public:
            raise ProtocolError(
                "the fleet names another OPAQUE key than the manifest", "Do not use this fleet; tell its operator"
            )
        return register_finish(
            start.state,
            evaluated=evaluated,
            server_public_key=public,
            envelope_nonce=random_bytes(NONCE),
            identities=self._identities,
            stretch=self._stretch,
        )

    def start_login(self, code: str) -> ClientLoginState:
        """Return the state of one guess; its `ke1` (98 bytes) goes to the fleet, always the same one for this guess."""
        randomness = LoginRandomness(
            blind=scalar_from(random_bytes(BLIND)), nonce=random_bytes(NONCE), keyshare_seed=random_bytes(SEED)
        )
        return login_start(self._password(code), randomness)

    def finish_login(self, login: ClientLoginState, ke2: bytes) -> tuple[bytes, bytes]:
        """Return KE3 and the export key. AuthenticationFailed when the code is wrong or the server is another."""
        result = login_finish(
            login,
            ke2,
            identities=self._identities,
            context=CONTEXT,
            stretch=self._stretch,
            server_public_key=self._fleet.opaque_public,
        )
        return result.ke3, result.export_key

    def _password(self, code: str) -> bytes:
        return oprf_input(code, subject=self._subject, fleet=self._fleet.fleet)
