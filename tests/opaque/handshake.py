"""One registration and one login against a server with keys in memory, every byte of it known."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

from hsm_app.opaque import client, server
from hsm_app.opaque.envelope import Identities
from hsm_app.opaque.group import SoftwareKey, check_point, encode
from hsm_app.opaque.messages import RegistrationRecord

PASSWORD, WRONG_PASSWORD = b"correct horse", b"wrong horse"
IDENTITIES = Identities(client=b"alice", server=b"fleet-1")
CONTEXT = b"test-context"


def stretch(message: bytes) -> bytes:
    return hashlib.sha256(b"stretched" + message).digest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """The server of one record, token and all."""

    oprf: SoftwareKey
    static: SoftwareKey
    identities: Identities = IDENTITIES
    context: bytes = CONTEXT

    @property
    def public(self) -> bytes:
        return encode(self.static.public)

    def evaluate(self, blinded: bytes) -> bytes:
        return encode(self.oprf.times(check_point(blinded)))

    def respond(self, data: bytes, record: bytes) -> tuple[bytes, server.ServerLoginState]:
        ke1 = server.begin_login(data)
        return server.respond(
            ke1,
            RegistrationRecord.from_bytes(record),
            evaluated=self.evaluate(ke1.blinded),
            dh_static=encode(self.static.times(ke1.keyshare_point)),
            server_public_key=self.public,
            randomness=server.LoginRandomness(
                masking_nonce=b"\1" * 32, server_nonce=b"\2" * 32, keyshare_seed=b"\3" * 32
            ),
            identities=self.identities,
            context=self.context,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """The client, and what it believes."""

    password: bytes = PASSWORD
    identities: Identities = IDENTITIES
    context: bytes = CONTEXT
    server_public_key: bytes | None = None

    def register(self, at: Server) -> tuple[bytes, bytes]:
        state = client.register_start(self.password, 3)
        return client.register_finish(
            state,
            evaluated=at.evaluate(state.element),
            server_public_key=at.public,
            envelope_nonce=b"\4" * 32,
            identities=self.identities,
            stretch=stretch,
        )

    def start(self) -> client.ClientLoginState:
        return client.login_start(
            self.password, client.LoginRandomness(blind=5, nonce=b"\5" * 32, keyshare_seed=b"\6" * 32)
        )

    def finish(self, login: client.ClientLoginState, ke2: bytes) -> client.LoginResult:
        return client.login_finish(
            login,
            ke2,
            identities=self.identities,
            context=self.context,
            stretch=stretch,
            server_public_key=self.server_public_key,
        )


SERVER = Server(oprf=SoftwareKey(1001), static=SoftwareKey(1002))
CLIENT = Client(server_public_key=SERVER.public)
RECORD, EXPORT_KEY = CLIENT.register(SERVER)
OTHER_SERVER = replace(SERVER, static=SoftwareKey(1003))
