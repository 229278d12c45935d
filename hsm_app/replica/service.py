"""One sealed request in, one sealed answer out: open, dispatch, seal. The only door from the network to the vault.

| what goes wrong | the answer |
|---|---|
| the frame does not open (changed, foreign fleet, other manifest) | REFUSED with a hint and the present bundle |
| anything after that | a sealed `Refusal` as long as the success would have been |
| no majority, or this replica cannot work | the same, marked TRY_ANOTHER for the relay |

TokenError is answered and logged: one bad point must not end a replica, and a token that is gone fails every request,
which its operator sees in the log and the relay by TRY_ANOTHER. An exception of any other kind is a bug and ends the
process (design: errors).
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any

from hsm_app.errors import ConfigError, ProtocolError, QuorumError, StoreError, TokenError, VaultError
from hsm_app.fleet.manifest import Manifest, check_window
from hsm_app.model import FleetId
from hsm_app.replica import keeping, recovering, registering
from hsm_app.replica.desk import Desk
from hsm_app.wire.envelopes import ASK_FOR_BUNDLE, DETAIL_LIMIT, Outcome, Request, Response
from hsm_app.wire.hpke import Receiver
from hsm_app.wire.messages import (
    Activate,
    Answer,
    Cancel,
    ClientRequest,
    Delete,
    RecoverFinish,
    RecoverStart,
    RegisterFinish,
    RegisterStart,
    Status,
)
from hsm_app.wire.refusal import refusal_from
from hsm_app.wire.session import OpenedRequest, open_request, peek_enc, seal_answer, session_info

log = logging.getLogger(__name__)
Handler = Callable[[Desk, Any, int], Awaitable[Answer]]

HANDLERS: dict[type[ClientRequest], Handler] = {
    RegisterStart: registering.start,
    RegisterFinish: registering.finish,
    Activate: registering.activate,
    RecoverStart: recovering.start,
    RecoverFinish: recovering.finish,
    Delete: keeping.delete,
    Cancel: keeping.cancel,
    Status: keeping.status,
}
ELSEWHERE = (QuorumError, TokenError, StoreError, ConfigError)  # another replica may do better


class Service:
    """Answers requests for one replica."""

    def __init__(self, desk: Desk, manifest: Manifest, bundle: Callable[[], bytes]) -> None:
        """`bundle` returns what proves the manifest to clients, b"" for nothing."""
        self._desk = desk
        self._bundle = bundle
        self._manifest = manifest
        info = session_info(FleetId(desk.fleet.fleet), manifest.digest)
        self._receiver = Receiver(desk.fleet.kem_public, info)

    async def answer(self, request: Request) -> Response:
        """Answer one request; never raises a VaultError."""
        if request.sealed == ASK_FOR_BUNDLE:
            bundle = self._bundle()
            detail = "" if bundle else "this replica has nothing yet that proves its keys"
            return Response(id=request.id, outcome=Outcome.REFUSED, sealed=b"", detail=detail, bundle=bundle)
        try:
            enc = peek_enc(request.sealed)
            shared = await self._desk.tokens.run(lambda token: token.kem_shared_x(enc))
            opened = open_request(self._receiver, request.sealed, shared)
        except ProtocolError as error:
            return Response(
                id=request.id, outcome=Outcome.REFUSED, sealed=b"", detail=_hint(error), bundle=self._bundle()
            )
        except TokenError as error:
            log.error("token: %s", error)
            return Response(id=request.id, outcome=Outcome.TRY_ANOTHER, sealed=b"", detail="this replica has no token")
        return await self._sealed(request, opened)

    async def _sealed(self, request: Request, opened: OpenedRequest) -> Response:
        outcome = Outcome.ANSWERED
        answer: Answer
        try:
            message = opened.message()
            check_window(self._manifest, self._desk.clock.now())
            answer = await HANDLERS[type(message)](self._desk, message, request.route)
        except VaultError as error:
            if isinstance(error, ELSEWHERE):
                outcome = Outcome.TRY_ANOTHER
                log.warning("%s: %s", type(error).__name__, error)
            answer = refusal_from(error)
        nonce = await self._desk.entropy.take(32)
        return Response(id=request.id, outcome=outcome, sealed=seal_answer(opened, answer, nonce))


def _hint(error: VaultError) -> str:
    return str(error).encode()[:DETAIL_LIMIT].decode(errors="ignore")
