"""The reference: a ledger that only watches messages and answers, and knows none of the record's rules.

It writes down each charge, evaluation, success and schedule that it sees, counts by going through the whole list, and
raises `BrokenPromiseError` when what it sees breaks one of the promises:

1. charges after the latest succeeded charge never exceed the maximum, and status tells the same count;
2. every evaluation belongs to one charge that was durable before, and a charge has one KE1;
3. a repeated finish, and a start of an attempt that is still in the log, change nothing at all;
4. the generation never goes back, and a payload is that of the live generation;
5. a live registration ends only by as many charges without success as its maximum, by its owner's signature, or by a
   request that had been visible in status for the whole delay.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from hsm_app.errors import Denied
from hsm_app.fleet.manifest import AttemptPolicy
from hsm_app.model import RegistrationId
from hsm_app.vault.owner import NO_REGISTRATION, Action
from hsm_app.vault.record import Record, Scheduled, State
from hsm_app.vault.record_codec import decode_record, encode_record
from hsm_app.vault.recovery import Charged, Recovered, finish_recovery, start_recovery
from hsm_app.vault.registration import activate, finish_registration
from hsm_app.vault.removal import cancel, delete
from hsm_app.vault.status import Status, status
from hsm_app.vault.step import decide
from tests.vault.example import UNSIGNED, attempt, ke1, registration, registration_id, signed


class BrokenPromiseError(AssertionError):
    """A promise was broken."""


@dataclass(frozen=True, slots=True)
class Start:
    attempt: int
    question: int


@dataclass(frozen=True, slots=True)
class Finish:
    attempt: int
    sequence: int
    generation: int
    right: bool


@dataclass(frozen=True, slots=True)
class Register:
    number: int
    generation: int


@dataclass(frozen=True, slots=True)
class Owned:
    """Activate, delete or cancel. `signer`: the registration whose owner signed for `generation`, or nobody."""

    action: Action
    target: int | None = None
    signer: int | None = None
    generation: int = 0

    @property
    def target_id(self) -> RegistrationId:
        return NO_REGISTRATION if self.target is None else registration_id(self.target)


Message = Start | Finish | Register | Owned


def answer_to(record: Record, message: Message, now: int, rules: AttemptPolicy) -> tuple[Record, object]:
    """Give a message to the code under test; return the next record and the answer."""
    outcome = decide(record, lambda before: _transition(before, message, now, rules))
    return (record if outcome.record is None else outcome.record), outcome.answer


def _transition(record: Record, message: Message, now: int, rules: AttemptPolicy):  # type: ignore[no-untyped-def]
    match message:
        case Start(number, question):
            return start_recovery(record, attempt_id=attempt(number), ke1_hash=ke1(question), now=now, policy=rules)
        case Finish(number, sequence, generation, right):
            return finish_recovery(
                record,
                attempt_id=attempt(number),
                sequence=sequence,
                generation=generation,
                mac_valid=right,
                now=now,
            )
        case Register(number, generation):
            new = registration(number, rules.maximum)
            return finish_registration(record, new, generation=generation, now=now)
        case Owned(action, _, signer, generation):
            claim = UNSIGNED if signer is None else signed(signer, action, generation, message.target_id)
            if action is Action.ACTIVATE:
                return activate(record, message.target_id, claim, now=now, policy=rules)
            if action is Action.DELETE:
                return delete(record, claim, now=now, policy=rules)
            return cancel(record, claim, now=now)


@dataclass(frozen=True, slots=True)
class Charge:
    attempt: int
    question: int
    sequence: int
    generation: int
    succeeded: bool


@dataclass(frozen=True, slots=True)
class World:
    """The record, as it was written and read again, and what the ledger has seen of it."""

    record: Record
    rules: AttemptPolicy
    now: int
    charges: tuple[Charge, ...] = ()
    live: int | None = None  # the number of the live registration
    latest: int = 0  # the latest time that any message was given
    scheduled_at: int = 0  # when what status shows as scheduled came to be shown

    def told(self) -> Status:
        return status(self.record).answer

    def unanswered(self) -> int:
        """Charges of this generation after the latest succeeded one, counted from the list."""
        count = 0
        for charge in self.charges:
            if charge.generation == self.record.generation:
                count = 0 if charge.succeeded else count + 1
        return count


def step(world: World, message: Message) -> tuple[World, object]:
    """Give one message to the record, hold all promises, and return the next world and the answer."""
    record, answer = answer_to(world.record, message, world.now, world.rules)
    if record is not world.record:
        record = decode_record(encode_record(record))
    after = replace(world, record=record, latest=max(world.latest, world.now))
    if isinstance(message, Start):
        after = _watch_start(world, after, message, answer)
    elif isinstance(message, Finish):
        after = _watch_finish(world, after, message, answer)
    after = _watch_live(world, after, message)
    return _watch_count(world, after), answer


def _hold(promise: bool, what: str) -> None:
    if not promise:
        raise BrokenPromiseError(what)


def _watch_start(world: World, after: World, message: Start, answer: object) -> World:
    known = [charge for charge in world.charges[-32:] if charge.attempt == message.attempt]
    if known:
        _hold(after.record == world.record, "a start of a known attempt changed the record")
    if not isinstance(answer, Charged):
        return after
    charge = Charge(message.attempt, message.question, answer.sequence, answer.generation, False)
    if answer.fresh:
        sequences = [old.sequence for old in world.charges]
        _hold(answer.sequence > max(sequences, default=0), "a charge took the number of another")
        _hold(after.record.sequence == answer.sequence, "an evaluation left without its charge")
        after = replace(after, charges=(*world.charges, charge))
    else:
        same = [replace(old, succeeded=False) for old in world.charges]
        _hold(charge in same, "an evaluation without a charge for its KE1")
    _hold(world.record.state is State.ACTIVE, "an evaluation on a record that is not live")
    _hold(answer.generation == world.record.generation, "an evaluation under an old registration")
    _hold(answer.registration == registration(world.live or 0, world.rules.maximum), "an evaluation under another key")
    return after


def _watch_finish(world: World, after: World, message: Finish, answer: object) -> World:
    if not isinstance(answer, Recovered):
        _hold(isinstance(answer, Denied), "a finish was neither a success nor refused")
        return after
    _hold(message.right, "a wrong code was given the payload")
    _hold(answer.generation == world.record.generation, "a payload of another generation")
    _hold(answer.payload == registration(world.live or 0).payload, "a payload of another registration")
    numbers = [charge.sequence for charge in world.charges]
    _hold(message.sequence in numbers, "a success without a charge")
    index = numbers.index(message.sequence)
    charge = world.charges[index]
    _hold(charge.attempt == message.attempt and charge.generation == answer.generation, "a success of another attempt")
    if charge.succeeded:
        _hold(after.record == world.record, "a repeated finish changed the record")
    charges = (*world.charges[:index], replace(charge, succeeded=True), *world.charges[index + 1 :])
    return replace(after, charges=charges)


def _watch_live(world: World, after: World, message: Message) -> World:
    before, told = world.told(), after.told()
    _hold(told.generation >= before.generation, "the generation went back")
    if told.scheduled != before.scheduled:
        after = replace(after, scheduled_at=after.latest)
    if told.state is State.ACTIVE and told.generation == before.generation:
        return after
    if before.state is State.ACTIVE:
        _hold(_may_end(world, after, message, before.scheduled), f"a live registration ended by {message}")
    number = message.target if isinstance(message, Owned) and told.state is State.ACTIVE else None
    return replace(after, live=number)


def _may_end(world: World, after: World, message: Message, scheduled: Scheduled | None) -> bool:
    if isinstance(message, Start | Finish):
        return world.unanswered() >= world.rules.maximum and after.told().state is State.DESTROYED
    if not isinstance(message, Owned) or message.action is Action.CANCEL:
        return False
    if (message.signer, message.generation) == (world.live, world.record.generation):
        return True
    shown = scheduled is not None and (scheduled.action, scheduled.registration_id) == (
        message.action,
        message.target_id,
    )
    return shown and world.now >= world.scheduled_at + world.rules.replace_delay_seconds


def _watch_count(world: World, after: World) -> World:
    told = after.told()
    unanswered = after.unanswered()
    _hold(unanswered <= world.rules.maximum, "more charges without success than the maximum")
    if told.state is State.ACTIVE:
        _hold(told.attempts_left == told.maximum - unanswered, "status tells another count than the list")
    else:
        _hold(told.attempts_left == 0, "attempts are left where nothing is live")
        _hold(after.record.active is None, "a record that is not live keeps a registration")
    return after
