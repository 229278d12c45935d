"""Our server, its keys in a replica's token, and our client, both with the peer's profile."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from hsm_app.fleet.manifest import Argon2Costs
from hsm_app.model import WrappedKey
from hsm_app.opaque import client, server
from hsm_app.opaque.envelope import Identities
from hsm_app.opaque.messages import RegistrationRecord
from hsm_app.opaque.oprf import Blinded
from hsm_app.token.replica_token import Pkcs11Token
from hsm_app.vault.profile import stretch
from tests.peers.serenity import CONTEXT, COSTS


@dataclass(frozen=True, slots=True, kw_only=True)
class OurServer:
    """What a replica does, in its order, without the vault around it."""

    token: Pkcs11Token
    public: bytes
    identities: Identities

    def register(self, blinded: bytes) -> tuple[WrappedKey, bytes]:
        """Return the record's key, made for it in the token, and the response."""
        key, evaluated = self.token.create_record_key(blinded)
        return key, server.registration_response(evaluated, self.public)

    def start_login(self, data: bytes, key: WrappedKey, record: bytes) -> tuple[server.ServerLoginState, bytes]:
        ke1 = server.begin_login(data)
        ke2, state = server.respond(
            ke1,
            RegistrationRecord.from_bytes(record),
            evaluated=self.token.evaluate(key, ke1.blinded),
            dh_static=self.token.opaque_dh(ke1.client_keyshare),
            server_public_key=self.public,
            randomness=server.LoginRandomness(
                masking_nonce=self.token.random(32),
                server_nonce=self.token.random(32),
                keyshare_seed=self.token.random(32),
            ),
            identities=self.identities,
            context=CONTEXT,
        )
        return state, ke2


@dataclass(frozen=True, slots=True, kw_only=True)
class OurClient:
    password: str
    identities: Identities
    server_public_key: bytes
    costs: Argon2Costs = COSTS

    def start_registration(self) -> tuple[Blinded, bytes]:
        state = client.register_start(self.password.encode(), client.scalar_from(secrets.token_bytes(48)))
        return state, state.element

    def finish_registration(self, state: Blinded, response: bytes) -> tuple[bytes, bytes]:
        """Return record and export key."""
        assert response[33:] == self.server_public_key
        return client.register_finish(
            state,
            evaluated=response[:33],
            server_public_key=response[33:],
            envelope_nonce=secrets.token_bytes(32),
            identities=self.identities,
            stretch=stretch(self.costs),
        )

    def start_login(self) -> tuple[client.ClientLoginState, bytes]:
        state = client.login_start(
            self.password.encode(),
            client.LoginRandomness(
                blind=client.scalar_from(secrets.token_bytes(48)),
                nonce=secrets.token_bytes(32),
                keyshare_seed=secrets.token_bytes(32),
            ),
        )
        return state, state.ke1

    def finish_login(self, state: client.ClientLoginState, ke2: bytes) -> client.LoginResult:
        return client.login_finish(
            state,
            ke2,
            identities=self.identities,
            context=CONTEXT,
            stretch=stretch(self.costs),
            server_public_key=self.server_public_key,
        )
