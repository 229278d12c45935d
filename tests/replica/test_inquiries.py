"""Inquiries over real links, beside votes."""

from __future__ import annotations

import asyncio

import pytest

from hsm_app.errors import ConfigError, QuorumError
from hsm_app.model import ReplicaId
from hsm_app.replica import inquiries
from tests.replica.link_group import linked, until

TWO = ReplicaId(2)


async def echo(body: bytes) -> bytes:
    return body * 2


async def refuse(_body: bytes) -> bytes:
    raise ConfigError("not here", "Ask another")


async def never(_body: bytes) -> bytes:
    await asyncio.Event().wait()
    return b""


async def test_an_inquiry_is_answered_by_its_handler() -> None:
    async with linked(2) as (one, two):
        two.inquiries["echo"] = echo
        asked = [one.peers.inquire(TWO, "echo", bytes([number])) for number in range(50)]
        assert await asyncio.gather(*asked) == [bytes([number]) * 2 for number in range(50)]


async def test_an_inquiry_that_is_refused_or_unknown_fails_alone() -> None:
    async with linked(2) as (one, two):
        two.inquiries.update(refuse=refuse, echo=echo)
        with pytest.raises(QuorumError, match="not here"):
            await one.peers.inquire(TWO, "refuse", b"")
        with pytest.raises(QuorumError, match="knows no inquiry"):
            await one.peers.inquire(TWO, "other", b"")
        assert await one.peers.inquire(TWO, "echo", b"a") == b"aa"


async def test_an_inquiry_to_a_silent_replica_fails_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inquiries, "PATIENCE", 0.05)
    async with linked(2) as (one, two):
        two.inquiries["never"] = never
        with pytest.raises(QuorumError, match="has not answered never"):
            await one.peers.inquire(TWO, "never", b"")


async def test_a_bug_in_a_handler_is_not_swallowed(monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(_body: bytes) -> bytes:
        raise ValueError("a bug")

    monkeypatch.setattr(inquiries, "PATIENCE", 0.2)
    async with linked(2) as (one, two):
        two.inquiries["broken"] = broken
        with pytest.raises(QuorumError):
            await one.peers.inquire(TWO, "broken", b"")
        await until(lambda: bool(two.bugs))  # the asker's patience may end before the handler begins
        assert [str(bug) for bug in two.bugs] == ["a bug"]


async def test_an_inquiry_ends_with_its_link() -> None:
    async with linked(2) as (one, two):
        two.inquiries["never"] = never
        asked = asyncio.ensure_future(one.peers.inquire(TWO, "never", b""))
        await asyncio.sleep(0.05)
        await two.peers.close()
        with pytest.raises(QuorumError, match="not connected"):
            await asked
        await until(lambda: not one.reaches(2))
        with pytest.raises(QuorumError, match="not connected"):
            await one.peers.inquire(TWO, "never", b"")


async def test_only_a_few_are_under_way_at_once() -> None:
    under_way: list[int] = []
    most = 0

    async def count(_body: bytes) -> bytes:
        nonlocal most
        under_way.append(1)
        most = max(most, len(under_way))
        await asyncio.sleep(0.002)
        under_way.pop()
        return b""

    async with linked(2) as (one, two):
        two.inquiries["count"] = count
        await asyncio.gather(*(one.peers.inquire(TWO, "count", b"") for _ in range(40)))
    assert most == inquiries.UNDER_WAY
