"""What is fuzzed: one harness for each place where bytes come in from outside, with the property that has to hold.

A harness takes any bytes. Either they are refused with the one family of error that the place promises, or they become
a value whose encoding is those same bytes. Any other exception, AssertionError included, is a finding.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from hsm_app.errors import VaultError

Check = Callable[[bytes], None]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Harness:
    """`check` raises for a finding; `examples` are inputs that are accepted, for the fuzzer to start from."""

    check: Check
    examples: Sequence[bytes]


def round_trip(decode: Callable[[bytes], T], encode: Callable[[T], bytes], refusal: type[VaultError]) -> Check:
    """What `decode` accepts, `encode` writes byte for byte; the rest is a `refusal`."""

    def check(data: bytes) -> None:
        try:
            value = decode(data)
        except refusal:
            return
        assert encode(value) == data, "accepted, and written otherwise"

    return check


def one_of(*checks: Check) -> Check:
    """Let the first byte choose between several checks of what follows it."""

    def check(data: bytes) -> None:
        if data:
            checks[data[0] % len(checks)](data[1:])

    return check


def tagged(*examples: Sequence[bytes]) -> list[bytes]:
    """Put before each example the byte by which `one_of` finds its check."""
    return [bytes([place]) + example for place, group in enumerate(examples) for example in group]
