"""The one thread that calls the token, and the queue before it.

A PKCS#11 module without locks allows one thread, and asyncio must not block on a device. Jobs wait in a queue; the
owner takes what has gathered, runs it back to back, and hands all results over with one `call_soon_threadsafe`: the
wake-up is the dearest part of the hop. It hands over at the latest every `HOLD` seconds, so that the first job of a
long queue is not answered with the last.

A job that raises fails alone. When the owner cannot go on (the token does not come back after a restart, or a bug),
every job that waits and every later one gets a TokenError, so no caller hangs.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple, Protocol, TypeVar

from hsm_app.errors import TokenError
from hsm_app.ports import Token

T = TypeVar("T")
HOLD = 0.002  # seconds; ten or so small jobs, or two multiplications
NEXT_STEP = "Read the first error of this program, and restart it"


class OwnedToken(Token, Protocol):
    """A token, and what its owner does with it besides jobs."""

    def in_session(self, job: Callable[[Any], T]) -> T:
        """Run what needs the PKCS#11 session itself: for this room's adapters only."""

    def between_jobs(self) -> None:
        """Do what cannot be done during a job. Raises TokenError when the token is lost for good."""

    def close(self) -> None:
        """Log out and give the module free."""


_Future = asyncio.Future[Any] | concurrent.futures.Future[Any]


class _Work(NamedTuple):
    job: Callable[[Any], Any]
    future: _Future


class _Result(NamedTuple):
    future: _Future
    value: Any
    error: BaseException | None


class TokenOwner:
    """Implements `ports.TokenQueue`. Made by `start`; used from one event loop; ended by `close`."""

    def __init__(self) -> None:
        self._queue: SimpleQueue[_Work | None] = SimpleQueue()
        self._ended: TokenError | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread

    @classmethod
    def start(cls, opener: Callable[[], OwnedToken]) -> TokenOwner:
        """Start the thread, and open the token there. Blocks until it is open; raises what `opener` raises."""
        owner = cls()
        opened: SimpleQueue[BaseException | None] = SimpleQueue()
        owner._thread = threading.Thread(target=owner._own, args=(opener, opened), name="token", daemon=True)
        owner._thread.start()
        if (error := opened.get()) is not None:
            raise error
        return owner

    async def run(self, job: Callable[[Token], T]) -> T:
        """Run `job` on the owner thread; return or raise what it does. TokenError when the owner has ended."""
        if self._ended is not None:
            raise self._ended
        loop = self._loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._put(_Work(job, future))
        return await future

    def call(self, job: Callable[[OwnedToken], T]) -> T:
        """Do the same from a thread without a loop, which waits: its result does not wait for the jobs after it."""
        if self._ended is not None:
            raise self._ended
        future: concurrent.futures.Future[T] = concurrent.futures.Future()
        self._put(_Work(job, future))
        return future.result()

    def _put(self, work: _Work) -> None:
        self._queue.put(work)
        # The owner sets `_ended` before it empties the queue for the last time: either it found this job, or we see it.
        if self._ended is not None:
            _settle(_Result(work.future, None, self._ended))

    def close(self) -> None:
        """Let the waiting jobs finish, close the token, and end the thread. Blocks; may be called twice."""
        self._queue.put(None)
        self._thread.join()

    def _own(self, opener: Callable[[], OwnedToken], opened: SimpleQueue[BaseException | None]) -> None:
        try:
            token = opener()
        except BaseException as error:
            self._end(error)
            opened.put(error)
            return
        opened.put(None)
        ending: BaseException | None = None
        try:
            while self._drain(token):
                token.between_jobs()
        except BaseException as error:
            ending = error
        finally:
            self._end(ending)
            token.close()

    def _drain(self, token: Token) -> bool:
        """Wait for work, then do what has gathered. Return False when told to stop."""
        work = self._queue.get()
        results: list[_Result] = []
        deadline = time.monotonic() + HOLD
        try:
            while work is not None:
                if not work.future.cancelled():
                    _run(token, work, results)
                if time.monotonic() > deadline:
                    return True
                work = self._queue.get_nowait()
            return False
        except Empty:
            return True
        finally:
            self._post(results)

    def _post(self, results: list[_Result]) -> None:
        if results and self._loop is not None:
            try:
                self._loop.call_soon_threadsafe(_deliver, results)
            except RuntimeError:
                return  # the loop is closed: nobody waits any more

    def _end(self, cause: BaseException | None) -> None:
        what = "the token has been closed" if cause is None else f"the token's owner has ended: {cause}"
        self._ended = TokenError(what, NEXT_STEP)
        left: list[_Result] = []
        while True:
            try:
                work = self._queue.get_nowait()
            except Empty:
                break
            if work is not None:
                _hand_over(_Result(work.future, None, self._ended), left)
        self._post(left)


def _run(token: Token, work: _Work, results: list[_Result]) -> None:
    try:
        result = _Result(work.future, work.job(token), None)
    except Exception as error:
        result = _Result(work.future, None, error)
    except BaseException as error:
        _hand_over(
            _Result(work.future, None, TokenError(f"the token's owner has ended: {error!r}", NEXT_STEP)), results
        )
        raise
    _hand_over(result, results)


def _hand_over(result: _Result, results: list[_Result]) -> None:
    """A thread that waits gets its result now; what a loop waits for is collected for one wake-up."""
    if isinstance(result.future, concurrent.futures.Future):
        _settle(result)
    else:
        results.append(result)


def _deliver(results: list[_Result]) -> None:
    for result in results:
        _settle(result)


def _settle(result: _Result) -> None:
    future, value, error = result
    if future.done():
        return  # cancelled meanwhile
    with suppress(concurrent.futures.InvalidStateError):  # the owner's end, told by both sides at the same moment
        if error is None:
            future.set_result(value)
        else:
            future.set_exception(error)
