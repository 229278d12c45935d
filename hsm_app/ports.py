"""What the programs demand of the world outside: obligations, not implementations.

Adapters: `token/` implements Token and TokenQueue, `store/` implements Store, `replica/clock` implements Clock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Protocol, TypeVar

from hsm_app.consensus.acceptor import Slot
from hsm_app.model import LinkKeys, RecordId, WrappedKey

T = TypeVar("T")


class Clock(Protocol):
    def now(self) -> int:
        """Return wall-clock time in whole POSIX seconds. No bound rests on it (VAULT-NO-BOUND-ON-CLOCK)."""


class Entropy(Protocol):
    def random(self, length: int) -> bytes:
        """Return `length` unpredictable bytes, never the same twice."""


class Token(Entropy, Protocol):
    """The key operations of one replica. Blocking; called on the token's owner thread only.

    Long-lived secrets never leave the token. Points are SEC 1 compressed (33 bytes) unless said. A malformed point is
    refused with ProtocolError before the device sees it; whatever else goes wrong is a TokenError.
    """

    def kem_shared_x(self, enc: bytes) -> bytes:
        """Return the 32-byte x coordinate of `fleet-kem` times `enc` (65 bytes; RFC 9180, 4.1)."""

    def opaque_dh(self, public: bytes) -> bytes:
        """Return `fleet-opaque` times `public`, the full point (RFC 9807 section 6.4.1.2)."""

    def create_record_key(self, blinded: bytes) -> tuple[WrappedKey, bytes]:
        """Make an OPRF key, wrap it, evaluate `blinded` under it, destroy it; return key and evaluated point."""

    def evaluate(self, key: WrappedKey, blinded: bytes) -> bytes:
        """Return the record's OPRF key times `blinded` (RFC 9497, 3.3.1: BlindEvaluate). Destroyed also on error."""

    def message_key(self, purpose: bytes, nonce: bytes) -> bytes:
        """Return HMAC-SHA256(`fleet-seal`, purpose || nonce): the key of one sealed message. `nonce` is 32 bytes."""

    def record_id(self, subject: bytes) -> RecordId:
        """Return HMAC-SHA256(`fleet-id`, subject)."""

    def sign(self, message: bytes) -> bytes:
        """Return raw r || s (64 bytes) by `replica-identity` over SHA-256(message)."""

    def link_keys(self, peer: bytes, transcript: bytes) -> LinkKeys:
        """Derive a connection's keys from `replica-link` and the peer's link key; the secret stays in the token."""


class TokenQueue(Protocol):
    async def run(self, job: Callable[[Token], T]) -> T:
        """Run `job` on the owner thread and return what it returns. Jobs queued together run back to back."""


class Store(Protocol):
    """A replica's rows. Blocking; called by one thread only. Any error is a StoreError and ends the process."""

    def boot(self) -> int:
        """Raise the durable boot number by one and return it; durable before it returns."""

    def load(self, records: Iterable[RecordId]) -> dict[RecordId, Slot]:
        """Return the slots that exist among `records`."""

    def commit(self, rows: Mapping[RecordId, Slot]) -> None:
        """Write all rows in one transaction. When this returns they survive power loss."""

    def count(self) -> int:
        """Return the number of rows."""

    def close(self) -> None:
        """Give the store up, so that another process may open it."""
