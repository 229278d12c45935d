"""The token of a simulated replica, and OPAQUE as far as a simulation needs it: events instead of curve points.

All tokens of a fleet hold the same secret. An evaluation is an event for the ledger, so no guess is ever computed; a
right code is one whose hash the record keeps as its masking key. Everything else of a recovery is the real code.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from random import Random
from types import SimpleNamespace
from typing import TypeVar
from unittest.mock import patch

from hsm_app.model import RecordId, WrappedKey
from hsm_app.opaque import server
from hsm_app.opaque.messages import RegistrationRecord
from hsm_app.ports import Token
from hsm_app.replica import recovering

T = TypeVar("T")
POINT = bytes.fromhex("036b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296")  # P-256's generator


def digest(*parts: bytes) -> bytes:
    """Return 32 bytes that depend on all parts."""
    return hashlib.sha256(b"".join(len(part).to_bytes(4, "big") + part for part in parts)).digest()


class SimulatedToken:
    """Implements what is asked of ports.Token. `evaluated` is told each key blob and KE1 that is evaluated under it."""

    def __init__(self, secret: bytes, random: Random, evaluated: Callable[[bytes, bytes], None]) -> None:
        self._secret = secret
        self._random = random
        self._evaluated = evaluated

    def random(self, length: int) -> bytes:
        return self._random.randbytes(length)

    def create_record_key(self, blinded: bytes) -> tuple[WrappedKey, bytes]:
        blob = self._random.randbytes(32)
        return WrappedKey(blob=blob, public=POINT), b"\2" + digest(blob, blinded)

    def evaluate(self, key: WrappedKey, blinded: bytes) -> bytes:
        self._evaluated(key.blob, blinded)
        return b"\2" + digest(key.blob, blinded)

    def opaque_dh(self, public: bytes) -> bytes:
        return public

    def message_key(self, purpose: bytes, nonce: bytes) -> bytes:
        return hmac.digest(self._secret, purpose + nonce, "sha256")

    def record_id(self, subject: bytes) -> RecordId:
        return RecordId(hmac.digest(self._secret, subject, "sha256"))

    def sign(self, message: bytes) -> bytes:
        return hmac.digest(self._secret, message, "sha512")


class SimulatedQueue:
    """Implements ports.TokenQueue: each trip takes simulated time, and none comes back to a process that has ended."""

    def __init__(self, token: Token, pause: Callable[[], float], is_alive: Callable[[], bool]) -> None:
        self._token = token
        self._pause = pause
        self._is_alive = is_alive

    async def run(self, job: Callable[[Token], T]) -> T:
        await asyncio.sleep(self._pause())
        if not self._is_alive():
            raise asyncio.CancelledError
        return job(self._token)


@dataclass(frozen=True, slots=True)
class Opening:
    """A KE1 that nobody computes with: all of it stands for the blinded element."""

    raw: bytes
    blinded: bytes
    client_keyshare: bytes


def client_mac(code_hash: bytes, ke1: bytes, evaluated: bytes) -> bytes:
    """Return the KE3 that proves a code whose hash is given."""
    return digest(b"mac", code_hash, ke1, evaluated)


def _respond(ke1: Opening, record: RegistrationRecord, *, evaluated: bytes, **_: object) -> tuple[bytes, object]:
    mac = client_mac(record.masking_key, ke1.raw, evaluated)
    return evaluated, SimpleNamespace(expected_client_mac=mac, session_key=b"")


@contextmanager
def without_opaque() -> Iterator[None]:
    """Have `replica.recovering` skip the mathematics: KE1 is opaque bytes, and KE2 is the evaluated element."""
    stand_in = SimpleNamespace(
        begin_login=lambda ke1: Opening(ke1, ke1, ke1),
        respond=_respond,
        client_mac_matches=server.client_mac_matches,
        LoginRandomness=server.LoginRandomness,
    )
    with patch.object(recovering, "server", stand_in):
        yield
