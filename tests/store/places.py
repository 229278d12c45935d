"""The two kinds of store that one suite runs on, and batches to write to them."""

from __future__ import annotations

import itertools
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from hsm_app.consensus.acceptor import Slot
from hsm_app.consensus.ballot import Ballot
from hsm_app.merkle.rows import EMPTY_BUCKET, bucket_hashes, bucket_of
from hsm_app.model import FleetId, RecordId, ReplicaId
from hsm_app.ports import Batch, Store
from hsm_app.replica.checked_rows import digests_of
from hsm_app.store.opening import open_store
from hsm_app.store.owner import StoreOwner
from hsm_app.store.postgres_place import PostgresPlace
from tests.postgres_server import PostgresServer

OWNER = StoreOwner(fleet=FleetId("fleet-1"), replica=ReplicaId(3))
_schemas = itertools.count(1)


class Place(Protocol):
    """Where a store lies. `edit` changes it behind the back of a store that is closed; `blob` is a literal."""

    @property
    def target(self) -> Path | PostgresPlace: ...

    def open(self, owner: StoreOwner = OWNER) -> Store: ...

    def edit(self, statement: str) -> None: ...

    def blob(self, data: bytes) -> str: ...


@dataclass(frozen=True)
class FilePlace:
    target: Path

    def open(self, owner: StoreOwner = OWNER) -> Store:
        return open_store(self.target, owner)

    def edit(self, statement: str) -> None:
        with closing(sqlite3.connect(self.target)) as database, database:
            database.execute(statement)

    def blob(self, data: bytes) -> str:
        return f"X'{data.hex()}'"


@dataclass(frozen=True)
class ServerPlace:
    target: PostgresPlace
    server: PostgresServer

    def open(self, owner: StoreOwner = OWNER) -> Store:
        return open_store(self.target, owner)

    def edit(self, statement: str) -> None:
        self.server.execute(f"SET search_path = {self.target.schema}", statement, database="vault")

    def blob(self, data: bytes) -> str:
        return f"'\\x{data.hex()}'"


def fresh_place(server: PostgresServer, *, by_port: bool = False) -> ServerPlace:
    """Return the place of a store in a schema that nobody has used."""
    return ServerPlace(server.place(f"replica_{next(_schemas)}", by_port=by_port), server)


def record(number: int) -> RecordId:
    return RecordId(number.to_bytes(32, "big"))


def slot(counter: int, value: bytes = b"v") -> Slot:
    return Slot(promised=Ballot(counter + 1, 3, 1, 1), accepted=Ballot(counter, 3, 1, 1), value=value)


def batch(store: Store, rows: dict[RecordId, Slot]) -> Batch:
    """The batch that follows what `store` holds, its digests and hashes true."""
    digests = {each: digests_of(each, slot) for each, slot in rows.items() if len(each) == 32}
    hashes = {}
    for number in {bucket_of(each) for each in digests}:
        inside = {each: found for each, found in digests.items() if bucket_of(each) == number}
        hashes[number] = bucket_hashes({**store.bucket(number), **inside})
    broken = dict.fromkeys(rows.keys() - digests.keys(), EMPTY_BUCKET)
    return Batch(counter=store.counter() + 1, rows=rows, digests={**digests, **broken}, buckets=hashes)  # type: ignore[dict-item]


def write(store: Store, rows: dict[RecordId, Slot]) -> None:
    store.commit(batch(store, rows))


def content(store: Store) -> tuple[object, ...]:
    """Return all that a store holds."""
    every = [each for number, _ in store.buckets() for each in store.bucket(number)]
    return store.counter(), sorted(store.buckets()), store.bucket(0), store.load(every), store.count()
