"""Ask the fleet one thing and get its answer, through losses: seal, send, open, and again when that may help.

Tried again, with the same ids and freshly sealed, are only: a lost or silent connection, a relay or replica that cannot
serve now, an ambiguous majority, and an answer that does not open (somebody on the way changed it). Every request is
safe to repeat: attempt id, registration id and generation see to it. What the fleet itself refuses is final.
"""

from __future__ import annotations

import asyncio
import math
from typing import TypeVar

from hsm_app.client.config import VaultConfig
from hsm_app.client.randomness import random_bytes, random_share
from hsm_app.client.transport import RelayConnection
from hsm_app.errors import ProtocolError, QuorumError
from hsm_app.wire.envelopes import Response
from hsm_app.wire.messages import Answer, ClientRequest, Refusal
from hsm_app.wire.refusal import raise_refusal
from hsm_app.wire.session import RESPONSE_KEY, SealedRequest, open_answer, seal_request, session_info

ONE_ATTEMPT = 16.0  # seconds; the relay gives up after 15 by itself
PAUSES = (0.25, 0.5, 1.0, 2.0, 4.0)  # seconds between the attempts
T = TypeVar("T")


class Exchange:
    """Asks on behalf of one configured client."""

    def __init__(self, config: VaultConfig, connection: RelayConnection) -> None:
        self._config = config
        self._connection = connection
        self._info = session_info(config.fleet.fleet, config.manifest.digest)
        self._route = config.subject.route()

    async def ask(self, request: ClientRequest, *expected: type[T]) -> T:
        """Return the fleet's answer, one of the types `expected`.

        Raises what the fleet refused with, or when patience is out a QuorumError; it is ambiguous when any attempt may
        have taken effect.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._config.patience
        pauses = iter(PAUSES)
        ambiguous = False
        while True:
            try:
                return _checked(await self._once(request, min(ONE_ATTEMPT, deadline - loop.time())), expected)
            except QuorumError as error:
                ambiguous = ambiguous or error.ambiguous
                pause = random_share(next(pauses, math.inf))
                if loop.time() + pause >= deadline:
                    raise _given_up(error, ambiguous) from error
            await asyncio.sleep(pause)

    async def _once(self, request: ClientRequest, seconds: float) -> Answer:
        sealed = seal_request(self._config.fleet.kem_public, self._info, request, random_bytes(RESPONSE_KEY))
        response = await self._connection.ask(self._route, sealed.sealed, seconds)
        answer = _opened(sealed, response)
        if isinstance(answer, Refusal):
            raise_refusal(answer)
        return answer


def _opened(sealed: SealedRequest, response: Response) -> Answer:
    if not response.sealed:
        # Nobody vouches for this text: it is shown as the relay's word, and never decides anything.
        hint = "".join(character for character in response.detail if character.isprintable())
        raise QuorumError(f"the relay cannot serve now and says: {hint or 'nothing'}", ambiguous=True)
    try:
        return open_answer(sealed, response.sealed)
    except ProtocolError as error:
        raise QuorumError(f"an answer cannot be read: {error.what}", ambiguous=True) from error


def _checked(answer: Answer, expected: tuple[type[T], ...]) -> T:
    if isinstance(answer, expected):
        return answer
    raise ProtocolError(f"the fleet answered with {type(answer).__name__}", "Update the client")


def _given_up(error: QuorumError, ambiguous: bool) -> QuorumError:
    todo = "It may have taken effect all the same; repeating it is safe" if ambiguous else "Nothing was changed"
    return QuorumError(
        f"the fleet did not decide in time: {error.what}", f"{todo}. Try again in a while", ambiguous=ambiguous
    )
