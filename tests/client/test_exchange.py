"""Losses between client and fleet: what is tried again, what is final, and that it ends."""

from __future__ import annotations

import asyncio
import os

import pytest

from hsm_app.client import patience as patience_module
from hsm_app.client.exchange import Exchange
from hsm_app.client.transport import RelayConnection
from hsm_app.errors import Denied, DenyReason, ProtocolError, QuorumError, TokenError, VaultError
from hsm_app.net.address import Address
from hsm_app.wire.envelopes import Outcome
from hsm_app.wire.messages import Deleted, Status, StatusReport
from tests.client.fleet_end import (
    Doing,
    answer,
    answer_twice_and_unasked,
    busy,
    config,
    fleet_end,
    hang_up,
    junk,
    say_nothing,
    tamper,
)
from tests.ports import free_ports

QUESTION = Status(token="a.b.c", name="backup", nonce=os.urandom(32))
REPORT = StatusReport(replica=1, signed=b"body", signature=bytes(64))
NO_MAJORITY = QuorumError("too few replicas", "Wait")
AMBIGUOUS = QuorumError("no majority in time", "Retry", ambiguous=True)


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience_module, "PAUSES", (0.01, 0.01, 0.01))
    monkeypatch.setattr(patience_module, "ONE_ATTEMPT", 0.3)


async def ask(address: Address, patience: float = 20.0) -> StatusReport:
    connection = RelayConnection(address, "fleet-1")
    try:
        return await Exchange(config(address, patience), connection).ask(QUESTION, StatusReport)
    finally:
        await connection.close()


LOSSES = {
    "nothing is lost": [],
    "the connection is closed": [hang_up],
    "the answer does not come": [say_nothing],
    "the relay sends no message at all": [junk],
    "the relay is busy": [busy],
    "an answer was changed on the way": [tamper],
    "no majority is there": [answer(NO_MAJORITY, Outcome.TRY_ANOTHER)],
    "the outcome is ambiguous": [answer(AMBIGUOUS)],
    "one thing after the other": [hang_up, busy, answer(AMBIGUOUS)],
}


@pytest.mark.parametrize("losses", LOSSES.values(), ids=LOSSES.keys())
async def test_the_answer_comes_although(losses: list[Doing]) -> None:
    async with fleet_end(*losses, answer(REPORT)) as end:
        assert await ask(end.address) == REPORT
        assert all(asked == QUESTION for asked in end.asked)
        assert len(set(end.sealed)) == len(end.sealed) == len(losses) + 1


FINAL: dict[str, tuple[VaultError, type[VaultError]]] = {
    "a wrong code": (Denied(DenyReason.WRONG_CODE, "wrong", attempts_left=3), Denied),
    "an account token that is not accepted": (Denied(DenyReason.BAD_ACCOUNT_TOKEN, "expired"), Denied),
    "a message that the fleet does not understand": (ProtocolError("what?"), ProtocolError),
    "a token that does not work": (TokenError("gone"), TokenError),
}


@pytest.mark.parametrize(("refusal", "family"), FINAL.values(), ids=FINAL.keys())
async def test_a_refusal_is_final(refusal: VaultError, family: type[VaultError]) -> None:
    async with fleet_end(answer(refusal), answer(REPORT)) as end:
        with pytest.raises(family):
            await ask(end.address)
        assert len(end.sealed) == 1


async def test_a_refusal_keeps_what_it_says() -> None:
    refusal = Denied(DenyReason.RETRY_LATER, "too early", attempts_left=4, retry_after=30)
    async with fleet_end(answer(refusal)) as end:
        with pytest.raises(Denied) as caught:
            await ask(end.address)
    assert (caught.value.reason, caught.value.attempts_left, caught.value.retry_after) == (
        DenyReason.RETRY_LATER,
        4,
        30,
    )


HOPELESS: dict[str, tuple[Doing, bool]] = {
    "a relay that always hangs up": (hang_up, True),
    "a relay that never answers": (say_nothing, True),
    "a relay that changes every answer": (tamper, True),
    "a relay that is always busy, as it says": (busy, True),
    "a fleet without a majority": (answer(NO_MAJORITY), False),
}


@pytest.mark.parametrize(("doing", "ambiguous"), HOPELESS.values(), ids=HOPELESS.keys())
async def test_it_ends_with(doing: Doing, ambiguous: bool) -> None:
    async with fleet_end(*[doing] * 9) as end:
        with pytest.raises(QuorumError, match="did not decide in time") as caught:
            await ask(end.address)
        assert len(end.sealed) == 4
    assert caught.value.ambiguous is ambiguous
    assert ("may have taken effect" in caught.value.todo) is ambiguous
    assert "\x1b" not in str(caught.value)


async def test_patience_is_a_bound_on_time() -> None:
    async with fleet_end(*[say_nothing] * 9) as end:
        start = asyncio.get_running_loop().time()
        with pytest.raises(QuorumError):
            await ask(end.address, patience=0.4)
        assert asyncio.get_running_loop().time() - start < 0.7


async def test_a_relay_that_is_not_there_is_named() -> None:
    (port,) = free_ports(1)
    with pytest.raises(QuorumError, match=rf"127\.0\.0\.1:{port} is out of reach") as caught:
        await ask(Address(host="127.0.0.1", port=port))
    assert not caught.value.ambiguous


async def test_answers_that_nobody_waits_for_are_ignored() -> None:
    async with fleet_end(answer_twice_and_unasked(REPORT), answer(REPORT)) as end:
        connection = RelayConnection(end.address, "fleet-1")
        asking = Exchange(config(end.address), connection)
        assert await asking.ask(QUESTION, StatusReport) == REPORT
        await asyncio.sleep(0.05)
        assert await asking.ask(QUESTION, StatusReport) == REPORT
        assert end.connections == 1
        await connection.close()


async def test_many_questions_share_one_connection() -> None:
    reports = [StatusReport(replica=number, signed=b"body", signature=bytes(64)) for number in range(1, 21)]
    async with fleet_end(*map(answer, reports)) as end:
        connection = RelayConnection(end.address, "fleet-1")
        asking = Exchange(config(end.address), connection)
        answers = await asyncio.gather(*(asking.ask(QUESTION, StatusReport) for _ in reports))
        await connection.close()
    assert sorted(report.replica for report in answers) == list(range(1, 21))
    assert len(set(end.response_keys)) == 20
    assert end.connections == 1


async def test_an_answer_of_another_kind_than_expected() -> None:
    async with fleet_end(answer(REPORT)) as end:
        connection = RelayConnection(end.address, "fleet-1")
        with pytest.raises(ProtocolError, match="StatusReport"):
            await Exchange(config(end.address), connection).ask(QUESTION, Deleted)
        await connection.close()


async def test_a_connection_that_ends_takes_only_its_own_questions_along(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first one is given up while its question waits; its end, noticed later, must not touch the second's."""
    monkeypatch.setattr(patience_module, "PAUSES", ())
    async with fleet_end(say_nothing, answer(REPORT)) as end:
        connection = RelayConnection(end.address, "fleet-1")
        asking = Exchange(config(end.address), connection)
        first = asyncio.create_task(asking.ask(QUESTION, StatusReport))
        while not end.sealed:
            await asyncio.sleep(0.01)
        connection._connection.close("given up")  # type: ignore[union-attr]
        assert await asking.ask(QUESTION, StatusReport) == REPORT
        with pytest.raises(QuorumError, match="the relay hung up: given up"):
            await first
        await connection.close()
