"""Which records of a page a sweep goes over, and where the next page begins."""

from __future__ import annotations

import pytest

from hsm_app.consensus.sweep import MergedPage, Page, merge_pages
from hsm_app.errors import ProtocolError
from hsm_app.model import RecordId

A, B, C = (RecordId(bytes([n]) * 32) for n in (1, 2, 3))


def page(*records: RecordId, is_last: bool = True) -> Page:
    return Page(records=records, is_last=is_last)


CASES = {
    "what all list": ([page(A), page(A), page(A)], (A,), None),
    "what one alone lists": ([page(A, B), page(), page(B)], (A, B), None),
    "as far as the shortest page": (
        [page(A, B, C), page(A, is_last=False), page(A, B, is_last=False)],
        (A,),
        A,
    ),
    "beyond a page that is the last": ([page(), page(A, B, is_last=False), page()], (A, B), B),
    "more than a majority": ([page(), page(), page(), page(C)], (C,), None),
    "nothing anywhere": ([page()] * 3, (), None),
}


@pytest.mark.parametrize(("pages", "records", "reached"), CASES.values(), ids=CASES.keys())
def test_merged(pages: list[Page], records: tuple[RecordId, ...], reached: RecordId | None) -> None:
    assert merge_pages(dict(enumerate(pages)), 4) == MergedPage(records=records, reached=reached)


REFUSED = {
    "a minority": ([page()] * 2, "2 members"),
    "ids out of order": ([page(B, A), page(), page()], "out of order"),
    "an id twice": ([page(A, A), page(), page()], "out of order"),
    "an empty page that goes on": ([page(is_last=False), page(), page()], "more follows"),
}


@pytest.mark.parametrize(("pages", "why"), REFUSED.values(), ids=REFUSED.keys())
def test_refused(pages: list[Page], why: str) -> None:
    with pytest.raises(ProtocolError, match=why):
        merge_pages(dict(enumerate(pages)), 4)
