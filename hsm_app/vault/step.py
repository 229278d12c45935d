"""One step of a record: bytes of the chosen value in, bytes of the next value and the answer out.

The caller seals and agrees on the bytes; nothing of the answer leaves before that. Refusals come back as values here,
never as exceptions, so that they, too, go through the vote (VAULT-NOTHING-LEAVES-UNCHOSEN).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from hsm_app.errors import Denied
from hsm_app.vault.record import Outcome, Record
from hsm_app.vault.record_codec import decode_record, encode_record

T = TypeVar("T")


def decide(record: Record, transition: Callable[[Record], Outcome[T | Denied]]) -> Outcome[T | Denied]:
    """Run a transition; a Denied that it raises becomes the answer of an outcome that changes nothing."""
    try:
        return transition(record)
    except Denied as denied:
        return Outcome(record=None, answer=denied)


def apply(value: bytes, transition: Callable[[Record], Outcome[T | Denied]]) -> tuple[bytes | None, T | Denied]:
    """Return the record's next bytes (None for no change) and the answer. StoreError when `value` is no record."""
    outcome = decide(decode_record(value), transition)
    return None if outcome.record is None else encode_record(outcome.record), outcome.answer
