"""Both stores against a plain dictionary, in any order of commits, undos, refused batches, clean ends and kills.

A kill is a process that ends inside `commit`, after all was written and before COMMIT, or just after `commit` returned.
What lies between those two is left to the random kills of `test_*_faults.py`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from hsm_app.consensus.acceptor import Slot
from hsm_app.consensus.ballot import Ballot
from hsm_app.errors import StoreError
from hsm_app.merkle.rows import BucketHashes, bucket_hashes, bucket_of
from hsm_app.model import RecordId
from hsm_app.ports import Store
from hsm_app.replica.checked_rows import digests_of
from hsm_app.store import postgres, sqlite
from tests.postgres_server import PostgresServer
from tests.store.places import FilePlace, Place, batch, fresh_place, write

# Few records, ballots and values, so that they meet; two buckets.
RECORDS = [RecordId(bytes([first]) + bytes(30) + bytes([last])) for first in (0, 7) for last in (1, 2, 3)]
BALLOTS = st.integers(1, 3).map(lambda counter: Ballot(counter, 3, 1, 1))
SLOTS = st.builds(Slot, promised=BALLOTS, accepted=BALLOTS, value=st.sampled_from([b"", b"a", b"b" * 3000]))
ROWS = st.dictionaries(st.sampled_from(RECORDS), SLOTS, max_size=4)


@dataclass(frozen=True)
class Content:
    """What a store should hold. A bucket that ever had a row, and was not taken back, has hashes."""

    counter: int = 0
    rows: dict[RecordId, Slot] = field(default_factory=dict)

    def buckets(self) -> dict[int, BucketHashes]:
        digests = {each: digests_of(each, slot) for each, slot in self.rows.items()}
        numbers = {bucket_of(each) for each in digests}
        return {n: bucket_hashes({each: d for each, d in digests.items() if bucket_of(each) == n}) for n in numbers}


def reopened(place: Place) -> Store:
    """Open a store once the process before it is seen to be gone."""
    while True:
        try:
            return place.open()
        except StoreError as error:
            if "another process has it open" not in error.what:
                raise
            time.sleep(0.01)


def die(*_: object) -> None:
    os._exit(0)


def written_then_dead(*arguments: object) -> None:
    sqlite_write(*arguments)  # type: ignore[arg-type]
    os._exit(0)


sqlite_write = sqlite.write_batch


def commit_and_die(place: Place, rows: dict[RecordId, Slot], *, is_inside: bool) -> None:
    """In a process of its own: open the store, commit, and end without a word, inside the commit or right after it."""
    child = os.fork()
    if child == 0:
        try:
            store = reopened(place)
            if is_inside:
                sqlite.write_batch = written_then_dead
                postgres.check_durable = die  # called when the server has written all, and COMMIT was not sent
            write(store, rows)
        finally:
            os._exit(0)
    os.waitpid(child, 0)


class AnyOrder(RuleBasedStateMachine):
    make: Callable[[], Place]

    def __init__(self) -> None:
        super().__init__()
        self.place = type(self).make()
        self.store = self.place.open()
        self.now = Content()
        self.before: Content | None = None

    def teardown(self) -> None:
        self.store.close()

    def _follow(self, rows: dict[RecordId, Slot]) -> None:
        self.now, self.before = Content(self.now.counter + 1, {**self.now.rows, **rows}), self.now

    @rule(rows=ROWS)
    def commit(self, rows: dict[RecordId, Slot]) -> None:
        write(self.store, rows)
        self._follow(rows)

    @rule(rows=ROWS, step=st.sampled_from([-1, 0, 2]))
    def commit_out_of_turn(self, rows: dict[RecordId, Slot], step: int) -> None:
        late = replace(batch(self.store, rows), counter=self.now.counter + step)
        with pytest.raises(StoreError, match="was to follow"):
            self.store.commit(late)

    @precondition(lambda self: self.before is not None)
    @rule()
    def undo(self) -> None:
        self.store.undo()
        assert self.before is not None
        self.now, self.before = self.before, None

    @precondition(lambda self: self.before is None)
    @rule()
    def undo_nothing(self) -> None:
        with pytest.raises(StoreError, match="nothing was kept"):
            self.store.undo()

    @rule()
    def reopen(self) -> None:
        self.store.close()
        self.store = self.place.open()

    @rule(rows=ROWS, is_inside=st.booleans())
    def be_killed(self, rows: dict[RecordId, Slot], is_inside: bool) -> None:
        self.store.close()
        commit_and_die(self.place, rows, is_inside=is_inside)
        if not is_inside:
            self._follow(rows)
        self.store = reopened(self.place)

    @invariant()
    def the_store_holds_what_the_model_says(self) -> None:
        store, now = self.store, self.now
        assert (store.counter(), store.count()) == (now.counter, len(now.rows))
        assert store.load(RECORDS) == now.rows
        assert dict(store.buckets()) == now.buckets()
        for number in (0, 0x0700):
            inside = {each: digests_of(each, slot) for each, slot in now.rows.items() if bucket_of(each) == number}
            assert store.bucket(number) == inside


@pytest.mark.parametrize("kind", ["SQLite", "PostgreSQL"])
def test_any_order(kind: str, tmp_path: Path, postgres_server: PostgresServer) -> None:
    names = iter(range(1_000_000))

    class Here(AnyOrder):
        @staticmethod
        def make() -> Place:
            return FilePlace(tmp_path / f"{next(names)}.db") if kind == "SQLite" else fresh_place(postgres_server)

    run_state_machine_as_test(
        Here,
        settings=settings(
            max_examples=40, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
