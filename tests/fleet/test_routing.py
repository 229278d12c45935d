"""Routing: every route has one group, and every replica is preferred for an equal share."""

from __future__ import annotations

from collections import Counter

import pytest

from hsm_app.fleet.routing import group_of, replica_order
from hsm_app.model import ROUTES
from tests.fleet.example import example_fleet


@pytest.mark.parametrize("groups", [1, 2, 3, 7])
def test_groups_share_the_routes_evenly_and_in_order(groups: int) -> None:
    fleet = example_fleet(groups=groups)
    numbers = [group_of(fleet, route).group for route in range(ROUTES)]
    assert numbers == sorted(numbers)
    counts = Counter(numbers)
    assert len(counts) == groups
    assert max(counts.values()) - min(counts.values()) <= 1


def test_each_replica_is_preferred_for_its_share_and_all_stand_behind_it() -> None:
    group = example_fleet(replicas=5).groups[0]
    first = Counter(replica_order(group, route)[0].replica for route in range(ROUTES))
    assert max(first.values()) - min(first.values()) <= 1
    assert [replica.replica for replica in replica_order(group, 7)] == [3, 4, 5, 1, 2]
