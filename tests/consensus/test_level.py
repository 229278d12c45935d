"""Which ballot a majority reports."""

from __future__ import annotations

import pytest

from hsm_app.consensus.ballot import ZERO, Ballot
from hsm_app.consensus.level import chosen_ballot

A, B, C = Ballot(1, 1, 1, 1), Ballot(2, 2, 1, 1), Ballot(3, 3, 1, 1)
REPORTS: dict[str, tuple[dict[int, Ballot], int, Ballot | None]] = {
    "three of five": ({2: A, 3: A, 4: A, 5: B}, 5, A),
    "all who were asked": ({2: B, 3: B, 4: B, 5: B}, 5, B),
    "two of five prove nothing": ({2: A, 3: A, 4: B, 5: C}, 5, None),
    "half of the reports is no majority of the group": ({2: A, 3: A}, 5, None),
    "two of three": ({2: A, 3: A}, 3, A),
    "nobody has a row": ({2: ZERO, 3: ZERO, 4: ZERO, 5: ZERO}, 5, None),
    "nobody answers": ({}, 5, None),
    "a majority without a row hides no value": ({2: ZERO, 3: ZERO, 4: A, 5: A}, 5, None),
}


@pytest.mark.parametrize(("reports", "members", "chosen"), REPORTS.values(), ids=REPORTS.keys())
def test_a_ballot_counts_when_a_majority_of_the_group_reports_it(
    reports: dict[int, Ballot], members: int, chosen: Ballot | None
) -> None:
    assert chosen_ballot(reports, members) == chosen
