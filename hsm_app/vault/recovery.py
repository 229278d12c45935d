"""Recovering: the charge before any evaluation, and the finish that gives it back.

The client knows whether its code was right as soon as it has KE2 (RFC 9807 section 9.2), so every KE1 counts as a wrong
code until a valid KE3 arrives. Order of checks at the start: the attempt id first, then the record's state, then the
count, and only then the clock.

A wrong code, a wrong MAC and a malformed KE3 are one answer. The finish that reveals it says WRONG_CODE with the number
left, also when it is the one that destroys the record (0 left); whoever finds the record destroyed hears DESTROYED.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from hsm_app.errors import Denied, DenyReason
from hsm_app.fleet.manifest import AttemptPolicy
from hsm_app.model import AttemptId
from hsm_app.vault.attempts import Attempt, AttemptOutcome
from hsm_app.vault.events import Event, EventKind, merge
from hsm_app.vault.record import (
    Outcome,
    Record,
    Registration,
    State,
    attempts_left,
    changed,
    destroyed,
    live,
    stale,
    trusted_time,
)
from hsm_app.vault.schedule import without_schedule

_START_AGAIN = "Start a new recovery with a new attempt id"


@dataclass(frozen=True, slots=True, kw_only=True)
class Charged:
    """Leave to evaluate the KE1 of one charge, and what to answer it with. `fresh` when this request was the charge."""

    registration: Registration
    generation: int
    sequence: int
    attempts_left: int
    fresh: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovered:
    """The payload, and the log by which the owner learns of others' attempts."""

    payload: bytes = field(repr=False)
    generation: int
    events: tuple[Event, ...]


def start_recovery(
    record: Record, *, attempt_id: AttemptId, ke1_hash: bytes, now: int, policy: AttemptPolicy
) -> Outcome[Charged | Denied]:
    """Charge one attempt, or know it again for nothing.

    VAULT-ATTEMPT-ID-FIRST: a known attempt id is settled before anything else, so a replayed start never charges and
    never destroys. VAULT-ATTEMPT-CHARGED-FIRST: a new one is an evaluation only together with its charge.
    VAULT-DESTROY-ON-NEW-ATTEMPT: a new one with none left destroys the record; no clock is asked for that.

    Raises Denied: ATTEMPT_REUSED, STALE, DESTROYED, NO_RECORD, RETRY_LATER.
    """
    known = record.attempts.find(attempt_id)
    if known is not None:
        return _known_attempt(record, known, ke1_hash)
    registration = live(record)
    if attempts_left(record) < 1:
        return Outcome(record=_destroy(record, now), answer=destroyed())
    _check_wait(record, now, policy)
    return _charge(record, registration, attempt_id, ke1_hash, now)


def _known_attempt(record: Record, known: Attempt, ke1_hash: bytes) -> Outcome[Charged | Denied]:
    """VAULT-ONE-KE1-PER-CHARGE: evaluating the KE1 of a charge again is no guess, and another KE1 would be one."""
    if known.ke1_hash != ke1_hash:
        raise Denied(DenyReason.ATTEMPT_REUSED, "this attempt id was charged for another KE1", _START_AGAIN)
    if known.generation != record.generation:
        raise stale("this attempt belongs to an earlier registration", _START_AGAIN)
    return Outcome(record=None, answer=_evaluation(record, live(record), known.sequence, fresh=False))


def _charge(
    record: Record, registration: Registration, attempt_id: AttemptId, ke1_hash: bytes, now: int
) -> Outcome[Charged | Denied]:
    at = max(now, record.last_time)
    sequence = record.sequence + 1
    attempt = Attempt(
        attempt_id=attempt_id,
        ke1_hash=ke1_hash,
        sequence=sequence,
        generation=record.generation,
        at=at,
        outcome=AttemptOutcome.CHARGED,
    )
    after = changed(record, now, sequence=sequence, charged_at=at, attempts=record.attempts.add(attempt))
    return Outcome(record=after, answer=_evaluation(after, registration, sequence, fresh=True))


def _evaluation(record: Record, registration: Registration, sequence: int, *, fresh: bool) -> Charged:
    return Charged(
        registration=registration,
        generation=record.generation,
        sequence=sequence,
        attempts_left=attempts_left(record),
        fresh=fresh,
    )


def _check_wait(record: Record, now: int, policy: AttemptPolicy) -> None:
    """VAULT-GROWING-WAITS: after the n-th unanswered charge in a row, a new one waits `waits_seconds[n - 1]`."""
    unanswered = record.sequence - record.last_success
    wait = policy.waits_seconds[min(unanswered, len(policy.waits_seconds)) - 1] if unanswered else 0
    if wait == 0:
        return  # no clock decides
    remaining = record.charged_at + wait - trusted_time(record, now)
    if remaining > 0:
        raise Denied(
            DenyReason.RETRY_LATER,
            f"after {unanswered} attempts without success the next one has to wait {remaining} s",
            "Try again then; nothing was charged",
            attempts_left=attempts_left(record),
            retry_after=remaining,
        )


def finish_recovery(
    record: Record, *, attempt_id: AttemptId, sequence: int, generation: int, mac_valid: bool, now: int
) -> Outcome[Recovered | Denied]:
    """Settle the attempt that a ticket names. `mac_valid`: its KE3 was compared in constant time.

    VAULT-FINISH-MATCHES-CHARGE: only an attempt that this generation charged can be finished. An attempt that is older
    than the log can not: its client starts again.

    Raises Denied: STALE, DESTROYED, and WRONG_CODE for a repeat.
    """
    if generation != record.generation:
        raise stale("this attempt belongs to an earlier registration", _START_AGAIN)
    registration = live(record)
    attempt = record.attempts.find(attempt_id)
    if attempt is None or attempt.sequence != sequence or attempt.generation != generation:
        raise stale("this attempt is no longer known", _START_AGAIN)
    if mac_valid:
        return _succeed(record, registration, attempt, now)
    return _fail(record, attempt, now)


def _succeed(record: Record, registration: Registration, attempt: Attempt, now: int) -> Outcome[Recovered | Denied]:
    """VAULT-SUCCESS-ONCE: the first valid finish of an attempt gives back, a repeated one only returns the payload.

    VAULT-SUCCESS-GIVES-BACK-OWN: what comes back is what was charged up to this attempt, never a later charge.
    VAULT-SUCCESS-CANCELS: whoever proved account and code is taken for the owner, so nothing stays scheduled.
    An attempt that was marked FAILED counts as well: the MAC proves the code, and a wrong KE3 before it proves only
    that somebody sent one. To refuse it would cost the owner a guess and an attacker nothing.
    """
    if attempt.outcome is AttemptOutcome.SUCCEEDED:
        return Outcome(record=None, answer=_payload(record, registration))
    after = changed(
        without_schedule(record, now),
        now,
        last_success=max(record.last_success, attempt.sequence),
        attempts=record.attempts.mark(attempt, AttemptOutcome.SUCCEEDED),
    )
    return Outcome(record=after, answer=_payload(after, registration))


def _payload(record: Record, registration: Registration) -> Recovered:
    events = merge(record.events, record.attempts)
    return Recovered(payload=registration.payload, generation=record.generation, events=events)


def _fail(record: Record, attempt: Attempt, now: int) -> Outcome[Recovered | Denied]:
    """VAULT-DESTROY-ON-LAST-FAILURE: a wrong KE3 for the last charge destroys the record; a repeat changes nothing."""
    if attempt.outcome is not AttemptOutcome.CHARGED:
        raise _wrong_code(record)
    after = changed(record, now, attempts=record.attempts.mark(attempt, AttemptOutcome.FAILED))
    if attempts_left(after) < 1 and attempt.sequence == record.sequence:
        after = _destroy(after, now)
    return Outcome(record=after, answer=_wrong_code(after))


def _wrong_code(record: Record) -> Denied:
    left = attempts_left(record)
    if record.state is State.DESTROYED:
        todo = "It was the last attempt: the record is destroyed"
    elif left == 0:
        todo = "No attempt is left: a new one destroys the record, unless one that is under way succeeds first"
    else:
        todo = "Check the code and try again"
    return Denied(DenyReason.WRONG_CODE, "the recovery code is wrong", todo, attempts_left=left)


def _destroy(record: Record, now: int) -> Record:
    """VAULT-DESTROYED-ERASES: key blob, OPAQUE record, payload and owner's key go, and so does what is pending.

    The pending one may keep the same secret under the same code: to leave it would leave as many guesses again.
    Generation and logs stay, so a replayed message finds nothing it could do.
    """
    return changed(record, now, EventKind.DESTROYED, state=State.DESTROYED, active=None, pending=None, scheduled=None)
