"""Ask the fleet one thing and get its answer, through losses: seal, send, open, and again when that may help.

What is tried again, and for how long, stands in `client.patience`; each time it is the same request with the same ids,
freshly sealed. What the fleet itself refuses is final.

When the fleet has entered a new epoch meanwhile, its replicas do not open what was sealed under the last one, and send
their bundle. A client that believes it goes on with the same request under the new manifest: a guess that was begun
stays one guess. That holds while the fleet's keys and costs are the ones that the operation began with; else it ends.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

from hsm_app.client.config import VaultConfig, usable_fleet
from hsm_app.client.patience import patiently
from hsm_app.client.randomness import random_bytes
from hsm_app.client.transport import RelayConnection
from hsm_app.errors import ConfigError, ProtocolError, QuorumError
from hsm_app.fleet.manifest import Fleet, Manifest
from hsm_app.wire.envelopes import Response, printable_hint
from hsm_app.wire.messages import Answer, ClientRequest, Refusal
from hsm_app.wire.refusal import raise_refusal
from hsm_app.wire.session import RESPONSE_KEY, SealedRequest, open_answer, seal_request, session_info

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Session:
    """The manifest that requests are sealed under, and the fleet in it."""

    manifest: Manifest
    fleet: Fleet

    @property
    def info(self) -> bytes:
        return session_info(self.fleet.fleet, self.manifest.digest)


class Exchange:
    """Asks on behalf of one configured client. `session` may change with any answer."""

    def __init__(self, config: VaultConfig, connection: RelayConnection) -> None:
        """ConfigError when the fleet is not one to work with."""
        self._config = config
        self._connection = connection
        self._route = config.subject.route()
        self.session = self._session(config.trust.manifest)

    async def ask(self, request: ClientRequest, *expected: type[T]) -> T:
        """Return the fleet's answer, one of the types `expected`.

        Raises what the fleet refused with, ConfigError when its keys are others now, or what `patiently` gives up with.
        """
        answer = await patiently(lambda seconds: self._once(request, seconds), self._config.patience)
        if isinstance(answer, expected):
            return answer
        raise ProtocolError(f"the fleet answered with {type(answer).__name__}", "Update the client")

    async def _once(self, request: ClientRequest, seconds: float) -> Answer:
        session = self.session
        sealed = seal_request(session.fleet.kem_public, session.info, request, random_bytes(RESPONSE_KEY))
        response = await self._connection.ask(self._route, sealed.sealed, seconds)
        if response.bundle:
            self._follow(response.bundle)
        answer = _opened(sealed, response)
        if isinstance(answer, Refusal):
            raise_refusal(answer)
        return answer

    def _follow(self, bundle: bytes) -> None:
        """Go on under the manifest of a bundle that is believed. The request is asked again then."""
        following = self._session(self._config.trust.follow(bundle))
        before, after = self.session.fleet, following.fleet
        for name in ("kem_public", "opaque_public", "argon2"):
            if getattr(before, name) != getattr(after, name):
                raise ConfigError(
                    f"the fleet {after.fleet} has another {name} since epoch {following.manifest.epoch}",
                    "What was under way has ended; run the command again under the new keys",
                )
        self.session = following

    def _session(self, manifest: Manifest) -> Session:
        return Session(manifest, usable_fleet(self._config, manifest))


def _opened(sealed: SealedRequest, response: Response) -> Answer:
    if not response.sealed:
        # Nobody vouches for this text: it is shown as the relay's word, and never decides anything.
        hint = printable_hint(response.detail)
        raise QuorumError(f"the relay cannot serve now and says: {hint or 'nothing'}", ambiguous=True)
    try:
        return open_answer(sealed, response.sealed)
    except ProtocolError as error:
        raise QuorumError(f"an answer cannot be read: {error.what}", ambiguous=True) from error
