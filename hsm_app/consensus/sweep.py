"""The sweep of an epoch that removed a replica: which records of a page have to be written back (design section 7).

A page is what one member lists of its rows, in the order of the ids, from a common place on, each with the ballot it
accepted last. The pages of a majority that had entered the epoch before any of them listed are judged together, as far
as all of them reach. A record needs nothing when a majority of the group reported one and the same accepted ballot: it
is held there, also by a member that has accepted a later one since, which was then proposed on top of it. Any other
record is written back through the register. A member that does not list a record has accepted nothing of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from hsm_app.consensus.ballot import ZERO, Ballot
from hsm_app.errors import ProtocolError
from hsm_app.model import RecordId


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Part of one member's listing: ascending ids with accepted ballots; `is_last` when nothing comes after it."""

    rows: Sequence[tuple[RecordId, Ballot]]
    is_last: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """`differing` are to be written back; the next pages begin after `reached`, and there are none when it is None."""

    differing: tuple[RecordId, ...]
    seen: int  # records judged, the differing ones included
    reached: RecordId | None


def judge_pages(pages: Mapping[int, Page], members: int) -> Judged:
    """Judge one page from each of a majority of `members` members. ProtocolError for fewer, or for a useless page."""
    majority = members // 2 + 1
    if len(pages) < majority:
        raise ProtocolError(f"{len(pages)} members have listed; a sweep needs {majority} of {members}")
    for member, page in pages.items():
        _check_page(member, page)
    open_ends = [page.rows[-1][0] for page in pages.values() if not page.is_last]
    reached = min(open_ends, default=None)
    held: dict[RecordId, Counter[Ballot]] = {}
    for page in pages.values():
        for record, accepted in page.rows:
            if reached is None or record <= reached:
                held.setdefault(record, Counter())[accepted] += 1
    differing = tuple(sorted(record for record, by in held.items() if not _is_held(by, len(pages), majority)))
    return Judged(differing=differing, seen=len(held), reached=reached)


def _is_held(by: Counter[Ballot], asked: int, majority: int) -> bool:
    by[ZERO] += asked - by.total()
    return max(by.values()) >= majority


def _check_page(member: int, page: Page) -> None:
    records = [record for record, _ in page.rows]
    if any(after <= before for before, after in pairwise(records)):
        raise ProtocolError(f"replica {member} listed its records out of order")
    if not page.is_last and not records:
        raise ProtocolError(f"replica {member} listed nothing and says that more follows")
