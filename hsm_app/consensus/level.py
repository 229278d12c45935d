"""Which value a replica that missed something may take from the others without a vote of its own (design section 7).

A value that a majority of the members holds under one accepted ballot is chosen, for good: whatever is chosen later was
computed from it. Installing it at a member that has not heard of it is the delivery of an accept that was sent long
ago, which the protocol allows at any time; the acceptor judges it by its rules like any other, so a higher promise
still refuses it. That members are asked one after the other takes nothing away: having accepted is never taken back.

Fewer than a majority prove nothing (VAULT-REPAIR-MAJORITY-ONLY). Such a value may never have been chosen, so it goes
through the register instead.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from hsm_app.consensus.ballot import ZERO, Ballot


def chosen_ballot(accepted: Mapping[int, Ballot], members: int) -> Ballot | None:
    """Return the accepted ballot that a majority of `members` reports, each by its own id; None when there is none."""
    counted = Counter(ballot for ballot in accepted.values() if ballot != ZERO)
    if not counted:
        return None
    ballot, reports = counted.most_common(1)[0]
    return ballot if reports > members // 2 else None
