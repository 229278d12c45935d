"""Which records of a page a sweep writes back, and where the next page begins."""

from __future__ import annotations

import pytest

from hsm_app.consensus.ballot import ZERO, Ballot
from hsm_app.consensus.sweep import Judged, Page, judge_pages
from hsm_app.errors import ProtocolError
from hsm_app.model import RecordId

OLD, NEW = Ballot(1, 1, 1, 1), Ballot(2, 1, 1, 1)
A, B, C = (RecordId(bytes([n]) * 32) for n in (1, 2, 3))


def page(*rows: tuple[RecordId, Ballot], is_last: bool = True) -> Page:
    return Page(rows=rows, is_last=is_last)


CASES = {
    "held by a majority under one ballot: nothing to do": ([page((A, OLD))] * 3, (), 1, None),
    "a minority holds a later one: written back": ([page((A, OLD)), page((A, OLD)), page((A, NEW))], (A,), 1, None),
    "one of the majority has never heard of it": ([page((A, OLD)), page((A, OLD)), page()], (A,), 1, None),
    "promised only, by a minority": ([page((A, ZERO)), page(), page()], (), 1, None),
    "as far as the shortest page": (
        [page((A, OLD), (B, OLD), (C, OLD)), page((A, OLD), is_last=False), page((A, OLD), (B, OLD), is_last=False)],
        (),
        1,
        A,
    ),
    "beyond a page that is the last": ([page(), page((A, OLD), (B, OLD), is_last=False), page()], (A, B), 2, B),
    "nothing anywhere": ([page()] * 3, (), 0, None),
}


@pytest.mark.parametrize(("pages", "differing", "seen", "reached"), CASES.values(), ids=CASES.keys())
def test_judged(pages: list[Page], differing: tuple[RecordId, ...], seen: int, reached: RecordId | None) -> None:
    judged = judge_pages(dict(enumerate(pages)), 4)
    assert judged == Judged(differing=differing, seen=seen, reached=reached)


def test_more_than_a_majority_may_list() -> None:
    pages = [page((A, OLD)), page((A, OLD)), page((A, OLD)), page()]
    assert judge_pages(dict(enumerate(pages)), 4).differing == ()


REFUSED = {
    "a minority": ([page()] * 2, "2 members"),
    "ids out of order": ([page((B, OLD), (A, OLD)), page(), page()], "out of order"),
    "an id twice": ([page((A, OLD), (A, OLD)), page(), page()], "out of order"),
    "an empty page that goes on": ([page(is_last=False), page(), page()], "more follows"),
}


@pytest.mark.parametrize(("pages", "why"), REFUSED.values(), ids=REFUSED.keys())
def test_refused(pages: list[Page], why: str) -> None:
    with pytest.raises(ProtocolError, match=why):
        judge_pages(dict(enumerate(pages)), 4)
