"""Work on a stopped replica's store as the replica itself does it: its keeper, its token, its anchor.

    python rows.py vote REPLICA.TOML COUNT SIZE   votes on COUNT new records in batches of SIZE; prints CPU and rate
    python rows.py fill REPLICA.TOML TOTAL SIZE   the same, until there are TOTAL records
    python rows.py adopt REPLICA.TOML STORE       takes over another replica's rows, and anchors them

The rows that `vote` makes are votes that this replica could have given: accepts, through the keeper, so that buckets
and anchor follow. Their values are those of real records under ids of nobody, in the order of their buckets (in a
random order nine tenths of the time would go into reading buckets again). Registering as many people would take hours.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from hsm_app.consensus.acceptor import Accept, Slot
from hsm_app.epochs import read_manifest
from hsm_app.fleet.manifest import Manifest
from hsm_app.merkle.anchor import NO_ROOT_OF_TRUST
from hsm_app.merkle.rows import BUCKETS
from hsm_app.model import FleetId, RecordId, ReplicaId
from hsm_app.ports import Anchor, Store
from hsm_app.replica.anchors import KeeperIdentity, choose_anchor
from hsm_app.replica.checked_rows import CheckedRows
from hsm_app.replica.keeper import Question, VoteKeeper
from hsm_app.replica.membership import membership
from hsm_app.replica.settings import ReplicaSettings
from hsm_app.replica.unlock import anchor_of, unlock
from hsm_app.settings import read_settings
from hsm_app.store import opening
from hsm_app.store.owner import StoreOwner

SAMPLES = 64


def open_keeper(settings: ReplicaSettings, manifest: Manifest, anchor: Anchor) -> VoteKeeper:
    fleet = manifest.fleet(settings.fleet)
    group, member = membership(fleet, settings)
    identity = KeeperIdentity(
        fleet=fleet.fleet,
        group=group.group,
        replica=member.replica,
        incarnation=member.incarnation,
        epoch=manifest.epoch,
        manifest=manifest.digest,
        root_of_trust=NO_ROOT_OF_TRUST,
    )
    return VoteKeeper.open(open_store(settings), anchor, identity)


def open_store(settings: ReplicaSettings) -> Store:
    owner = StoreOwner(fleet=FleetId(settings.fleet), replica=ReplicaId(settings.replica))
    return opening.open_store(settings.votes_in(), owner)


def vote(keeper: VoteKeeper, count: int, size: int) -> dict[str, float]:
    """Vote on `count` new records, `size` in a batch. Return milliseconds of CPU a vote, and votes a second."""
    slots = [slot for slot in keeper.slots(keeper.records(None, SAMPLES)).values() if slot.promised > slot.accepted]
    questions = list(new_questions(count, slots))
    cpu, wall = time.process_time(), time.perf_counter()
    for first in range(0, count, size):
        keeper.vote(questions[first : first + size])
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    return {"cpu_ms": cpu * 1000 / count, "per_second": count / wall}


def new_questions(count: int, slots: list[Slot]) -> Iterator[Question]:
    for number in range(count):
        slot = slots[number % len(slots)]
        record = RecordId((number * BUCKETS // count).to_bytes(2, "big") + os.urandom(30))
        yield Question(record, Accept(ballot=slot.accepted, value=slot.value, next=slot.promised))


def adopt(settings: ReplicaSettings, anchor: Anchor, source: Path) -> dict[str, float]:
    """Take a copy of another replica's store for one's own, and anchor what it holds."""
    own = settings.votes_in()
    if not isinstance(own, Path):
        raise SystemExit("only the rows of a SQLite file can be adopted")
    shutil.copyfile(source, own)
    with closing(sqlite3.connect(own)) as database, database:
        database.execute("UPDATE replica SET replica = ?", (settings.replica,))
    store = open_store(settings)
    found = anchor.read()
    state = choose_anchor(found).state
    adopted = replace(state, counter=store.counter(), root=CheckedRows(store).root, previous_root=state.root)
    anchor.replace(state.to_bytes(), adopted.to_bytes())
    rows = store.count()
    store.close()
    return {"rows": rows}


def main() -> None:
    what, config, *rest = sys.argv[1:]
    settings = read_settings(Path(config), ReplicaSettings)
    manifest = read_manifest(settings.manifest)
    tokens = unlock(settings, manifest)
    try:
        anchor = anchor_of(settings, tokens)
        if what == "adopt":
            said = adopt(settings, anchor, Path(rest[0]))
        else:
            keeper = open_keeper(settings, manifest, anchor)
            count, size = map(int, rest)
            said = vote(keeper, count if what == "vote" else count - keeper.count(), size)
            keeper.close()
    finally:
        tokens.close()
    print(json.dumps(said))


if __name__ == "__main__":
    main()
