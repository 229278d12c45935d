"""Shares with known bytes: the library's randomness is the documented hook of its own, and only tests turn it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count

import pytest
from shamir_mnemonic import shamir

from hsm_app.ceremony.custody import CustodianShare, Custody, split

FLEET = "fleet-1"
SECRET = bytes(range(16))
NAMES = ("Ada", "Ben", "Cleo", "Dan", "Eve")
IDENTIFIER = 12_345


@contextmanager
def known_randomness(seed: str) -> Iterator[None]:
    """Make `split` a function of its arguments and of `seed`."""
    numbers = count()

    def stream(length: int) -> bytes:
        return hashlib.shake_128(f"{seed} {next(numbers)}".encode()).digest(length)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shamir, "RANDOM_BYTES", stream)
        yield


def salts(number: int, seed: str = "salt") -> list[tuple[str, bytes]]:
    return [(name, hashlib.shake_128(f"{seed} {name}".encode()).digest(16)) for name in NAMES[:number]]


def example(
    threshold: int = 3, number: int = 5, seed: str = "example", identifier: int = IDENTIFIER, secret: bytes = SECRET
) -> tuple[Custody, tuple[CustodianShare, ...]]:
    with known_randomness(seed):
        return split(secret, FLEET, threshold, salts(number, seed), identifier)
