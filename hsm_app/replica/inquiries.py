"""Inquiries over a link: the side that asks, and the side that answers. Votes go before: only a few are under way.

An inquiry that the other side cannot answer fails alone; one that is no inquiry ends the connection; a bug in a handler
ends the process. When a link ends,
what was asked over it fails at once. Inquiries are repeatable: nothing here is ever sent twice by itself.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from itertools import count

from hsm_app.errors import ProtocolError, QuorumError, VaultError
from hsm_app.wire.inquiry import Inquiry, InquiryAnswer, decode_answer, decode_inquiry, encode_answer, encode_inquiry

UNDER_WAY = 4  # at each end of a link
PATIENCE = 5.0  # seconds for an answer
Handler = Callable[[bytes], Awaitable[bytes]]
Send = Callable[[bytes], None]
log = logging.getLogger(__name__)


class Asking:
    """What this replica asks one peer. Used on the event loop."""

    def __init__(self) -> None:
        self._send: Send | None = None
        self._waiting: dict[int, asyncio.Future[InquiryAnswer]] = {}
        self._turns = asyncio.Semaphore(UNDER_WAY)
        self._ids = count(1)

    def connected(self, send: Send) -> None:
        """The link is up."""
        self._send = send

    def disconnected(self) -> None:
        """The link is down: nothing that was asked over it will be answered."""
        self._send = None
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(_away())

    async def ask(self, name: str, body: bytes) -> bytes:
        """Ask, and return the answer's body. QuorumError when the peer is away, silent, or does not answer this."""
        async with self._turns:
            if self._send is None:
                raise _away()
            number = next(self._ids)
            answered: asyncio.Future[InquiryAnswer] = asyncio.get_running_loop().create_future()
            self._waiting[number] = answered
            try:
                self._send(encode_inquiry(Inquiry(number, name, body)))
                async with asyncio.timeout(PATIENCE):
                    answer = await answered
            except TimeoutError:
                raise QuorumError(f"a replica has not answered {name} for {PATIENCE:g} s", "Look at its log") from None
            finally:
                del self._waiting[number]
        if answer.body is None:
            raise QuorumError(f"a replica does not answer {name}: {answer.why}", "Look at its log")
        return answer.body

    def hear(self, content: bytes) -> None:
        """Hear an answer. One that comes too late is dropped; ProtocolError for what is no answer."""
        answer = decode_answer(content)
        waiting = self._waiting.get(answer.id)
        if waiting is not None and not waiting.done():
            waiting.set_result(answer)


class Answering:
    """What this replica answers its peers: `handlers` by the names of inquiries. `fail` gets the exception of a bug."""

    def __init__(self, handlers: Mapping[str, Handler], fail: Callable[[BaseException], None]) -> None:
        self._handlers = handlers
        self._fail = fail
        self._tasks: set[asyncio.Task[None]] = set()

    def receive(self, content: bytes, send: Send) -> None:
        """Answer one inquiry, later. ProtocolError for what is none."""
        inquiry = decode_inquiry(content)
        task = asyncio.get_running_loop().create_task(self._answer(inquiry, send))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def close(self) -> None:
        """Give up what has not been answered yet."""
        for task in list(self._tasks):
            task.cancel()

    async def _answer(self, inquiry: Inquiry, send: Send) -> None:
        handler = self._handlers.get(inquiry.name)
        try:
            if handler is None:
                raise ProtocolError(f"this replica knows no inquiry {inquiry.name!r}")
            answer = InquiryAnswer(inquiry.id, await handler(inquiry.body))
        except VaultError as error:
            log.warning("the inquiry %s is not answered: %s", inquiry.name, error)
            answer = InquiryAnswer(inquiry.id, None, error.what)
        except Exception as error:  # a bug: the process must not go on with a state nobody understands
            self._fail(error)
            return
        send(encode_answer(answer))


def _away() -> QuorumError:
    return QuorumError("a replica is not connected", "Look at its log")
