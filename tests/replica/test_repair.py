"""Repair over real links: what a replica installs, what it leaves alone, and what it makes of damaged answers."""

from __future__ import annotations

import asyncio
import itertools

import pytest

from hsm_app.consensus.acceptor import Accept, Prepare, Slot
from hsm_app.consensus.ballot import Ballot
from hsm_app.errors import ProtocolError
from hsm_app.model import RecordId
from hsm_app.replica import repair_messages
from hsm_app.replica.keeper import Question
from hsm_app.replica.repair import IN_FLIGHT, Repair
from hsm_app.replica.repair_answers import RepairAnswers
from tests.replica.link_group import Member, linked, until

OLD, NEW, HIGH = Ballot(1, 9, 1, 1), Ballot(5, 9, 1, 1), Ballot(50, 9, 1, 1)


def record(number: int) -> RecordId:
    return RecordId(number.to_bytes(2, "big") * 16)


async def hold(member: Member, number: int, ballot: Ballot, value: bytes) -> None:
    asked = Accept(ballot=ballot, value=value, next=ballot.next())
    await member.worker.run(lambda keeper: keeper.vote([Question(record(number), asked)]))


async def promise(member: Member, number: int, ballot: Ballot) -> None:
    asked = Question(record(number), Prepare(ballot=ballot))
    await member.worker.run(lambda keeper: keeper.vote([asked]))


async def held(member: Member, number: int) -> Slot | None:
    return (await member.worker.run(lambda keeper: keeper.slots([record(number)]))).get(record(number))


def repair_of(members: list[Member]) -> Repair:
    """Give every member its answers, and return the first one's repair."""
    for member in members:
        member.inquiries.update(RepairAnswers(member.worker).handlers())
    first = members[0]
    others = [member.replica for member in members[1:]]
    return Repair(
        others,
        members=len(members),
        peers=first.peers,
        worker=first.worker,
        register=first.register,
        ballots=first.ballots,
    )


async def test_what_a_majority_holds_is_installed_under_its_ballot() -> None:
    """VAULT-REPAIR-MAJORITY-ONLY"""
    async with linked(5) as members:
        repair = repair_of(members)
        for number in range(200):
            for member in members[1:]:
                await hold(member, number, NEW, b"value %d" % number)
        await hold(members[0], 3, OLD, b"older")
        await repair.round()
        for number in range(200):
            slot = await held(members[0], number)
            assert slot == Slot(promised=NEW, accepted=NEW, value=b"value %d" % number)
        assert (repair.progress.is_level, repair.progress.to_go, repair.progress.installed) == (True, 0, 200)


async def test_a_vote_that_is_on_its_way_is_not_a_missed_one(monkeypatch: pytest.MonkeyPatch) -> None:
    async with linked(3) as members:
        repair = repair_of(members)
        await repair.round()
        for member in members[1:]:
            await hold(member, 1, NEW, b"on its way")
        sleep = asyncio.sleep

        async def arriving_meanwhile(seconds: float) -> None:
            if seconds == IN_FLIGHT:
                await hold(members[0], 1, NEW, b"on its way")
            await sleep(seconds)

        monkeypatch.setattr(asyncio, "sleep", arriving_meanwhile)
        await repair.round()
        assert (repair.progress.is_level, repair.progress.installed) == (True, 0)


async def test_what_a_minority_holds_goes_through_the_register() -> None:
    """VAULT-REPAIR-MAJORITY-ONLY"""
    async with linked(5) as members:
        repair = repair_of(members)
        await hold(members[4], 1, NEW, b"perhaps never chosen")
        await repair.round()
        slot = await held(members[0], 1)
        assert slot is not None
        assert slot.accepted > NEW
        assert slot.value in (b"perhaps never chosen", b"")  # whether it is kept depends on who was heard
        assert repair.progress.is_level
        before = repair.progress.installed
        await repair.round()
        assert repair.progress.installed == before


async def test_a_higher_promise_is_not_taken_back() -> None:
    """VAULT-REPAIR-NEVER-LOWERS"""
    async with linked(5) as members:
        repair = repair_of(members)
        for member in members[1:]:
            await hold(member, 1, NEW, b"chosen")
        await promise(members[0], 1, HIGH)
        await repair.round()
        slot = await held(members[0], 1)
        assert slot is not None
        assert slot.value == b"chosen"
        assert slot.accepted > HIGH  # written once more, by the register, under a ballot above the promise


async def test_a_peer_that_lags_is_left_alone_and_nothing_is_lowered() -> None:
    """VAULT-REPAIR-NEVER-LOWERS"""
    async with linked(3) as members:
        repair = repair_of(members)
        await hold(members[0], 1, NEW, b"newer")
        await hold(members[1], 1, OLD, b"older")
        await repair.round()
        assert await held(members[0], 1) == Slot(promised=NEW.next(), accepted=NEW, value=b"newer")
        assert await held(members[1], 1) == Slot(promised=OLD.next(), accepted=OLD, value=b"older")


async def test_a_promise_alone_does_not_look_like_lagging() -> None:
    async with linked(3) as members:
        repair = repair_of(members)
        await promise(members[1], 1, HIGH)
        await repair.round()
        assert repair.progress.is_level
        assert repair.progress.installed == 0


async def test_without_a_majority_nobody_is_level() -> None:
    async with linked(5) as members:
        repair = repair_of(members)
        for member in members[2:]:
            await member.peers.close()
        await until(lambda: not any(members[0].reaches(number) for number in (3, 4, 5)))
        await repair.round()
        assert not repair.progress.is_level


async def test_a_peer_with_damaged_answers_is_left_out_and_named() -> None:
    async with linked(5) as members:
        repair = repair_of(members)

        async def garbage(_body: bytes) -> bytes:
            return b"garbage"

        members[1].inquiries.update({repair_messages.ROOT: garbage, repair_messages.CHILDREN: garbage})
        for member in members[2:]:
            await hold(member, 1, NEW, b"chosen")
        await repair.round()
        slot = await held(members[0], 1)
        assert slot is not None
        assert slot.value == b"chosen"
        assert "replica 2" in repair.progress.fault


MALFORMED = {
    "a level that has no children": lambda: repair_messages.decode_nodes(b"\4\0\0"),
    "an index beyond its level": lambda: repair_messages.decode_nodes(b"\1\0\x10"),
    "no level": lambda: repair_messages.decode_nodes(b""),
    "half an index": lambda: repair_messages.decode_buckets(b"\1"),
    "too many buckets": lambda: repair_messages.decode_buckets(bytes(2 * 257)),
    "too many records": lambda: repair_messages.decode_records(bytes(32 * 257)),
    "half a hash": lambda: repair_messages.decode_hashes(bytes(31)),
    "a row in another bucket": lambda: repair_messages.decode_bucket_heads(bytes(3) + b"\1" + bytes(52), [7]),
    "no bucket at all": lambda: repair_messages.decode_bucket_heads(b"", [0]),
    "fewer rows than said": lambda: repair_messages.decode_bucket_heads(bytes(3) + b"\2" + bytes(52), [0]),
    "more rows than said": lambda: repair_messages.decode_bucket_heads(bytes(4) + bytes(52), [0]),
    "a ballot too few": lambda: repair_messages.decode_heads(bytes(20), [record(1), record(2)]),
    "no value at all": lambda: repair_messages.decode_values(b"", [record(1)]),
    "a value cut short": lambda: repair_messages.decode_values(bytes(23) + b"\5" + b"four", [record(1)]),
    "bytes after the values": lambda: repair_messages.decode_values(bytes(24) + b"x", [record(1)]),
}


@pytest.mark.parametrize("decode", MALFORMED.values(), ids=MALFORMED.keys())
def test_malformed_messages_are_refused(decode: object) -> None:
    with pytest.raises(ProtocolError):
        decode()  # type: ignore[operator]


def test_buckets_that_do_not_fit_are_left_for_the_next_question() -> None:
    rows = {
        record(0)[:-2] + number.to_bytes(2, "big"): Slot(promised=OLD, accepted=OLD, value=b"") for number in range(200)
    }
    body = repair_messages.encode_bucket_heads(itertools.repeat({RecordId(each): slot for each, slot in rows.items()}))
    answered, heads = repair_messages.decode_bucket_heads(body, [0] * 9)
    assert (answered, len(heads)) == (3, 200)


def test_values_that_do_not_fit_are_left_for_the_next_question() -> None:
    records = [record(number) for number in range(64)]
    slots = {each: Slot(promised=OLD, accepted=OLD, value=bytes(16_384)) for each in records}
    body = repair_messages.encode_values(records, slots)
    assert len(body) <= repair_messages.BODY_LIMIT
    first = repair_messages.decode_values(body, records)
    assert 0 < len(first) < 64
    assert list(first) == records[: len(first)]
