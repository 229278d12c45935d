"""The PostgreSQL store's own side: who may use a schema, on which server, and what is said when it is another.

What both stores do is in `test_store.py`; dying servers, cut connections and full disks in `test_postgres_faults.py`.
"""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from hsm_app.errors import ConfigError, StoreError
from hsm_app.ports import Store
from hsm_app.store import postgres_session
from hsm_app.store.opening import check_postgres, open_store
from hsm_app.store.postgres import FORMAT, PostgresStore
from tests.postgres_server import PostgresServer
from tests.store.places import OWNER, ServerPlace, content, fresh_place, record, slot, write


@pytest.fixture
def place(postgres_server: PostgresServer) -> ServerPlace:
    return fresh_place(postgres_server)


def test_one_server_holds_the_stores_of_several_replicas(postgres_server: PostgresServer) -> None:
    first, second = fresh_place(postgres_server), fresh_place(postgres_server, by_port=True)
    with closing(first.open()) as one, closing(second.open()) as other:
        write(one, {record(1): slot(1)})
        assert (one.count(), other.count()) == (1, 0)


def test_who_comes_while_the_session_before_is_not_over_yet_waits_for_its_end(
    place: ServerPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_session, "_LOCK_WAIT", "240s")  # longer than a busy machine keeps this test waiting
    waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    before = PostgresStore(place.target, OWNER)
    with ThreadPoolExecutor(1) as other:
        after = other.submit(lambda: place.open().close())
        while place.server.execute(waiting) == [(0,)]:
            assert not after.done()  # or it was refused
        before.close()
        after.result()


def test_commits_are_synced_before_they_return(place: ServerPlace) -> None:
    # Also where the role was given another default. That PostgreSQL keeps its word then is its own tests' business.
    place.server.execute("ALTER ROLE vault SET synchronous_commit = off")
    try:
        with closing(PostgresStore(place.target, OWNER)) as store:
            assert store._rows("SHOW synchronous_commit") == [("on",)]
            write(store, {record(1): slot(1)})
    finally:
        place.server.execute("ALTER ROLE vault RESET synchronous_commit")


def test_no_more_is_kept_for_undo_than_one_batch(place: ServerPlace) -> None:
    with closing(PostgresStore(place.target, OWNER)) as store:
        for counter in range(5):
            write(store, {record(1): slot(counter), record(2): slot(counter)})
        for table, kept in (("undo_slots", 2), ("undo_contents", 2), ("undo_buckets", 1)):
            assert store._rows(f"SELECT count(*) FROM {table}") == [(kept,)]


def test_a_session_that_no_longer_syncs_commits_nothing(place: ServerPlace) -> None:
    with closing(PostgresStore(place.target, OWNER)) as store:
        store._session.execute("SET synchronous_commit = off")
        with pytest.raises(StoreError, match="synchronous_commit = off, and may lose commits"):
            write(store, {record(1): slot(1)})
        assert (store.counter(), store.count()) == (0, 0)


def write_on(store: Store, committed: list[int]) -> None:
    """Commit until the store refuses: a server reads its settings again when it comes to it."""
    while True:
        write(store, {record(1): slot(len(committed) + 1)})
        committed.append(len(committed) + 1)


@pytest.mark.parametrize("name", ["fsync", "full_page_writes"])
def test_a_server_that_may_lose_commits_is_refused_when_opened_and_in_each_commit(
    place: ServerPlace, name: str
) -> None:
    def switch(value: str) -> None:
        place.server.execute(f"ALTER SYSTEM SET {name} = {value}", "SELECT pg_reload_conf()")

    committed: list[int] = []
    with closing(place.open()) as store:
        write(store, {record(1): slot(1)})
        committed.append(1)
        switch("off")
        try:
            with pytest.raises(StoreError, match=f"{name} = off, and may lose commits. Set {name} = on"):
                write_on(store, committed)
            assert (store.counter(), store.load([record(1)])) == (len(committed), {record(1): slot(len(committed))})
            store.close()
            with pytest.raises(StoreError, match=f"{name} = off"):
                place.open()
        finally:
            switch("on")


FOREIGN = {
    "another program's table": ("CREATE TABLE diary (day text)", "not made by this version"),
    "another program's comment": ("COMMENT ON SCHEMA {} IS 'diary'", "not made by this version"),
    "a later version": ("COMMENT ON SCHEMA {} IS 'hsm-vault store, format 99'", "not made by this version"),
    "our comment over nothing": (f"COMMENT ON SCHEMA {{}} IS '{FORMAT}'", "the database failed"),
}


@pytest.mark.parametrize(("make", "says"), FOREIGN.values(), ids=FOREIGN.keys())
def test_a_foreign_schema_is_refused_and_left_alone(place: ServerPlace, make: str, says: str) -> None:
    schema = place.target.schema
    tables = f"SELECT count(*) FROM pg_class WHERE relnamespace = '{schema}'::regnamespace"
    place.server.execute(f"CREATE SCHEMA {schema} AUTHORIZATION vault", database="vault")
    place.edit(make.format(schema))
    before = place.server.execute(tables, database="vault")
    with pytest.raises(StoreError, match=says):
        place.open()
    assert place.server.execute(tables, database="vault") == before


def test_a_schema_that_was_made_for_the_replica_needs_no_right_to_make_one(place: ServerPlace) -> None:
    server = place.server
    server.execute(f"CREATE USER narrow PASSWORD '{server.password}'")
    narrow = replace(place.target, user="narrow")
    with pytest.raises(StoreError, match=r"access is denied. Let the replica's user own its schema"):
        open_store(narrow, OWNER)
    server.execute(f"CREATE SCHEMA {narrow.schema} AUTHORIZATION narrow", database="vault")
    with closing(open_store(narrow, OWNER)) as store:
        write(store, {record(1): slot(1)})


def test_a_read_only_server_is_refused(place: ServerPlace) -> None:
    place.server.execute("ALTER ROLE vault SET default_transaction_read_only = on")
    try:
        with pytest.raises(StoreError, match=r"it is read-only. Name the primary server"):
            place.open()
    finally:
        place.server.execute("ALTER ROLE vault RESET default_transaction_read_only")


def test_a_locked_table_ends_the_store_and_does_not_hang_it(place: ServerPlace) -> None:
    with closing(PostgresStore(place.target, OWNER)) as store, closing(place.server.session("vault")) as other:
        store._session.execute("SET lock_timeout = '50ms'")
        with other.transaction():
            other.execute(f"LOCK TABLE {place.target.schema}.slots")
            with pytest.raises(StoreError, match="another session holds its tables locked"):
                write(store, {record(1): slot(1)})


RETYPED = {
    "a value that is a text": "ALTER TABLE contents ALTER value TYPE text USING 'text'",
    "a digest that is nothing": "ALTER TABLE slots ALTER state DROP NOT NULL; UPDATE slots SET state = NULL",
    "a counter that is a text": "ALTER TABLE replica ALTER counter TYPE text",
    "a counter that is gone": "ALTER TABLE replica ALTER counter DROP NOT NULL; UPDATE replica SET counter = NULL",
}


@pytest.mark.parametrize("edit", RETYPED.values(), ids=RETYPED.keys())
def test_an_edited_type_is_damage(place: ServerPlace, edit: str) -> None:
    with closing(place.open()) as store:
        write(store, {record(1): slot(1)})
    for statement in edit.split("; "):
        place.edit(statement)
    with closing(place.open()) as store, pytest.raises(StoreError, match="damaged"):
        content(store)


def test_a_wrong_password_is_refused_and_in_no_message(place: ServerPlace, tmp_path: Path) -> None:
    wrong = tmp_path / "password"
    wrong.touch(mode=0o600)
    wrong.write_text("not-the-password\n")
    with pytest.raises(StoreError, match="no connection") as refused:
        open_store(replace(place.target, password_file=wrong), OWNER)
    causes = repr((refused.value, refused.value.__cause__))
    assert "password authentication failed" in causes
    assert "not-the-password" not in causes
    assert place.server.password not in causes


def test_a_server_that_is_not_there_is_named(place: ServerPlace, tmp_path: Path) -> None:
    nowhere = replace(place.target, host=str(tmp_path))
    with pytest.raises(StoreError, match=r"no connection .*Check that the server runs") as refused:
        open_store(nowhere, OWNER)
    assert str(tmp_path) in refused.value.what


PASSWORD_FILES = {
    "missing": (None, 0o600, "cannot read postgres.password_file"),
    "readable by others": ("secret\n", 0o644, "others can read it"),
    "empty": ("\n", 0o600, "holds no password"),
}


@pytest.mark.parametrize(("text", "mode", "says"), PASSWORD_FILES.values(), ids=PASSWORD_FILES.keys())
def test_a_bad_password_file_is_refused(
    place: ServerPlace, tmp_path: Path, text: str | None, mode: int, says: str
) -> None:
    path = tmp_path / "password"
    if text is not None:
        path.write_text(text)
        path.chmod(mode)
    with pytest.raises(ConfigError, match=says) as refused:
        open_store(replace(place.target, password_file=path), OWNER)
    with pytest.raises(ConfigError, match=says):  # `config check`, which asks no server
        check_postgres(replace(place.target, password_file=path))
    assert "secret" not in str(refused.value)


def test_without_the_client_library_the_configuration_is_refused(
    place: ServerPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(ConfigError, match=r"psycopg cannot be loaded .* in a clone, pip install"):
        place.open()
