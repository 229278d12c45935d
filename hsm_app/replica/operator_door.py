"""The operator's door: a Unix socket on which the command line of the same host asks a replica to do something.

Who may write to the socket may use it: it is made with mode 0600, so the replica's own user and root. It can be
forwarded, and then whoever holds the other end may. What it can ask for is what `handlers` names; none of it reveals a
secret, and none of it weakens a rule: a replica enters an epoch or signs a sweep for its own reasons only.

Calls of one connection are answered one after the other. A bug in a handler ends the process, as anywhere.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping

from hsm_app.errors import ConfigError, LogError, ProtocolError, VaultError
from hsm_app.net.address import Address, listen_privately
from hsm_app.net.connection import FrameConnection
from hsm_app.wire.operator_call import (
    FRAME_LIMIT,
    TEXT_LIMIT,
    OperatorAnswer,
    OperatorCall,
    decode_call,
    encode_operator_answer,
)

Handler = Callable[[bytes], Awaitable[bytes]]
log = logging.getLogger(__name__)


class OperatorDoor:
    """Accepts the operator's calls. `fail` is called with the exception of a bug."""

    def __init__(self, handlers: Mapping[str, Handler], fail: Callable[[BaseException], None]) -> None:
        self._handlers = handlers
        self._fail = fail
        self._server: asyncio.Server | None = None
        self._busy: dict[FrameConnection, asyncio.Task[None]] = {}
        self._callers: set[FrameConnection] = set()

    async def start(self, address: Address) -> None:
        """Listen. ConfigError when the socket cannot be had, or is none of the file system."""
        if not address.path:
            raise ConfigError(f"the operator's door cannot be at {address}", 'Write operator = "unix:/path"')
        self._server = await listen_privately(address, self._protocol)

    def close(self) -> None:
        """Take no more calls and hang up. A call under way is given up."""
        if self._server is not None:
            self._server.close()
        for task in list(self._busy.values()):
            task.cancel()
        for caller in list(self._callers):
            caller.close("this replica stops")

    def _protocol(self) -> FrameConnection:
        return FrameConnection(
            limit=FRAME_LIMIT,
            idle_seconds=None,
            on_frame=self._received,
            on_close=lambda caller, _: self._callers.discard(caller),
            on_open=self._callers.add,
        )

    def _received(self, caller: FrameConnection, frame: bytes) -> None:
        call = decode_call(frame)
        if caller in self._busy:
            raise ProtocolError("the operator's calls come one after the other")
        self._busy[caller] = asyncio.get_running_loop().create_task(self._serve(caller, call))

    async def _serve(self, caller: FrameConnection, call: OperatorCall) -> None:
        try:
            answer = await self._answer(call)
        except Exception as error:  # every VaultError is answered; what gets here is a bug
            self._fail(error)
            return
        finally:
            del self._busy[caller]
        caller.send(encode_operator_answer(answer))

    async def _answer(self, call: OperatorCall) -> OperatorAnswer:
        try:
            handler = self._handlers.get(call.name)
            if handler is None:
                raise ProtocolError(f"this replica knows no call {call.name!a}", "Use one version everywhere")
            return OperatorAnswer(exit_code=0, body=await handler(call.body))
        except VaultError as error:
            log.warning("the operator's call %s is refused: %s", call.name, error)
            what = f"{error.check}: {error.what}" if isinstance(error, LogError) else error.what
            return OperatorAnswer(exit_code=error.exit_code, what=_short(what), todo=_short(error.todo))


def _short(words: str) -> str:
    return words.encode()[:TEXT_LIMIT].decode(errors="ignore")
