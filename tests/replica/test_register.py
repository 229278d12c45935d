"""The register as its caller sees it: what a transition is given, when its result leaves, and what a failure means."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest

from hsm_app.consensus.acceptor import Accept, Prepare
from hsm_app.errors import Denied, DenyReason, QuorumError, TokenError
from hsm_app.model import RecordId
from hsm_app.replica.keeper import Question
from hsm_app.replica.register import Change, Register, RegisterStats
from tests.replica.memory_group import MemoryVoter, Mood, group, register

R = RecordId(b"r" * 32)
OTHER = RecordId(b"o" * 32)


def to(value: bytes, result: object = None) -> Callable[[bytes], Awaitable[Change[object]]]:
    async def transition(_value: bytes) -> Change[object]:
        return Change(value, result)

    return transition


def now() -> float:
    return asyncio.get_running_loop().time()


async def read(value: bytes) -> Change[bytes]:
    return Change(None, value)


async def refuse(value: bytes) -> Change[bytes]:
    raise Denied(DenyReason.DESTROYED, f"the value is {value.decode()}")


async def never(_value: bytes) -> Change[bytes]:
    raise AssertionError("the transition was asked")


def add(mark: bytes) -> Callable[[bytes], Awaitable[Change[int]]]:
    """Add a mark of one byte to the value, once, and return its place."""

    async def transition(value: bytes) -> Change[int]:
        await asyncio.sleep(0)
        if mark in value:
            return Change(None, value.index(mark))
        return Change(value + mark, len(value))

    return transition


def holders(voters: list[MemoryVoter], value: bytes) -> int:
    return sum(voter.value(R) == value for voter in voters)


def questions(voters: list[MemoryVoter]) -> list[type]:
    """The kinds of question that the first voter was asked."""
    return [type(question.asked) for question in voters[0].asked]


async def test_an_empty_record_has_the_empty_value() -> None:
    assert await register(group()).update(R, read) == b""


async def test_a_change_is_held_by_a_majority_when_its_result_leaves() -> None:
    voters = group()
    assert await register(voters).update(R, to(b"v", "done")) == "done"
    assert holders(voters, b"v") >= 3


async def test_the_next_operation_reads_the_value_of_the_one_before() -> None:
    vault = register(group())
    await vault.update(R, to(b"v"))
    assert await vault.update(R, read) == b"v"


async def test_a_second_change_by_the_same_replica_takes_one_round_trip() -> None:
    voters = group()
    vault = register(voters)
    await vault.update(R, to(b"v"))
    await vault.update(R, to(b"w"))
    assert questions(voters) == [Prepare, Accept, Accept]
    assert vault.stats == RegisterStats(one_round=1, two_rounds=1)


async def test_a_read_that_a_majority_agrees_on_writes_nothing() -> None:
    voters = group()
    await register(voters).update(R, to(b"v"))
    assert await register(voters, 2).update(R, read) == b"v"
    assert questions(voters) == [Prepare, Accept, Prepare]


async def test_a_read_leaves_the_promise_that_the_next_change_uses() -> None:
    voters = group()
    vault = register(voters)
    await vault.update(R, read)
    await vault.update(R, to(b"v"))
    assert questions(voters) == [Prepare, Accept]
    assert holders(voters, b"v") == 5


def minority_holds(voters: list[MemoryVoter], value: bytes) -> Awaitable[None]:
    """Let a change reach one voter only, among those that a later prepare hears first."""

    async def fail() -> None:
        for voter in voters[1:]:
            voter.mood = lambda question: Mood.CUT if isinstance(question.asked, Accept) else Mood.WELL
        with pytest.raises(QuorumError):
            await register(voters, 1).update(R, to(value))
        for voter in voters:
            voter.mood = Mood.WELL
        assert holders(voters, value) == 1

    return fail()


FROM_A_MINORITY = {
    "a value": (read, b"v"),
    "a refusal": (refuse, Denied),
}


@pytest.mark.parametrize(("transition", "outcome"), FROM_A_MINORITY.values(), ids=FROM_A_MINORITY.keys())
async def test_what_only_a_minority_holds_is_written_back_before_there_leaves(
    transition: Callable[[bytes], Awaitable[Change[bytes]]], outcome: object
) -> None:
    voters = group()
    await minority_holds(voters, b"v")
    if outcome is Denied:
        with pytest.raises(Denied, match="the value is v"):
            await register(voters, 2).update(R, transition)
    else:
        assert await register(voters, 2).update(R, transition) == outcome
    assert holders(voters, b"v") >= 3


async def test_a_refusal_from_a_held_value_waits_for_the_vote() -> None:
    voters = group()
    vault = register(voters, deadline=0.05)
    await vault.update(R, to(b"v"))
    for voter in voters:
        voter.mood = Mood.MUTE
    with pytest.raises(QuorumError):
        await vault.update(R, refuse)


@pytest.mark.parametrize("mood", [Mood.AWAY, Mood.LOST, Mood.CUT, Mood.MUTE, Mood.DEAF])
async def test_two_of_five_out_of_order_change_nothing(mood: Mood) -> None:
    voters = group()
    voters[3].mood = voters[4].mood = mood
    vault = register(voters)
    assert [await vault.update(R, add(mark)) for mark in (b"a", b"b", b"c")] == [0, 1, 2]
    assert await register(voters, 2).update(R, read) == b"abc"


async def test_three_of_five_away_is_an_error_at_once_and_nothing_is_asked() -> None:
    voters = group()
    for voter in voters[2:]:
        voter.mood = Mood.AWAY
    with pytest.raises(QuorumError, match="fewer than a majority of the replicas are connected") as failed:
        await register(voters).update(R, never)
    assert not failed.value.ambiguous
    assert not voters[0].asked


async def test_three_of_five_that_hang_up_are_an_error_at_once() -> None:
    voters = group()
    for voter in voters[2:]:
        voter.mood = Mood.CUT
    began = now()
    with pytest.raises(QuorumError, match="fewer than a majority of the replicas can be reached") as failed:
        await register(voters, deadline=60).update(R, never)
    assert not failed.value.ambiguous
    assert now() - began < 10


async def test_three_of_five_that_are_mute_are_an_error_within_the_deadline() -> None:
    voters = group()
    for voter in voters[2:]:
        voter.mood = Mood.MUTE
    began = now()
    with pytest.raises(QuorumError, match=r"no majority answered within 0\.2 s") as failed:
        await register(voters, deadline=0.2).update(R, never)
    assert not failed.value.ambiguous
    assert 0.15 < now() - began < 10


def mute_at(kind: type) -> Callable[[Question], Mood]:
    return lambda question: Mood.MUTE if isinstance(question.asked, kind) else Mood.WELL


def cut_at(kind: type) -> Callable[[Question], Mood]:
    return lambda question: Mood.CUT if isinstance(question.asked, kind) else Mood.WELL


@pytest.mark.parametrize("mood", [mute_at(Accept), cut_at(Accept)], ids=["mute", "cut"])
async def test_an_accept_without_a_majority_is_an_ambiguous_error_that_says_so(
    mood: Callable[[Question], Mood],
) -> None:
    voters = group()
    for voter in voters[2:]:
        voter.mood = mood
    vault = register(voters, deadline=0.1)
    with pytest.raises(QuorumError, match="the outcome is unknown") as failed:
        await vault.update(R, to(b"v"))
    assert failed.value.ambiguous
    assert "repeat the same request" in failed.value.todo
    assert vault.stats == RegisterStats(quorum_errors=1, ambiguous=1)


@pytest.mark.parametrize("mood", [mute_at(Accept), cut_at(Accept)], ids=["mute", "cut"])
async def test_a_write_back_without_a_majority_is_not_ambiguous(mood: Callable[[Question], Mood]) -> None:
    voters = group()
    await minority_holds(voters, b"v")
    for voter in voters[2:]:
        voter.mood = mood
    with pytest.raises(QuorumError) as failed:
        await register(voters, 2, deadline=0.1).update(R, read)
    assert not failed.value.ambiguous


async def fail_by_silence(vault: Register, voters: list[MemoryVoter]) -> None:
    for voter in voters[1:]:
        voter.mood = Mood.MUTE
    with pytest.raises(QuorumError):
        await vault.update(R, to(b"lost"))


async def fail_by_the_transition(vault: Register, _voters: list[MemoryVoter]) -> None:
    async def broken(_value: bytes) -> Change[None]:
        raise TokenError("the token is gone")

    with pytest.raises(TokenError):
        await vault.update(R, broken)


async def fail_by_cancellation(vault: Register, voters: list[MemoryVoter]) -> None:
    for voter in voters[1:]:
        voter.mood = Mood.MUTE
    task = asyncio.ensure_future(vault.update(R, to(b"lost")))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def fail_by_the_epoch(vault: Register, _voters: list[MemoryVoter]) -> None:
    vault.forget()


async def fail_by_an_epoch_that_changes_meanwhile(vault: Register, _voters: list[MemoryVoter]) -> None:
    async def slow(value: bytes) -> Change[None]:
        vault.forget()
        return Change(value, None)

    await vault.update(R, slow)


FAILURES = {
    "a vote without a majority": fail_by_silence,
    "an error of the transition": fail_by_the_transition,
    "a cancelled call": fail_by_cancellation,
    "a new epoch": fail_by_the_epoch,
    "a new epoch during an operation": fail_by_an_epoch_that_changes_meanwhile,
}


@pytest.mark.parametrize("fail", FAILURES.values(), ids=FAILURES.keys())
async def test_the_held_value_is_dropped_after(fail: Callable[[Register, list[MemoryVoter]], Awaitable[None]]) -> None:
    voters = group()
    vault = register(voters, deadline=0.1)
    await vault.update(R, to(b"v"))
    await fail(vault, voters)
    for voter in voters:
        voter.mood = Mood.WELL
        voter.asked.clear()
    await vault.update(R, to(b"w"))
    assert questions(voters) == [Prepare, Accept]
    assert holders(voters, b"w") == 5


async def test_no_ballot_is_ever_sent_with_two_values() -> None:
    voters = group()
    vault = register(voters, deadline=0.05)
    for number in range(12):
        mood = [Mood.WELL, Mood.MUTE, Mood.DEAF, Mood.CUT][number % 4]
        for voter in voters[2:]:
            voter.mood = mood
        with suppress(QuorumError):
            await vault.update(R, to(b"%d" % number))
    sent: dict[object, set[bytes]] = {}
    for voter in voters:
        for question in voter.asked:
            if isinstance(question.asked, Accept):
                sent.setdefault(question.asked.ballot, set()).add(question.asked.value)
    assert len(sent) == 6  # a prepare failed in the other six
    assert all(len(values) == 1 for values in sent.values())


async def test_a_timeout_of_the_transition_is_its_own() -> None:
    async def slow(_value: bytes) -> Change[None]:
        raise TimeoutError("the token's own")

    with pytest.raises(TimeoutError, match="the token's own"):
        await register(group()).update(R, slow)


async def test_a_transition_that_hangs_ends_at_the_deadline() -> None:
    async def hang(_value: bytes) -> Change[None]:
        await asyncio.sleep(10)
        raise AssertionError

    with pytest.raises(QuorumError) as failed:
        await register(group(), deadline=0.05).update(R, hang)
    assert not failed.value.ambiguous


async def test_operations_on_one_record_run_one_after_the_other() -> None:
    running, most = 0, 0

    async def watched(value: bytes) -> Change[None]:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.001)
        running -= 1
        return Change(value + b"x", None)

    voters = group()
    vault = register(voters)
    await asyncio.gather(*(vault.update(R, watched) for _ in range(10)))
    assert most == 1
    assert holders(voters, b"x" * 10) == 5
    assert questions(voters) == [Prepare] + [Accept] * 10


async def test_operations_on_different_records_do_not_wait_for_each_other() -> None:
    vault = register(group())
    other_is_done = asyncio.Event()

    async def wait(_value: bytes) -> Change[str]:
        await other_is_done.wait()
        return Change(b"v", "first")

    first = asyncio.ensure_future(vault.update(R, wait))
    await vault.update(OTHER, to(b"w"))
    other_is_done.set()
    assert await first == "first"


async def test_an_operation_that_waits_for_another_has_a_deadline_too() -> None:
    voters = group()
    vault = register(voters, deadline=1)
    for voter in voters:
        voter.mood = Mood.MUTE
    began = now()
    outcomes = await asyncio.gather(*(vault.update(R, read) for _ in range(10)), return_exceptions=True)
    assert all(isinstance(outcome, QuorumError) for outcome in outcomes)
    assert now() - began < 5  # one after the other they would take ten


async def test_a_value_that_no_vote_can_carry_is_a_bug_of_the_caller_and_is_not_sent() -> None:
    voters = group()
    with pytest.raises(ValueError, match="a vote carries 16384"):
        await register(voters).update(R, to(bytes(16_385)))
    assert questions(voters) == [Prepare]


async def test_duelling_proposers_lose_no_change() -> None:
    voters = group()
    registers = [register(voters, proposer, deadline=10) for proposer in (1, 2, 3)]
    marks = [bytes([n]) for n in range(60)]
    places = await asyncio.gather(
        *(registers[n % 3].update(R, add(mark)) for n, mark in enumerate(marks)), return_exceptions=False
    )
    assert sorted(places) == list(range(60))
    value = await registers[0].update(R, read)
    assert [value[place : place + 1] for place in places] == marks
    assert sum(one.stats.conflicts for one in registers) > 0


async def test_a_change_that_another_proposer_took_over_is_there_once() -> None:
    voters = group()
    await minority_holds(voters, b"a")  # the outcome of adding "a" is unknown
    other = register(voters, 2)
    assert await other.update(R, add(b"b")) in (0, 1)
    assert await register(voters, 3).update(R, add(b"a")) in (0, 1)  # the retry, elsewhere
    assert sorted(await other.update(R, read)) == sorted(b"ab")


async def test_the_number_of_held_values_is_bounded() -> None:
    voters = group()
    vault = register(voters, held_values=3)
    for value in (b"v", b"w"):
        for number in range(5):
            await vault.update(RecordId(bytes([number]) * 32), to(value))
    assert vault.stats.two_rounds == 10  # each was forgotten before it came round again
