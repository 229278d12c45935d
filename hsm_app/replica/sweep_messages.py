"""The inquiries of a sweep as bytes. Both ends are in one epoch and manifest: the link between them says so.

| name | asks with | is answered with |
|---|---|---|
| `sweep-fence` | nothing | the epoch that the member has entered (8 bytes, big-endian) |
| `sweep-page` | the id to begin after, or nothing | 1 for the last page, else 0; then the ids, one after the other |
| `sweep-sign` | the epoch whose sweep the asker has completed | a signature of `membership_certificate.statement` |
"""

from __future__ import annotations

from hsm_app.consensus.sweep import Page
from hsm_app.errors import ProtocolError
from hsm_app.model import RecordId

FENCE, PAGE, SIGN = "sweep-fence", "sweep-page", "sweep-sign"
RECORD_LENGTH = 32
EPOCH_LENGTH = 8
PAGE_ROWS = 512  # 16 KiB, and a millisecond or so of the listing member's vote thread


def encode_epoch(epoch: int) -> bytes:
    return epoch.to_bytes(EPOCH_LENGTH, "big")


def check_epoch(body: bytes, epoch: int) -> None:
    """ProtocolError unless `body` names this epoch."""
    if body != encode_epoch(epoch):
        raise ProtocolError(f"a sweep's message is not about epoch {epoch}")


def decode_after(body: bytes) -> RecordId | None:
    """Read what a page begins after. ProtocolError for anything but an id or nothing."""
    if len(body) not in (0, RECORD_LENGTH):
        raise ProtocolError(f"a page is asked for after an id of {len(body)} bytes")
    return RecordId(body) if body else None


def encode_page(page: Page) -> bytes:
    return bytes([page.is_last]) + b"".join(page.records)


def decode_page(body: bytes) -> Page:
    """Read a page. ProtocolError for anything else; the order of its records is for `merge_pages`."""
    head, listed = body[:1], body[1:]
    if head not in (b"\0", b"\1") or len(listed) % RECORD_LENGTH or len(listed) > PAGE_ROWS * RECORD_LENGTH:
        raise ProtocolError("a page of a sweep is damaged")
    starts = range(0, len(listed), RECORD_LENGTH)
    return Page(records=[RecordId(listed[at : at + RECORD_LENGTH]) for at in starts], is_last=head == b"\1")
