"""A record as bytes: one msgpack array, read strictly, with a format version first.

`b""` is the EMPTY record of generation 0. A value has one encoding only: what is read is written again and must give
the same bytes. Anything else is a StoreError, as the bytes come out of a seal that only this fleet's tokens make: a
value that does not read is damage, or the work of a newer version.
"""

from __future__ import annotations

from typing import Any, TypeVar, cast

import msgpack

from hsm_app.errors import ProtocolError, StoreError
from hsm_app.model import RegistrationId, WrappedKey
from hsm_app.vault.attempts import AttemptLog
from hsm_app.vault.events import EventLog
from hsm_app.vault.owner import Action
from hsm_app.vault.record import EMPTY, REGISTRATIONS_KEPT, Record, Registration, Scheduled, State

FORMAT = 1
_NUMBER_LIMIT = 1 << 63
_Items = list[Any]
T = TypeVar("T")


def encode_record(record: Record) -> bytes:
    """Return the record's one encoding."""
    packed: bytes = msgpack.packb(
        [
            FORMAT,
            record.generation,
            record.state.value,
            _registration_items(record.active),
            _registration_items(record.pending),
            record.sequence,
            record.last_success,
            record.charged_at,
            record.attempts.packed,
            record.events.packed,
            record.registrations,
            record.last_time,
            record.scheduled
            and [record.scheduled.action.value, record.scheduled.registration_id, record.scheduled.due_at],
        ]
    )
    return packed


def decode_record(value: bytes) -> Record:
    """Return the record. StoreError unless `value` is the one encoding of a record of this format."""
    if not value:
        return EMPTY
    try:
        items = msgpack.unpackb(value, max_array_len=16, max_map_len=0, max_ext_len=0)
        record = _record(items)
    except (ValueError, TypeError, ProtocolError, msgpack.UnpackException):
        # Not chained: those exceptions may quote the data.
        raise StoreError("a stored record does not read", "Run the newest version, or repair the store") from None
    if msgpack.packb(items) != value:
        raise StoreError("a stored record is not in its one encoding", "Repair the store")
    return record


def _registration_items(registration: Registration | None) -> _Items | None:
    if registration is None:
        return None
    return [
        registration.registration_id,
        registration.key.blob,
        registration.key.public,
        registration.opaque_record,
        registration.payload,
        registration.owner_public_key,
        registration.maximum,
    ]


def _typed(value: object, kind: type[T]) -> T:
    if type(value) is not kind:  # exact: a bool is no number
        raise TypeError("another type")
    return value


def _number(value: object) -> int:
    number = _typed(value, int)
    if not 0 <= number < _NUMBER_LIMIT:
        raise ValueError("a number out of range")
    return number


def _octets(value: object) -> bytes:
    return _typed(value, bytes)


def _record(items: object) -> Record:
    tag, generation, state, active, pending, sequence, success, charged, attempts, events, ids, time, scheduled = (
        _typed(items, cast(type[_Items], list))
    )
    if tag != FORMAT:
        raise ValueError("another format")
    record = Record(
        generation=_number(generation),
        state=State(_typed(state, str)),
        active=_registration(active),
        pending=_registration(pending),
        sequence=_number(sequence),
        last_success=_number(success),
        charged_at=_number(charged),
        attempts=AttemptLog(_octets(attempts)),
        events=EventLog(_octets(events)),
        registrations=_octets(ids),
        last_time=_number(time),
        scheduled=_scheduled(scheduled),
    )
    _check(record)
    return record


def _check(record: Record) -> None:
    record.attempts.check(record.sequence)
    record.events.check()
    if not (
        (record.active is not None) == (record.state is State.ACTIVE)
        and (record.active is not None or record.scheduled is None)
        and record.last_success <= record.sequence
        and len(record.registrations) % 16 == 0
        and len(record.registrations) <= 16 * REGISTRATIONS_KEPT
    ):
        raise ValueError("fields that contradict each other")


def _registration(items: object) -> Registration | None:
    if items is None:
        return None
    registration_id, blob, public, opaque_record, payload, owner, maximum = _typed(items, cast(type[_Items], list))
    return Registration(
        registration_id=RegistrationId(_octets(registration_id)),
        key=WrappedKey(blob=_octets(blob), public=_octets(public)),
        opaque_record=_octets(opaque_record),
        payload=_octets(payload),
        owner_public_key=_octets(owner),
        maximum=_number(maximum),
    )


def _scheduled(items: object) -> Scheduled | None:
    if items is None:
        return None
    action, registration_id, due_at = _typed(items, cast(type[_Items], list))
    if len(_octets(registration_id)) != 16 or action not in (Action.ACTIVATE, Action.DELETE):
        raise ValueError("nothing that can be scheduled")
    return Scheduled(
        action=Action(_number(action)),
        registration_id=RegistrationId(registration_id),
        due_at=_number(due_at),
    )
