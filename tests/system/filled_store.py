"""Fill a replica's anchored store as votes would, by its own token: `python -m tests.system.filled_store CONFIG COUNT`.

Record i was chosen under one ballot by replica 3 and two others, in turn; that is what this replica then holds.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

from hsm_app.consensus.acceptor import Accept
from hsm_app.consensus.ballot import Ballot
from hsm_app.epochs import read_manifest
from hsm_app.merkle.anchor import NO_ROOT_OF_TRUST
from hsm_app.model import RecordId
from hsm_app.replica.anchors import KeeperIdentity
from hsm_app.replica.keeper import Question, VoteKeeper
from hsm_app.replica.settings import ReplicaSettings
from hsm_app.replica.unlock import anchor_of, unlock
from hsm_app.settings import read_settings
from hsm_app.store.sqlite import SqliteStore, StoreOwner

CHOSEN = Ballot(5, 3, 1, 1)
REST = (1, 2, 4, 5)


def record(number: int) -> RecordId:
    return RecordId(hashlib.sha256(b"%d" % number).digest())


def holds(replica: int, number: int) -> bool:
    first = number % len(REST)
    return replica in (3, REST[first], REST[(first + 1) % len(REST)])


def fill(config: Path, count: int) -> None:
    settings = read_settings(config, ReplicaSettings)
    manifest = read_manifest(settings.manifest)
    fleet, own = manifest.fleets[0].fleet, manifest.fleets[0].groups[0].find(settings.replica)
    tokens = unlock(settings, manifest)
    identity = KeeperIdentity(
        fleet=fleet, group=0, replica=own.replica, incarnation=own.incarnation, epoch=manifest.epoch,
        manifest=manifest.digest, root_of_trust=NO_ROOT_OF_TRUST,
    )  # fmt: skip
    store = SqliteStore(settings.store, StoreOwner(fleet=fleet, replica=own.replica))
    keeper = VoteKeeper.open(store, anchor_of(settings, tokens), identity)
    accept = Accept(ballot=CHOSEN, value=b"sealed", next=CHOSEN.next())
    keeper.vote([Question(record(number), accept) for number in range(count) if holds(own.replica, number)])
    keeper.close()
    tokens.close()


if __name__ == "__main__":
    fill(Path(sys.argv[1]), int(sys.argv[2]))
