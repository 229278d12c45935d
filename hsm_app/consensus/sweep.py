"""The sweep of an epoch that removed a replica: which records it goes over, page by page (design section 7).

A page is what one member lists of its rows, from a common place on, in the order of the ids: also rows that hold a
promise and nothing else. The pages of a majority that had entered the epoch before any of them listed are merged as far
as all of them reach, and *every* record in them goes through the register once, with the change that changes nothing.

Why every one, also when a majority reports one and the same accepted ballot and nothing is left to write: the prepare
is what counts. Suppose that an accept under a high ballot N of the epoch before reached one member only, D, after a
prepare that {D, X, C} promised, and that the value was never chosen. Later {A, B, X'} may choose another one under a
ballot below N, for none of them has heard of N; and then {C, D, X'} finds N the highest, and takes its value. What was
chosen is lost. A prepare on a majority of the epoch in between meets D or C, so its ballot is above N, and every
majority of the next epoch holds a promise to it. For the same reason rows without a value are listed: C's promise of N
may be all that a majority knows of the record. `tests/fleet/test_membership_model.py` runs this case.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from hsm_app.errors import ProtocolError
from hsm_app.model import RecordId


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Part of one member's listing: ascending ids; `is_last` when nothing comes after it."""

    records: Sequence[RecordId]
    is_last: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class MergedPage:
    """`records` go through the register; the next pages begin after `reached`, and there are none when it is None."""

    records: tuple[RecordId, ...]
    reached: RecordId | None


def merge_pages(pages: Mapping[int, Page], members: int) -> MergedPage:
    """Merge one page from each of a majority of `members` members. ProtocolError for fewer, or for a useless page."""
    if len(pages) < members // 2 + 1:
        raise ProtocolError(f"{len(pages)} members have listed; a sweep needs {members // 2 + 1} of {members}")
    for member, page in pages.items():
        _check_page(member, page)
    reached = min((page.records[-1] for page in pages.values() if not page.is_last), default=None)
    listed = {record for page in pages.values() for record in page.records if reached is None or record <= reached}
    return MergedPage(records=tuple(sorted(listed)), reached=reached)


def _check_page(member: int, page: Page) -> None:
    if any(after <= before for before, after in pairwise(page.records)):
        raise ProtocolError(f"replica {member} listed its records out of order")
    if not page.is_last and not page.records:
        raise ProtocolError(f"replica {member} listed nothing and says that more follows")
