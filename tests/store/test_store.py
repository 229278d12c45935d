"""A store as its caller sees it, SQLite and PostgreSQL alike: what it keeps, whom it refuses, and what it says then.

What only one of them can suffer is in `test_sqlite*.py` and `test_postgres*.py`.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace

import pytest

from hsm_app.consensus.acceptor import Slot
from hsm_app.consensus.ballot import ZERO, Ballot
from hsm_app.errors import StoreError
from hsm_app.model import FleetId, RecordId, ReplicaId
from hsm_app.ports import Store
from hsm_app.store.owner import StoreOwner
from tests.store.places import OWNER, Place, batch, content, record, slot, write


def test_a_new_store_is_empty(store: Store) -> None:
    assert store.count() == 0
    assert store.load([record(1)]) == {}


def test_rows_come_back_as_they_were_committed(store: Store) -> None:
    rows = {record(1): slot(1), record(2): Slot(promised=Ballot(9, 1, 1, 1), accepted=ZERO, value=b"")}
    write(store, rows)
    assert store.load([record(1), record(2), record(3)]) == rows
    assert store.count() == 2


def test_a_later_commit_replaces_a_row(store: Store) -> None:
    write(store, {record(1): slot(1, b"old"), record(2): slot(1)})
    write(store, {record(1): slot(5, b"x" * 16_384)})
    assert store.load([record(1)]) == {record(1): slot(5, b"x" * 16_384)}
    assert store.count() == 2


def test_rows_outlive_the_process_that_wrote_them(place: Place) -> None:
    with closing(place.open()) as store:
        write(store, {record(1): slot(1)})
    with closing(place.open()) as store:
        assert store.load([record(1)]) == {record(1): slot(1)}


def test_digests_buckets_and_counter_come_back_as_they_were_committed(place: Place) -> None:
    rows = {record(1): slot(1), RecordId(b"\xff" * 32): slot(2), RecordId(b"\xff\xff" + bytes(30)): slot(3)}
    with closing(place.open()) as store:
        assert (store.counter(), store.buckets(), store.bucket(0)) == (0, [], {})
        committed = batch(store, rows)
        store.commit(committed)
    with closing(place.open()) as store:
        assert store.counter() == 1
        assert dict(store.buckets()) == committed.buckets
        assert store.bucket(0) == {record(1): committed.digests[record(1)]}
        assert store.bucket(65_535) == {each: found for each, found in committed.digests.items() if each != record(1)}
        assert store.bucket(65_534) == {}


def test_the_last_batch_is_taken_back_whole_durably_and_once(place: Place) -> None:
    with closing(place.open()) as store:
        write(store, {record(1): slot(1, b"kept"), record(2): slot(1, b"kept too")})
        write(store, {record(3): slot(1)})
        before = content(store)
        elsewhere = RecordId(b"\x01" * 32)
        promised = Slot(promised=Ballot(90, 1, 1, 1), accepted=slot(1).accepted, value=b"kept too")
        write(store, {record(1): slot(7, b"new"), record(2): promised, record(4): slot(1), elsewhere: slot(1)})
        assert store.load([record(2)]) == {record(2): promised}
        store.undo()
        assert content(store) == before
    with closing(place.open()) as store:
        assert content(store) == before
        with pytest.raises(StoreError, match="nothing was kept"):
            store.undo()
        write(store, {record(1): slot(8)})
        assert store.counter() == 3


def test_a_new_store_has_nothing_to_take_back(store: Store) -> None:
    with pytest.raises(StoreError, match="nothing was kept"):
        store.undo()


def test_an_empty_batch_moves_the_counter_and_forgets_the_undo_before(store: Store) -> None:
    write(store, {record(1): slot(1)})
    write(store, {})
    assert store.counter() == 2
    store.undo()
    assert store.counter() == 1
    assert store.load([record(1)]) == {record(1): slot(1)}


@pytest.mark.parametrize("counter", [0, 1, 3])
def test_a_batch_out_of_turn_is_refused(store: Store, counter: int) -> None:
    write(store, {record(1): slot(1)})
    late = replace(batch(store, {record(1): slot(9)}), counter=counter)
    with pytest.raises(StoreError, match=f"ends with batch 1, and {counter} was to follow"):
        store.commit(late)
    assert store.load([record(1)]) == {record(1): slot(1)}


def test_a_batch_is_written_whole_or_not_at_all(store: Store) -> None:
    broken = {record(1): slot(1), RecordId(b"short"): slot(1)}
    with pytest.raises(StoreError):
        write(store, broken)
    assert store.count() == 0
    write(store, {record(2): slot(1)})
    assert store.count() == 1


OTHERS = {
    "another replica's": (StoreOwner(fleet=OWNER.fleet, replica=ReplicaId(4)), "belongs to replica 4 of fleet fleet-1"),
    "another fleet's": (
        StoreOwner(fleet=FleetId("fleet-2"), replica=OWNER.replica),
        "belongs to replica 3 of fleet fleet-2",
    ),
}


@pytest.mark.parametrize(("other", "says"), OTHERS.values(), ids=OTHERS.keys())
def test_a_store_that_is_not_ours_is_refused_and_left_alone(place: Place, other: StoreOwner, says: str) -> None:
    with closing(place.open(other)) as store:
        write(store, {record(1): slot(1)})
        before = content(store)
    with pytest.raises(StoreError, match=f"{says}, not to replica 3 of fleet-1") as refused:
        place.open()
    assert str(place.target) in refused.value.what
    assert refused.value.todo
    with closing(place.open(other)) as store:
        assert content(store) == before


def test_a_store_whose_owner_was_wiped_is_refused(place: Place) -> None:
    place.open().close()
    place.edit("DELETE FROM replica")
    with pytest.raises(StoreError, match=r"belongs to replica \?"):
        place.open()


@pytest.mark.parametrize("column", ["promised", "accepted"])
def test_a_ballot_that_nobody_issues_is_damage(place: Place, column: str) -> None:
    with closing(place.open()) as store:
        write(store, {record(1): slot(1)})
    place.edit(f"UPDATE slots SET {column} = {place.blob(bytes([255]) * 20)}")
    with closing(place.open()) as store, pytest.raises(StoreError, match="damaged"):
        store.load([record(1)])


def test_a_second_owner_is_refused_and_the_first_goes_on(place: Place, store: Store) -> None:
    with pytest.raises(StoreError, match="another process has it open"):
        place.open()
    write(store, {record(1): slot(1)})
    assert store.count() == 1


def test_a_closed_store_can_be_opened_again_at_once(place: Place) -> None:
    for counter in range(3):
        with closing(place.open()) as store:
            assert store.counter() == counter
            write(store, {record(1): slot(1)})


def test_a_table_that_is_gone_is_a_store_error(place: Place) -> None:
    place.open().close()
    place.edit("DROP TABLE slots")
    with closing(place.open()) as store, pytest.raises(StoreError, match="the database failed"):
        store.count()
