"""Messages in any order, replayed, lost and under clocks that differ, against the ledger of `tests.vault.ledger`.

Several devices and an attacker share one account. Covered: replay of any message ever sent, answers that never arrive
(their ticket is never used), votes that fail before or after the change (nothing happens, or the answer is lost), old
signatures, foreign signatures, and clocks up to hours apart. Not covered: messages that no holder of the account
could make, which sealing and sessions refuse, and two transitions at once, which the vote puts in an order.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import count

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, MultipleResults, RuleBasedStateMachine, initialize, multiple, rule

from hsm_app.vault.owner import Action
from hsm_app.vault.record import EMPTY
from hsm_app.vault.recovery import Charged
from tests.vault.example import NOW, policy, registration_id
from tests.vault.ledger import Finish, Message, Owned, Register, Start, World, step

Ticket = tuple[int, int, int]  # attempt, sequence, generation
DELAY = 100
ATTEMPTS = st.integers(0, 50)
REGISTRATIONS = st.integers(1, 6)
GENERATIONS = st.integers(0, 6)
SIGNERS = st.tuples(REGISTRATIONS, GENERATIONS)


class AnyOrder(RuleBasedStateMachine):
    """Every rule sends one message; every message is checked by `step`."""

    sent = Bundle("sent")
    tickets = Bundle("tickets")

    @initialize(
        maximum=st.sampled_from([1, 2, 3, 5, 10, 10]),
        waits=st.sampled_from([(0,), (0, 0, 0, 5)]),
        begin=st.sampled_from([True, True, True, False]),
    )
    def begin(self, maximum: int, waits: tuple[int, ...], begin: bool) -> None:
        self.world = World(record=EMPTY, rules=policy(maximum=maximum, waits=waits, delay=DELAY), now=NOW)
        self.unused = 6  # from here on, numbers of registrations that no other rule uses
        if begin:
            self.send(Register(1, 0))
            self.send(Owned(Action.ACTIVATE, target=1))

    def send(self, message: Message) -> object:
        self.world, answer = step(self.world, message)
        return answer

    def start(self, number: int, question: int) -> list[Ticket]:
        answer = self.send(Start(number, question))
        return [(number, answer.sequence, answer.generation)] if isinstance(answer, Charged) else []

    @rule(target=tickets, numbers=st.lists(ATTEMPTS, min_size=1, max_size=5))
    def recoveries_start(self, numbers: list[int]) -> MultipleResults[Ticket]:
        return multiple(*(ticket for number in numbers for ticket in self.start(number, number)))

    @rule(target=tickets, ticket=tickets)
    def a_start_is_replayed(self, ticket: Ticket) -> MultipleResults[Ticket]:
        return multiple(*self.start(ticket[0], ticket[0]))

    @rule(target=tickets, number=ATTEMPTS, question=ATTEMPTS)
    def an_attempt_id_is_used_for_another_guess(self, number: int, question: int) -> MultipleResults[Ticket]:
        return multiple(*self.start(number, question))

    @rule(target=sent, ticket=tickets, right=st.booleans())
    def a_recovery_is_finished(self, ticket: Ticket, right: bool) -> Message:
        message = Finish(*ticket, right)
        self.send(message)
        return message

    @rule(target=tickets, number=ATTEMPTS)
    def a_device_recovers(self, number: int) -> MultipleResults[Ticket]:
        tickets = self.start(number, number)
        for ticket in tickets:
            self.send(Finish(*ticket, True))
        return multiple(*tickets)

    @rule(target=sent, picked=st.lists(tickets, min_size=2, max_size=4))
    def open_recoveries_end_in_any_order(self, picked: list[Ticket]) -> MultipleResults[Message]:
        messages = [Finish(*ticket, True) for ticket in picked]
        for message in messages:
            self.send(message)
        return multiple(*messages)

    @rule(target=sent, number=REGISTRATIONS, generation=st.none() | GENERATIONS)
    def a_registration_is_written(self, number: int, generation: int | None) -> Message:
        message = Register(number, self.world.record.generation if generation is None else generation)
        self.send(message)
        return message

    @rule(target=sent, action=st.sampled_from(Action), number=REGISTRATIONS, signer=st.none() | SIGNERS)
    def someone_acts(self, action: Action, number: int, signer: tuple[int, int] | None) -> Message:
        message = Owned(action, number if action is Action.ACTIVATE else None, *(signer or (None, 0)))
        self.send(message)
        return message

    @rule(target=sent, action=st.sampled_from([Action.ACTIVATE] * 3 + [Action.DELETE, Action.CANCEL]))
    def the_owner_acts(self, action: Action) -> Message:
        record = self.world.record
        if action is Action.ACTIVATE and record.pending is None:
            self.unused += 1
            self.send(Register(self.unused, record.generation))
        pending = self.world.record.pending
        target = number_of(pending.registration_id) if pending and action is Action.ACTIVATE else None
        message = Owned(action, target, self.world.live, record.generation)
        self.send(message)
        return message

    @rule(message=sent)
    def any_message_is_replayed(self, message: Message) -> None:
        self.send(message)

    @rule(seconds=st.one_of(st.integers(-70, 70), st.sampled_from([DELAY, -3600, 3600])))
    def another_replica_answers_with_another_clock(self, seconds: int) -> None:
        self.world = replace(self.world, now=max(0, self.world.now + seconds))


def number_of(wanted: bytes) -> int:
    return next(number for number in count(1) if registration_id(number) == wanted)


AnyOrder.TestCase.settings = settings(max_examples=150, stateful_step_count=60)
TestAnyOrder = AnyOrder.TestCase
