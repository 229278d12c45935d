"""@serenity-kit/opaque-p256 (opaque-ke in WebAssembly) as a client and as a server, with its names mapped to ours.

It fixes the context to the empty string, stretches with Argon2id (salt of 16 zero bytes, 32 bytes out), and says
identities as text. What its interface lacks is not tried with it: another context, such as the vault's; an identity
that is no UTF-8; randomness from outside, which the RFC's vectors would need; a server's keys in a token, or an OPRF
key that does not derive from its seed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hsm_app.fleet.manifest import Argon2Costs
from hsm_app.opaque.client import LoginResult
from hsm_app.opaque.envelope import Identities
from tests.peers.peer import Peer, octets, text

CONTEXT = b""
COSTS = Argon2Costs(iterations=2, memory_kib=1024, lanes=2)
DEFAULT_COSTS = Argon2Costs(iterations=3, memory_kib=65536, lanes=4)  # its README, "memory constrained"


def said(identities: Identities) -> dict[str, str]:
    """The package's `identifiers`; a side that is not set is left out."""
    both = {"client": identities.client, "server": identities.server}
    return {side: name.decode() for side, name in both.items() if name is not None}


def key_stretching(costs: Argon2Costs) -> dict[str, dict[str, int]]:
    return {"argon2id-custom": {"iterations": costs.iterations, "memory": costs.memory_kib, "parallelism": costs.lanes}}


@dataclass(frozen=True, slots=True, kw_only=True)
class TheirClient:
    """`costs` None leaves the choice to the package."""

    peer: Peer
    password: str
    identities: Identities
    costs: Argon2Costs | None = COSTS

    def start_registration(self) -> tuple[str, bytes]:
        """Return the state and the request."""
        started = self.peer.call("opaque.client.startRegistration", {"password": self.password})
        return started["clientRegistrationState"], octets(started["registrationRequest"])

    def finish_registration(self, state: str, response: bytes) -> tuple[bytes, bytes, bytes]:
        """Return record, export key and the server's public key."""
        given = {"clientRegistrationState": state, "registrationResponse": text(response), **self._common()}
        finished = self.peer.call("opaque.client.finishRegistration", given)
        names = ("registrationRecord", "exportKey", "serverStaticPublicKey")
        record, export_key, public = (octets(finished[name]) for name in names)
        return record, export_key, public

    def start_login(self) -> tuple[str, bytes]:
        """Return the state and KE1."""
        started = self.peer.call("opaque.client.startLogin", {"password": self.password})
        return started["clientLoginState"], octets(started["startLoginRequest"])

    def finish_login(self, state: str, ke2: bytes) -> LoginResult | None:
        """Return None when it refuses KE2."""
        given = {"clientLoginState": state, "loginResponse": text(ke2), **self._common()}
        finished = self.peer.call("opaque.client.finishLogin", given)
        if finished is None:
            return None
        names = ("finishLoginRequest", "sessionKey", "exportKey")
        ke3, session_key, export_key = (octets(finished[name]) for name in names)
        return LoginResult(ke3=ke3, session_key=session_key, export_key=export_key)

    def _common(self) -> dict[str, Any]:
        common = {"password": self.password, "identifiers": said(self.identities)}
        return common if self.costs is None else {**common, "keyStretching": key_stretching(self.costs)}


@dataclass(frozen=True, slots=True, kw_only=True)
class TheirServer:
    """One setup: a static key, and a seed from which OPRF keys of user identifiers derive."""

    peer: Peer
    setup: str
    identities: Identities
    user: str = "user-1"

    def public(self) -> bytes:
        return octets(self.peer.call("opaque.server.getPublicKey", self.setup))

    def register(self, request: bytes) -> bytes:
        given = {"serverSetup": self.setup, "userIdentifier": self.user, "registrationRequest": text(request)}
        return octets(self.peer.call("opaque.server.createRegistrationResponse", given)["registrationResponse"])

    def start_login(self, ke1: bytes, record: bytes | None) -> tuple[str, bytes]:
        """Return the state and KE2. Without a record it is a fake (RFC 9807 section 6.3.2.2)."""
        given = {
            "serverSetup": self.setup,
            "userIdentifier": self.user,
            "registrationRecord": None if record is None else text(record),
            "startLoginRequest": text(ke1),
            "identifiers": said(self.identities),
        }
        started = self.peer.call("opaque.server.startLogin", given)
        return started["serverLoginState"], octets(started["loginResponse"])

    def finish_login(self, state: str, ke3: bytes) -> bytes:
        """Return the session key. PeerError when it refuses KE3."""
        given = {
            "serverLoginState": state,
            "finishLoginRequest": text(ke3),
            "identifiers": said(self.identities),
        }
        return octets(self.peer.call("opaque.server.finishLogin", given)["sessionKey"])
