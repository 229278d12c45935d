"""The service on a real SoftHSM token: what it answers, refuses, and does not do before a majority has spoken.

The acceptors are the real ones, in memory; whole fleets are in `tests/system`.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from hsm_app.errors import DenyReason
from hsm_app.token.replica_token import Pkcs11Token
from hsm_app.vault.owner import Action, OwnerStatement, sign
from hsm_app.wire import messages
from hsm_app.wire.envelopes import ASK_FOR_BUNDLE, Outcome, Request
from hsm_app.wire.session import SEALED_ANSWER_SIZE
from tests.replica.desk_case import NAME, PAYLOAD, POLICY, SUBJECT, Case, case_on, denied, expect
from tests.replica.memory_group import Mood
from tests.token.conftest import sealed_token, token
from tests.token.fresh import ReplicaToken

__all__ = ["sealed_token", "token"]  # fixtures of the token room


@pytest.fixture
def case(sealed_token: ReplicaToken, token: Pkcs11Token) -> Case:
    return case_on(sealed_token, token)


async def test_the_right_code_yields_the_payload_and_gives_the_charge_back(case: Case) -> None:
    await case.register()
    login, start = case.guess()
    started = expect(await case.ask(start), messages.RecoverStarted)
    recovered = expect(await case.ask(case.prove(login, started)), messages.Recovered)
    assert (recovered.payload, recovered.generation) == (PAYLOAD, 1)


async def test_without_a_majority_nothing_is_evaluated_and_another_replica_is_asked(case: Case) -> None:
    await case.register()
    for voter in case.voters[1:]:
        voter.mood = Mood.AWAY
    _, start = case.guess()
    refusal = expect(await case.ask(start), messages.Refusal)
    assert refusal.family == 4
    assert case.replies[-1].outcome is Outcome.TRY_ANOTHER
    assert case.tokens.evaluations() == 0


async def test_when_votes_are_lost_on_the_way_nothing_is_evaluated_and_the_answer_says_ambiguous(case: Case) -> None:
    await case.register()
    for voter in case.voters[1:]:
        voter.mood = Mood.DEAF
    _, start = case.guess()
    refusal = expect(await case.ask(start), messages.Refusal)
    assert (refusal.family, refusal.reason) == (4, 1)
    assert case.tokens.evaluations() == 0


async def test_the_same_attempt_again_is_free_and_answers_other_bytes(case: Case) -> None:
    await case.register()
    _, start = case.guess()
    first = expect(await case.ask(start), messages.RecoverStarted)
    again = expect(await case.ask(start), messages.RecoverStarted)
    assert first.ke2 != again.ke2
    assert first.ke2[:33] == again.ke2[:33]  # the evaluated element: the same question, so no guess
    assert case.replies[-1].sealed != case.replies[-2].sealed
    other, _ = case.guess("other", 2)
    assert denied(await case.ask(replace(start, ke1=other.ke1))) is DenyReason.ATTEMPT_REUSED


async def test_ten_wrong_guesses_destroy_and_an_eleventh_is_not_evaluated(case: Case) -> None:
    await case.register()
    for number in range(1, 11):
        _, start = case.guess("wrong", number)
        started = expect(await case.ask(start), messages.RecoverStarted)
        refusal = expect(await case.ask(messages.RecoverFinish(ticket=started.ticket, ke3=bytes(32))), messages.Refusal)
        assert refusal.attempts_left == 10 - number
    _, start = case.guess("right", 11)
    assert denied(await case.ask(start)) is DenyReason.DESTROYED
    assert case.tokens.evaluations() == 10


async def test_ten_starts_without_a_finish_leave_no_eleventh_evaluation(case: Case) -> None:
    await case.register()
    for number in range(1, 11):
        expect(await case.ask(case.guess("wrong", number)[1]), messages.RecoverStarted)
    assert denied(await case.ask(case.guess("right", 11)[1])) is DenyReason.DESTROYED
    assert case.tokens.evaluations() == 10


async def test_an_expired_ticket_is_stale(case: Case) -> None:
    await case.register()
    login, start = case.guess()
    started = expect(await case.ask(start), messages.RecoverStarted)
    case.clock.at += 301
    assert denied(await case.ask(case.prove(login, started))) is DenyReason.STALE


async def test_a_ticket_of_another_registration_is_stale(case: Case) -> None:
    export_key = await case.register()
    login, start = case.guess()
    started = expect(await case.ask(start), messages.RecoverStarted)
    proof = case.prove(login, started)
    expect(await case.ask(proof), messages.Recovered)
    statement = OwnerStatement(fleet=case.fleet.fleet, subject=SUBJECT, action=Action.DELETE, generation=1)
    delete = messages.Delete(
        token=case.account_token(("vault:delete",)), name=NAME, owner_signature=sign(export_key, statement)
    )
    expect(await case.ask(delete), messages.Deleted)
    await case.register(number=2)
    assert denied(await case.ask(proof)) is DenyReason.STALE


async def test_a_register_ticket_is_no_recover_ticket_and_a_changed_one_is_none(case: Case) -> None:
    await case.register()
    start = messages.RegisterStart(token=case.account_token(), name=NAME, blinded=case.guess()[1].ke1[:33])
    ticket = expect(await case.ask(start), messages.RegisterStarted).ticket
    for wrong in (ticket, ticket[:-1] + bytes([ticket[-1] ^ 1]), ticket[:40], b"x"):
        refusal = expect(await case.ask(messages.RecoverFinish(ticket=wrong, ke3=bytes(32))), messages.Refusal)
        assert refusal.family == 1


async def test_a_request_under_another_records_route_is_refused(case: Case) -> None:
    await case.register()
    login, start = case.guess()
    elsewhere = (SUBJECT.route() + 1) % 65536
    assert expect(await case.ask(start, route=elsewhere), messages.Refusal).family == 1
    started = expect(await case.ask(start), messages.RecoverStarted)
    proof = case.prove(login, started)
    assert expect(await case.ask(proof, route=elsewhere), messages.Refusal).family == 1


async def test_the_tenants_limit_charges_nothing_and_leaves_free_retries_free(
    sealed_token: ReplicaToken, token: Pkcs11Token
) -> None:
    case = case_on(sealed_token, token, replace(POLICY, charges_per_hour=1))
    await case.register()
    _, first = case.guess("wrong", 1)
    expect(await case.ask(first), messages.RecoverStarted)
    assert denied(await case.ask(case.guess("wrong", 2)[1])) is DenyReason.TENANT_LIMIT
    expect(await case.ask(first), messages.RecoverStarted)
    assert case.tokens.evaluations() == 2


async def test_over_the_limit_of_destructions_the_record_stays_without_a_guess_left(
    sealed_token: ReplicaToken, token: Pkcs11Token
) -> None:
    case = case_on(sealed_token, token, replace(POLICY, maximum=1, destructions_per_hour=1))
    case.service._desk.destructions.spend("tenant-1", case.clock.at)
    await case.register()
    expect(await case.ask(case.guess("wrong", 1)[1]), messages.RecoverStarted)
    assert denied(await case.ask(case.guess("right", 2)[1])) is DenyReason.TENANT_LIMIT
    assert case.tokens.evaluations() == 1


@pytest.mark.parametrize("trouble", ["jumped clock", "expired manifest"])
async def test_a_replica_that_must_not_answer_sends_the_client_on(case: Case, trouble: str) -> None:
    await case.register()
    _, start = case.guess()
    if trouble == "jumped clock":
        case.clock.jumped = True
    else:
        case.clock.at = case.manifest.not_after
    expect(await case.ask(start), messages.Refusal)
    assert case.replies[-1].outcome is Outcome.TRY_ANOTHER
    assert case.tokens.evaluations() == 0


async def test_every_answer_to_a_kind_of_request_has_one_length_whatever_it_says(case: Case) -> None:
    await case.register()
    login, start = case.guess()
    started = expect(await case.ask(start), messages.RecoverStarted)
    await case.ask(replace(start, token="no.jwt.at-all"))
    await case.ask(case.prove(login, started))
    await case.ask(messages.RecoverFinish(ticket=b"x", ke3=bytes(32)))
    sizes = [len(reply.sealed) for reply in case.replies[-4:]]
    expected = [SEALED_ANSWER_SIZE[messages.Kind.RECOVER_START], SEALED_ANSWER_SIZE[messages.Kind.RECOVER_FINISH]]
    assert sizes == [expected[0], expected[0], expected[1], expected[1]]


@pytest.mark.parametrize("sealed", [b"x", bytes(70), b"\x01\x01" + bytes(3000), b"\x01\x01\x04" + b"\xff" * 3000])
async def test_what_does_not_open_is_refused_without_a_seal(case: Case, sealed: bytes) -> None:
    response = await case.service.answer(Request(id=9, fleet="", route=0, sealed=sealed))
    assert (response.id, response.outcome, response.sealed) == (9, Outcome.REFUSED, b"")
    assert (response.detail != "", response.bundle) == (True, b"the bundle")


async def test_who_asks_for_the_bundle_gets_it_and_nothing_else_happens(case: Case) -> None:
    response = await case.service.answer(Request(id=9, fleet="", route=0, sealed=ASK_FOR_BUNDLE))
    assert (response.outcome, response.sealed, response.bundle) == (Outcome.REFUSED, b"", b"the bundle")
    assert response.detail == ""


async def test_a_value_that_was_moved_from_another_record_does_not_open(case: Case) -> None:
    await case.register()
    for voter in case.voters:
        (record,) = voter.slots
        other = case.tokens.token.record_id(replace(SUBJECT, name="other").text().encode())
        voter.slots[other] = voter.slots[record]
    start = replace(case.guess()[1], name="other")
    refusal = expect(await case.ask(start, route=replace(SUBJECT, name="other").route()), messages.Refusal)
    assert refusal.family == 5
    assert case.tokens.evaluations() == 0
