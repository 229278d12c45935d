"""An operator with every disk, against real replicas: each deed is noticed, named, and the fleet goes on without them.

Covered, on start: store rolled back (also with its counter edited), wiped, cut, edited, of another replica (also with
its name edited); anchor missing, older, or gone together with the store; manifest swapped. Covered, on first touch: row
edited, exchanged, deleted, promise taken back. Covered, while running: a copy of a replica started beside it, and a
replica that was stopped while its copy went on. And the attack that all of this is for: two of five stores rolled back
between the guesses at one code.

Not covered: token *and* store put back together. On SoftHSM both are files, nothing can notice it, and the README says
so. Every point of a crash is in `tests/replica/test_keeper_kills.py`.
"""

from __future__ import annotations

import json
import shutil
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest

from tests.live_fleet import LiveFleet, run, well
from tests.patience import PATIENCE
from tests.ports import free_ports
from tests.system.test_main_job import guess, register
from tests.system.test_misuse import replaced, with_manifest

ONE, OTHER = 5, 4  # the replicas that things are done to


@pytest.fixture(scope="module")
def own_fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveFleet]:
    """A fleet that only this file does things to."""
    fleet = LiveFleet.create(tmp_path_factory.mktemp("anchored") / "fleet")
    fleet.start()
    try:
        yield fleet
    finally:
        fleet.stop()


@dataclass(frozen=True)
class Copies:
    """What an operator has of one replica: copies of its store and of its token, from one moment."""

    replica: Path
    kept: Path

    @classmethod
    def of(cls, fleet: LiveFleet, number: int, kept: Path) -> Copies:
        """Copy a replica that does not run."""
        copies = cls(fleet.root / f"replica-{number}", kept)
        kept.mkdir()
        for path in copies.replica.glob("store.sqlite*"):
            shutil.copy2(path, kept)
        shutil.copytree(copies.replica / "tokens", kept / "tokens")
        return copies

    def put_store_back(self) -> None:
        for path in self.replica.glob("store.sqlite*"):
            path.unlink()
        for path in self.kept.glob("store.sqlite*"):
            shutil.copy2(path, self.replica)

    def put_token_back(self) -> None:
        shutil.rmtree(self.replica / "tokens")
        shutil.copytree(self.kept / "tokens", self.replica / "tokens")


def sql(fleet: LiveFleet, *statements: str, number: int = ONE) -> None:
    with closing(sqlite3.connect(fleet.root / f"replica-{number}" / "store.sqlite")) as rows:
        for statement in statements:
            rows.execute(statement)
        rows.commit()


def counter(fleet: LiveFleet, number: int = ONE) -> int:
    with closing(sqlite3.connect(fleet.root / f"replica-{number}" / "store.sqlite")) as rows:
        return int(rows.execute("SELECT counter FROM replica").fetchone()[0])


def digests(fleet: LiveFleet, number: int) -> list[tuple[object, ...]]:
    """What a replica that does not run has anchored of its rows."""
    with closing(sqlite3.connect(fleet.root / f"replica-{number}" / "store.sqlite")) as rows:
        return rows.execute("SELECT * FROM buckets ORDER BY number").fetchall()


def end(fleet: LiveFleet, number: int) -> None:
    """End a replica in good order: killed within a vote, it would take that one back, and with it what was done."""
    fleet.kill(number, signal.SIGTERM)


def wait_until_all_have_all(fleet: LiveFleet) -> None:
    """Wait until every replica has a row for each record: a majority has answered, the others hear of it later."""
    deadline = time.monotonic() + PATIENCE
    while len({each.get("records") for each in json.loads(status(fleet))["replicas"]}) > 1:
        assert time.monotonic() < deadline, status(fleet)
        time.sleep(0.05)


def status(fleet: LiveFleet) -> str:
    return run("fleet", "status", str(fleet.root), "--json").stdout


def register_until(
    fleet: LiveFleet, number: int, former: list[tuple[object, ...]], home: Path
) -> tuple[Path, str, str]:
    """Register, and end that replica, until it holds other rows than before: a majority answers without it."""
    for turn in range(20):
        registered = register(fleet, uuid4().hex, home / str(turn))
        end(fleet, number)
        if digests(fleet, number) != former:
            return registered
        fleet.start(f"replica-{number}")
    raise AssertionError(f"replica {number} heard of none of twenty registrations")


# -- on start


def roll_back(_: LiveFleet, old: Copies) -> None:
    old.put_store_back()


def roll_back_and_edit_the_counter(fleet: LiveFleet, old: Copies) -> None:
    now = counter(fleet)
    old.put_store_back()
    sql(fleet, f"UPDATE replica SET counter = {now}")


def roll_the_token_back(_: LiveFleet, old: Copies) -> None:
    old.put_token_back()


def wipe(_: LiveFleet, old: Copies) -> None:
    for path in old.replica.glob("store.sqlite*"):
        path.unlink()


def destroy_the_anchor(_: LiveFleet, old: Copies) -> None:
    objects = old.replica.glob("tokens/*/*.object")
    max(objects, key=lambda path: path.stat().st_mtime_ns).unlink()  # it is the one that is written all the time


def lose_both(fleet: LiveFleet, old: Copies) -> None:
    wipe(fleet, old)
    destroy_the_anchor(fleet, old)


def cut(fleet: LiveFleet, old: Copies) -> None:
    sql(fleet, "PRAGMA wal_checkpoint(TRUNCATE)")
    store = old.replica / "store.sqlite"
    store.write_bytes(store.read_bytes()[:9000])


def edit_a_bucket(fleet: LiveFleet, _: Copies) -> None:
    sql(fleet, "UPDATE buckets SET state = zeroblob(32) WHERE number = (SELECT min(number) FROM buckets)")


def take_the_store_of_another(fleet: LiveFleet, old: Copies) -> None:
    other = fleet.root / f"replica-{OTHER}"
    register_until(fleet, OTHER, digests(fleet, ONE), old.kept / "other")  # level stores are the same but for the name
    wipe(fleet, old)
    for path in other.glob("store.sqlite*"):
        shutil.copy2(path, old.replica)
    fleet.start(f"replica-{OTHER}")


def take_it_and_edit_its_name(fleet: LiveFleet, old: Copies) -> None:
    now = counter(fleet)
    take_the_store_of_another(fleet, old)
    sql(fleet, f"UPDATE replica SET replica = {ONE}, counter = {now}")


def swap_the_manifest(fleet: LiveFleet, old: Copies) -> None:
    settings = fleet.settings(f"replica-{ONE}")
    text = with_manifest(fleet, old.kept, settings.read_text(), lambda document: document.update(namespace="other"))
    settings.write_text(text)


STARTS: dict[str, tuple[Callable[[LiveFleet, Copies], None], str]] = {
    "its store was rolled back": (roll_back, "the store was rolled back: it ends with batch"),
    "and the counter edited": (roll_back_and_edit_the_counter, "the store does not hold what the token has anchored"),
    "its token was rolled back": (roll_the_token_back, "the token was rolled back: its anchor ends with batch"),
    "its store was wiped": (wipe, "the store is new or was wiped"),
    "its anchor was destroyed": (destroy_the_anchor, "anchor missing"),
    "store and anchor are gone": (lose_both, "anchor missing"),
    "its store was cut": (cut, "it is damaged"),
    "a bucket's hash was edited": (edit_a_bucket, "the store does not hold what the token has anchored"),
    "it has another replica's store": (take_the_store_of_another, f"it belongs to replica {OTHER} of fleet"),
    "and that store's name was edited": (take_it_and_edit_its_name, "the store does not hold what the token has anch"),
    "its manifest was swapped": (swap_the_manifest, "the manifest was swapped"),
}


@pytest.mark.parametrize(("deed", "says"), STARTS.values(), ids=STARTS.keys())
def test_a_replica_refuses_to_start_when(
    own_fleet: LiveFleet, tmp_path: Path, deed: Callable[[LiveFleet, Copies], None], says: str
) -> None:
    """VAULT-ANCHOR-START-CHECKS"""
    name, settings = f"replica-{ONE}", own_fleet.settings(f"replica-{ONE}")
    own_fleet.start()
    end(own_fleet, ONE)
    old, digests_then = Copies.of(own_fleet, ONE, tmp_path / "old"), digests(own_fleet, ONE)
    own_fleet.start(name)
    config, code, key = register_until(own_fleet, ONE, digests_then, tmp_path / "phone")
    good, text = Copies.of(own_fleet, ONE, tmp_path / "good"), settings.read_text()
    deed(own_fleet, old)
    own_fleet.launch(name)
    status, said = own_fleet.ended(name)
    assert (status, says in said) == (8, True), said
    assert well("client", "recover", "--config", str(config), "--print-key", code=code).strip() == key
    settings.write_text(text)
    good.put_store_back()
    good.put_token_back()
    own_fleet.start(name)  # the files of that moment are still good: nothing was changed by refusing


# -- on first touch


def recover_until_ended(fleet: LiveFleet, name: str, config: Path, code: str, key: str) -> None:
    """Recover until a replica has heard of it: to one that has just started the others link when they try again."""
    deadline = time.monotonic() + PATIENCE
    while fleet.is_running(name) and time.monotonic() < deadline:
        assert well("client", "recover", "--config", str(config), "--print-key", code=code).strip() == key
        time.sleep(0.2)


# Each row gets the value of the next, and the last one that of the first; as they all were before any was changed.
NEXT = (
    "SELECT record, coalesce(lead(value) OVER each, first_value(value) OVER each) AS value "
    "FROM contents WINDOW each AS (ORDER BY record)"
)
TOUCHES = {
    "a row is edited": "UPDATE contents SET value = zeroblob(50)",
    "rows are exchanged": f"UPDATE contents SET value = n.value FROM ({NEXT}) AS n WHERE n.record = contents.record",
    "rows are deleted": "DELETE FROM contents",
    "rows are deleted with their digests": "DELETE FROM slots",
    "promises are taken back": "UPDATE slots SET promised = accepted",
}


@pytest.mark.parametrize("statement", TOUCHES.values(), ids=TOUCHES.keys())
def test_a_running_replica_ends_at_the_first_touch_when(own_fleet: LiveFleet, tmp_path: Path, statement: str) -> None:
    """VAULT-ANCHOR-FIRST-TOUCH"""
    name = f"replica-{ONE}"
    own_fleet.start()
    register(own_fleet, f"other-{tmp_path.name}", tmp_path / "other")
    config, code, key = register(own_fleet, tmp_path.name, tmp_path / "phone")
    wait_until_all_have_all(own_fleet)
    end(own_fleet, ONE)
    good = Copies.of(own_fleet, ONE, tmp_path / "good")
    sql(own_fleet, statement)
    own_fleet.start(name)
    recover_until_ended(own_fleet, name, config, code, key)
    status, said = own_fleet.ended(name)
    assert (status, "the store was changed behind this replica's back" in said) == (8, True), said
    assert well("client", "recover", "--config", str(config), "--print-key", code=code).strip() == key
    good.put_store_back()
    good.put_token_back()
    own_fleet.start(name)


# -- two processes with one token


@dataclass(frozen=True)
class Twin:
    """A copy of a replica's configuration and store, on other ports, with the same token."""

    directory: Path
    name = "twin"

    @classmethod
    def of(cls, fleet: LiveFleet, directory: Path) -> Twin:
        directory.mkdir()
        original = fleet.root / f"replica-{ONE}"
        for path in original.glob("store.sqlite*"):
            shutil.copy2(path, directory)
        clients, peers = free_ports(2)
        text = (original / "replica.toml").read_text()
        text = replaced(text, "store", str(directory / "store.sqlite"))
        text = replaced(text, "clients", f"127.0.0.1:{clients}")
        text = replaced(text, "peers", f"127.0.0.1:{peers}")
        text = replaced(text, "operator", f"unix:{directory / 'operator.sock'}")
        (directory / "replica.toml").write_text(text)
        return cls(directory)

    def become_the_replica(self, fleet: LiveFleet) -> None:
        """Take the place of the original, whose store is the older one now."""
        original = fleet.root / f"replica-{ONE}"
        for path in original.glob("store.sqlite*"):
            path.unlink()
        for path in self.directory.glob("store.sqlite*"):
            shutil.copy2(path, original)


def start_twin(fleet: LiveFleet, root: Path, *, goes_on: bool) -> Twin:
    """Start a copy of the replica as it is now, while the replica itself stands still or `goes_on`.

    A vote that reaches it between the copy and the start makes the copy an old one, which is refused; then again.
    """
    name, link = f"replica-{ONE}", fleet.root / Twin.name
    for turn in range(10):
        fleet.suspend(name)  # a store is copied at one moment, whichever it is
        twin = Twin.of(fleet, root / f"twin-{turn}")
        if goes_on:
            fleet.processes[name].send_signal(signal.SIGCONT)
        link.unlink(missing_ok=True)
        link.symlink_to(twin.directory)
        fleet.launch(twin.name)
        try:
            fleet.wait_ready(twin.name)  # its first batch is its start
        except AssertionError:
            if not goes_on or not any(words in fleet.log(twin.name).read_text() for words in TOO_OLD):
                raise
        else:
            return twin
    raise AssertionError("each of ten copies was too old")


# What a copy is told that the token has gone past: before it starts, or in the middle of that.
TOO_OLD = ("the store was rolled back: it ends with batch", "One token serves one replica")
# Its store holds a batch that the token never took; or, when it was stopped within one, only batches that it took.
LOSERS = ("the store of a copy of this replica", "the store was rolled back: it ends with batch")


@pytest.mark.parametrize("is_stopped", [False, True], ids=["beside the living one", "while the other was stopped"])
def test_of_two_processes_of_one_replica_one_ends_without_an_answer(
    own_fleet: LiveFleet, tmp_path: Path, is_stopped: bool
) -> None:
    """VAULT-ANCHOR-BEFORE-ANSWER"""
    name = f"replica-{ONE}"
    own_fleet.start()
    config, code, key = register(own_fleet, tmp_path.name, tmp_path / "phone")
    twin = start_twin(own_fleet, tmp_path, goes_on=not is_stopped)
    if is_stopped:
        own_fleet.processes[name].send_signal(signal.SIGCONT)
    recover_until_ended(own_fleet, name, config, code, key)
    status, said = own_fleet.ended(name)
    assert (status, "One token serves one replica" in said) == (6, True), said
    assert own_fleet.is_running(twin.name)
    own_fleet.launch(name)
    status, said = own_fleet.ended(name)
    assert status == 8, said
    assert any(words in said for words in LOSERS), said
    own_fleet.processes.pop(twin.name).kill()
    twin.become_the_replica(own_fleet)
    own_fleet.start(name)  # of the two, the twin's store is the replica's now; the loser left nothing in the token


# -- what it is for


def test_two_of_five_stores_rolled_back_during_an_attack_give_no_guess_more(
    own_fleet: LiveFleet, tmp_path: Path
) -> None:
    """VAULT-ANCHOR-START-CHECKS"""
    own_fleet.start()
    config, code, _ = register(own_fleet, "victim", tmp_path / "phone")
    kept = []
    for number in (OTHER, ONE):  # the operator copies two stores before the attack begins
        end(own_fleet, number)
        kept.append(Copies.of(own_fleet, number, tmp_path / f"old-{number}"))
        own_fleet.start(f"replica-{number}")
    counted = [guess(config, f"wrong {number}") for number in range(6)]
    for number, old in zip((OTHER, ONE), kept, strict=True):
        end(own_fleet, number)
        old.put_store_back()
        own_fleet.launch(f"replica-{number}")
        status, said = own_fleet.ended(f"replica-{number}")
        assert (status, "the store was rolled back" in said) == (8, True), said
    counted += [guess(config, f"wrong {number}") for number in range(6, 14)]
    assert [status for status, _ in counted] == [21] * 10 + [22] * 4  # ten wrong codes, then DESTROYED
    assert guess(config, code)[0] == 22
