"""The owner thread: batches, errors that stay with their job, an end that leaves nobody hanging, and recycling."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import pytest

from hsm_app.errors import TokenError
from hsm_app.opaque.group import TWO_G, encode
from hsm_app.ports import Token
from hsm_app.token import owner as owner_module
from hsm_app.token.owner import OwnedToken, TokenOwner
from tests.token.fresh import ReplicaToken

PATIENCE = 60  # seconds that a test waits for what has to come


class Idle:
    """A token that does nothing: what is tested is the queue before it."""

    def __init__(self, rest: Callable[[], None] = lambda: None) -> None:
        self.rest = rest
        self.closed = 0

    def between_jobs(self) -> None:
        self.rest()

    def close(self) -> None:
        self.closed += 1


def owner_of(idle: Idle) -> TokenOwner:
    return TokenOwner.start(lambda: cast(OwnedToken, idle))


async def test_a_job_returns_its_result_from_the_one_thread() -> None:
    owner = owner_of(Idle())
    threads = await asyncio.gather(*(owner.run(lambda _: threading.get_ident()) for _ in range(20)))
    owner.close()
    assert len(set(threads)) == 1 != threading.get_ident()


async def test_a_job_gets_the_token() -> None:
    idle = Idle()
    owner = owner_of(idle)
    assert await owner.run(lambda token: cast(Any, token)) is idle
    owner.close()


async def test_a_job_that_raises_fails_alone() -> None:
    owner = owner_of(Idle())

    def fail(_: Token) -> None:
        raise TokenError("this one")

    results = await asyncio.gather(
        owner.run(lambda _: 1), owner.run(fail), owner.run(lambda _: 2), return_exceptions=True
    )
    owner.close()
    assert results[0] == 1
    assert results[2] == 2
    assert isinstance(results[1], TokenError)


async def test_results_of_one_batch_come_with_one_wake_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(owner_module, "HOLD", PATIENCE)  # no result is held for so long that it goes by itself
    owner = owner_of(Idle())
    loop = asyncio.get_running_loop()
    wake_ups = 0
    own = loop.call_soon_threadsafe

    def counted(*args: Any, **kwargs: Any) -> Any:
        nonlocal wake_ups
        wake_ups += 1
        return own(*args, **kwargs)

    monkeypatch.setattr(loop, "call_soon_threadsafe", counted)
    held = threading.Event()
    first = asyncio.ensure_future(owner.run(lambda _: held.wait(PATIENCE)))
    await asyncio.sleep(0.01)
    rest = [asyncio.ensure_future(owner.run(lambda _: None)) for _ in range(50)]
    await asyncio.sleep(0)
    held.set()
    await asyncio.gather(first, *rest)
    owner.close()
    assert wake_ups <= 3


async def test_a_long_queue_is_answered_on_the_way() -> None:
    owner = owner_of(Idle())
    heard = threading.Event()
    first = asyncio.ensure_future(owner.run(lambda _: time.sleep(2 * owner_module.HOLD)))
    rest = [asyncio.ensure_future(owner.run(lambda _: heard.wait(PATIENCE))) for _ in range(10)]
    try:
        await asyncio.wait_for(first, PATIENCE / 2)
        assert not any(job.done() for job in rest)
    finally:
        heard.set()
    assert all(await asyncio.gather(*rest))
    owner.close()


async def test_a_cancelled_job_is_not_run_and_harms_nobody() -> None:
    owner = owner_of(Idle())
    held, ran = threading.Event(), []
    first = asyncio.ensure_future(owner.run(lambda _: held.wait(PATIENCE)))
    second = asyncio.ensure_future(owner.run(lambda _: ran.append("second")))
    third = asyncio.ensure_future(owner.run(lambda _: ran.append("third")))
    await asyncio.sleep(0.01)
    first.cancel()
    second.cancel()
    await asyncio.sleep(0)
    held.set()
    await third
    owner.close()
    assert ran == ["third"]


def test_what_the_opener_raises_is_raised() -> None:
    def fail() -> OwnedToken:
        raise TokenError("no such token")

    with pytest.raises(TokenError, match="no such token"):
        TokenOwner.start(fail)


async def test_closing_finishes_what_waits_and_refuses_what_comes() -> None:
    idle = Idle()
    owner = owner_of(idle)
    waiting = [asyncio.ensure_future(owner.run(lambda _: 7)) for _ in range(5)]
    await asyncio.sleep(0)
    await asyncio.to_thread(owner.close)
    assert await asyncio.gather(*waiting) == [7] * 5
    with pytest.raises(TokenError, match="has been closed"):
        await owner.run(lambda _: 8)
    owner.close()
    assert idle.closed == 1


def lost() -> None:
    raise TokenError("the token did not come back")


def broken() -> None:
    raise ZeroDivisionError


@pytest.mark.parametrize("rest", [lost, broken], ids=["a lost token", "a bug"])
async def test_when_the_owner_dies_nobody_hangs(rest: Callable[[], None]) -> None:
    idle = Idle(rest)
    owner = owner_of(idle)
    held = threading.Event()
    first = asyncio.ensure_future(owner.run(lambda _: held.wait(PATIENCE)))
    await asyncio.sleep(0.02)
    held.set()
    await first
    for _ in range(3):
        with pytest.raises(TokenError, match="the token's owner has ended"):
            await asyncio.wait_for(owner.run(lambda _: 1), PATIENCE)
    owner.close()
    assert idle.closed == 1


async def test_a_job_that_ends_its_thread_ends_the_owner() -> None:
    owner = owner_of(Idle())

    def leave(_: Token) -> None:
        raise SystemExit

    results = await asyncio.wait_for(
        asyncio.gather(owner.run(leave), owner.run(lambda _: 1), return_exceptions=True), PATIENCE
    )
    assert all(isinstance(result, TokenError) for result in results)
    owner.close()


async def test_a_recycled_token_drops_no_request(sealed_token: ReplicaToken) -> None:
    """On SoftHSM: the module is finalised and initialised dozens of times under load, and no job notices."""
    owner = TokenOwner.start(lambda: sealed_token.open(recycle_after=20))
    sessions = set()
    blinded = encode(TWO_G)
    key, evaluated = await owner.run(lambda token: token.create_record_key(blinded))

    def evaluate(token: Token) -> bytes:
        sessions.add(id(cast(Any, token)._session))
        return token.evaluate(key, blinded)

    async def client() -> None:
        for _ in range(10):
            assert await owner.run(evaluate) == evaluated

    await asyncio.gather(*(client() for _ in range(16)))
    await asyncio.to_thread(owner.close)
    assert len(sessions) > 1


# -- a thread that waits, without a loop


def test_a_waiting_thread_gets_the_result_or_the_error() -> None:
    owner = owner_of(Idle())
    assert owner.call(lambda _: threading.get_ident()) != threading.get_ident()
    with pytest.raises(ZeroDivisionError):
        owner.call(lambda _: 1 // 0)
    owner.close()
    with pytest.raises(TokenError, match="has been closed"):
        owner.call(lambda _: 1)


async def until_queued(owner: TokenOwner, jobs: int) -> None:
    async with asyncio.timeout(PATIENCE):
        await asyncio.sleep(0)  # a task that was made has put its job there
        while owner._queue.qsize() != jobs:
            await asyncio.sleep(0.001)


async def test_a_waiting_thread_does_not_wait_for_the_jobs_behind_its_own() -> None:
    owner = owner_of(Idle())
    begin, release = threading.Event(), threading.Event()
    before = asyncio.ensure_future(owner.run(lambda _: begin.wait(PATIENCE)))
    await until_queued(owner, 0)
    waiting = asyncio.ensure_future(asyncio.to_thread(owner.call, lambda _: "mine"))
    await until_queued(owner, 1)
    behind = asyncio.ensure_future(owner.run(lambda _: release.wait(PATIENCE)))  # in the same drain
    await until_queued(owner, 2)
    begin.set()
    assert await waiting == "mine"
    assert not behind.done()
    release.set()
    assert await asyncio.gather(before, behind) == [True, True]
    owner.close()


def call_often(owner: TokenOwner) -> None:
    for _ in range(1000):  # the first ones may run before the owner notices its end
        owner.call(lambda _: 1)


def test_when_the_owner_dies_a_waiting_thread_gets_its_error() -> None:
    owner = owner_of(Idle(broken))
    with ThreadPoolExecutor() as threads:
        calls = [threads.submit(call_often, owner) for _ in range(4)]
        assert all(isinstance(call.exception(PATIENCE), TokenError) for call in calls)
