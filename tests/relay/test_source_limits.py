"""The relay's limits per source, as sentences."""

from __future__ import annotations

from hsm_app.relay.limits import SourceLimits, SourceTable

LIMITS = SourceLimits(requests_per_second=2.0, burst=3, connections=2)


def test_a_source_may_spend_its_burst_and_then_waits_for_the_refill() -> None:
    table = SourceTable(LIMITS)
    assert [table.spend("a", 0.0) for _ in range(4)] == [True, True, True, False]
    assert not table.spend("a", 0.4)
    assert table.spend("a", 0.5 + 0.1)


def test_a_long_pause_fills_the_bucket_only_to_its_burst() -> None:
    table = SourceTable(LIMITS)
    table.spend("a", 0.0)
    assert [table.spend("a", 1000.0) for _ in range(4)] == [True, True, True, False]


def test_one_noisy_source_takes_nothing_from_another() -> None:
    table = SourceTable(LIMITS)
    while table.spend("noisy", 0.0):
        pass
    assert table.spend("quiet", 0.0)


def test_a_source_gets_its_share_of_connections_and_one_back_for_each_that_ends() -> None:
    table = SourceTable(LIMITS)
    assert [table.connect("a", 0.0) for _ in range(3)] == [True, True, False]
    table.disconnect("a")
    assert table.connect("a", 0.0)
    assert table.connect("b", 0.0)
