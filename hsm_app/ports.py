"""What the programs demand of the world outside: obligations, not implementations.

Adapters: `token/` implements Token, TokenQueue and Anchor, `store/` implements Store, `replica/clock` implements Clock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol, TypeVar

from hsm_app.consensus.acceptor import Slot
from hsm_app.merkle.rows import BucketHashes, RowDigests
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """What one batch of votes changes: the rows with their digests, the hashes of their buckets, and its number."""

    counter: int  # one more than the store's
    rows: Mapping[RecordId, Slot]
    digests: Mapping[RecordId, RowDigests]  # of the same records
    buckets: Mapping[int, BucketHashes]


class Store(Protocol):
    """A replica's rows, their digests and the hashes of their buckets: kept, and trusted with nothing.

    Blocking; called by one thread only. Any error is a StoreError and ends the process. What it returns is checked
    against the anchor by the caller; a store need not compute or check a hash.
    """

    def counter(self) -> int:
        """Return the counter of the last commit, 0 when there was none."""

    def buckets(self) -> Iterable[tuple[int, BucketHashes]]:
        """Return the hashes of all buckets that ever had a row, as committed, in any order."""

    def bucket(self, number: int) -> dict[RecordId, RowDigests]:
        """Return the digests of all rows of one bucket, as committed."""

    def load(self, records: Iterable[RecordId]) -> dict[RecordId, Slot]:
        """Return the slots that exist among `records`."""

    def commit(self, batch: Batch) -> None:
        """Write all of a batch in one transaction. When this returns it survives power loss.

        The former content of these rows and buckets and the former counter are kept by the same transaction, for
        `undo`, in place of what was kept for the batch before.
        """

    def undo(self) -> None:
        """Take the last batch back, durably. StoreError when there is none to take back: one batch, and only once."""

    def count(self) -> int:
        """Return the number of rows."""

    def close(self) -> None:
        """Give the store up, so that another process may open it."""


class Anchor(Protocol):
    """The few bytes that the token remembers of the store. Blocking; called on the vote thread only.

    Any TokenError ends the process: what the token holds is then unknown, and the next start finds out.
    """

    def read(self) -> list[bytes]:
        """Return the content of every anchor object, well-formed or not. Half-made ones without a label are removed."""

    def first(self, content: bytes) -> None:
        """Create the first anchor, durably. TokenError when there is one already."""

    def replace(self, old: bytes, new: bytes) -> None:
        """Create `new`, durably; then destroy `old` and see that very call succeed; return only then.

        Of two processes that replace one anchor, exactly one returns. A loss of power may bring the last `old` back,
        never an earlier one.
        """

    def destroy(self, content: bytes) -> None:
        """Destroy the anchor object with this content, durably. TokenError unless that very call succeeds."""
