"""A record's bytes: one encoding, read strictly, and one kind of error for everything else."""

from __future__ import annotations

from dataclasses import replace

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hsm_app.errors import DenyReason, StoreError
from hsm_app.vault.attempts import NO_ATTEMPTS, Attempt, AttemptLog, AttemptOutcome
from hsm_app.vault.events import NO_EVENTS, EventKind
from hsm_app.vault.owner import Action
from hsm_app.vault.record import EMPTY, Record, Scheduled, State
from hsm_app.vault.record_codec import decode_record, encode_record
from hsm_app.vault.recovery import Charged
from hsm_app.vault.step import apply
from tests.vault.example import NOW, active_vault, attempt, filled, ke1, reason, registration, registration_id


def full_record() -> Record:
    """Every field holds something, and every log is full."""
    attempts, events = NO_ATTEMPTS, NO_EVENTS
    for number in range(1, 41):
        attempts = attempts.add(
            Attempt(
                attempt_id=attempt(number),
                ke1_hash=ke1(number),
                sequence=number,
                generation=7,
                at=NOW + number,
                outcome=AttemptOutcome.SUCCEEDED,
            )
        )
        events = events.add(EventKind.CANCELLED, at=NOW + number, sequence=number)
    return Record(
        generation=7,
        state=State.ACTIVE,
        active=registration(1),
        pending=registration(2),
        sequence=40,
        last_success=40,
        charged_at=NOW + 40,
        attempts=attempts,
        events=events,
        registrations=b"".join(registration_id(number) for number in range(8)),
        last_time=NOW + 50,
        scheduled=Scheduled(action=Action.ACTIVATE, registration_id=registration_id(2), due_at=NOW + 90),
    )


def test_no_bytes_are_the_empty_record() -> None:
    assert decode_record(b"") == EMPTY


@pytest.mark.parametrize("record", [EMPTY, full_record()])
def test_what_is_written_is_read(record: Record) -> None:
    assert decode_record(encode_record(record)) == record


def test_a_full_record_stays_below_five_kilobytes() -> None:
    """The size of every vote. Payloads of a key, as nearly all are; 1 KiB of secret adds one per registration."""
    assert len(encode_record(full_record())) < 5_000


def items() -> list[object]:
    plain = msgpack.unpackb(encode_record(full_record()))
    assert isinstance(plain, list)
    return plain


def changed(place: int, value: object) -> bytes:
    plain = items()
    plain[place] = value
    return bytes(msgpack.packb(plain))


def in_registration(place: int, value: object) -> bytes:
    plain = items()
    plain[3][place] = value  # type: ignore[index]
    return bytes(msgpack.packb(plain))


GOOD = encode_record(full_record())
LOG = full_record().attempts.packed
BAD = {
    "no msgpack": b"\xc1",
    "cut short": GOOD[:-1],
    "followed by more": GOOD + b"\x00",
    "no array": msgpack.packb("record"),
    "an array of nothing": msgpack.packb([]),
    "one field too many": msgpack.packb([*items(), 0]),
    "one field too few": msgpack.packb(items()[:-1]),
    "another format": changed(0, 2),
    "a number in a longer form": GOOD.replace(b"\x9d\x01\x07", b"\x9d\x01\xcc\x07", 1),
    "a boolean for a number": changed(1, True),
    "a negative generation": changed(1, -1),
    "a number of 64 bits": changed(1, 1 << 63),
    "an unknown state": changed(2, "lost"),
    "a state that is bytes": changed(2, b"active"),
    "active without a registration": changed(3, None),
    "a registration that is not active": changed(2, "deleted"),
    "a registration without its maximum": changed(3, items()[3][:-1]),  # type: ignore[index]
    "a registration with a short record": in_registration(3, b"x"),
    "a registration with a text payload": in_registration(4, "x" * 100),
    "a success after the last charge": changed(6, 41),
    "a sequence behind its attempts": changed(5, 39),
    "an attempt log of another width": changed(8, LOG[:-1]),
    "an attempt log that is too long": changed(8, LOG + LOG[:73]),
    "attempts in another order": changed(8, LOG[-73:] + LOG[:-73]),
    "an attempt with an unknown outcome": changed(8, LOG[:-1] + b"\x04"),
    "an event log of another width": changed(9, b"x"),
    "an event of an unknown kind": changed(9, b"\x00" * 17),
    "a registration id cut short": changed(10, b"x" * 15),
    "too many registration ids": changed(10, b"x" * 144),
    "a cancellation that is scheduled": changed(12, [3, b"x" * 16, NOW]),
    "a schedule without its time": changed(12, [1, b"x" * 16]),
    "an extension": changed(12, msgpack.ExtType(1, b"x")),
    "a map": changed(12, {}),
    "text that is not UTF-8": GOOD.replace(b"\xa6active", b"\xa6\xff\xff\xff\xff\xff\xff", 1),
    "lists in lists": b"\x91" * 2000,
}


@pytest.mark.parametrize("value", BAD.values(), ids=BAD.keys())
def test_no_record_is(value: bytes) -> None:
    assert value != GOOD
    with pytest.raises(StoreError) as caught:
        decode_record(value)
    assert caught.value.__cause__ is None


@given(st.binary(min_size=1, max_size=200))
def test_any_bytes_are_a_record_or_one_error(value: bytes) -> None:
    try:
        record = decode_record(value)
    except StoreError:
        return
    assert encode_record(record) == value


@given(st.integers(0, len(GOOD) - 1), st.integers(0, 255))
def test_a_changed_byte_gives_another_record_or_one_error(place: int, byte: int) -> None:
    value = GOOD[:place] + bytes((byte,)) + GOOD[place + 1 :]
    try:
        record = decode_record(value)
    except StoreError:
        return
    assert encode_record(record) == value


def test_a_step_returns_refusals_as_values() -> None:
    """VAULT-NOTHING-LEAVES-UNCHOSEN, the record's part: what was raised would bypass the vote."""
    vault = active_vault()
    assert reason(vault.start(1, question=1)) is None
    assert reason(vault.start(1, question=2)) is DenyReason.ATTEMPT_REUSED


def test_a_step_does_not_hide_a_damaged_record() -> None:
    with pytest.raises(StoreError):
        apply(b"\x01", lambda record: pytest.fail(f"the transition saw {record}"))


def test_an_attempt_id_that_lies_across_fields_is_not_an_attempt() -> None:
    """An id is looked up by a search in bytes; whoever chooses a KE1 can choose what its hash's bytes look like."""
    hidden = filled(16, "hidden")
    log = AttemptLog()
    for number, question in ((1, hidden + bytes(16)), (2, bytes(16) + hidden), (3, bytes(8) + hidden + bytes(8))):
        log = log.add(
            Attempt(
                attempt_id=attempt(number),
                ke1_hash=question,
                sequence=number,
                generation=1,
                at=NOW,
                outcome=AttemptOutcome.CHARGED,
            )
        )
    assert log.find(hidden) is None  # type: ignore[arg-type]
    third = log.find(attempt(3))
    assert third is not None
    assert third.sequence == 3


def test_an_attempt_is_marked_alone() -> None:
    vault = active_vault()
    for number in range(5):
        vault.charge(number)
    log = decode_record(vault.value).attempts
    found = log.find(attempt(2))
    assert found is not None
    marked = log.mark(found, AttemptOutcome.FAILED)
    assert [outcome for _, _, outcome in marked.latest(5)] == [1, 1, 2, 1, 1]
    assert replace(found, outcome=AttemptOutcome.FAILED) == marked.find(attempt(2))


def test_secrets_have_no_repr() -> None:
    vault = active_vault()
    charged = vault.charge(1)
    assert isinstance(charged, Charged)
    shown = repr((charged, decode_record(vault.value), vault.finish(1, charged, right=True)))
    assert repr(registration(1).payload) not in shown
    assert repr(registration(1).opaque_record) not in shown
