"""The hourly limits of a tenant, as sentences."""

from __future__ import annotations

import pytest

from hsm_app.errors import Denied, DenyReason
from hsm_app.replica.limits import HOUR, HourlyLimit


def test_a_tenant_that_has_had_its_share_is_refused_and_told_for_how_long() -> None:
    limit = HourlyLimit("charges", 2)
    for at in (100, 200):
        limit.spend("t", at)
    with pytest.raises(Denied) as refusal:
        limit.spend("t", 300)
    assert refusal.value.reason is DenyReason.TENANT_LIMIT
    assert refusal.value.retry_after == 100 + HOUR - 300


def test_what_is_older_than_an_hour_counts_no_more() -> None:
    limit = HourlyLimit("charges", 1)
    limit.spend("t", 100)
    limit.spend("t", 100 + HOUR)


def test_one_tenant_takes_nothing_from_another() -> None:
    limit = HourlyLimit("charges", 1)
    limit.spend("t", 100)
    limit.spend("other", 100)
