"""The keeper on a store and an anchor in memory: order of writes, what a start refuses, what the first touch finds.

Not here: every crash between two writes (`test_keeper_crashes.py`), real files and tokens (`tests/system`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from hsm_app.consensus.acceptor import Accept, AcceptReply, Prepare, PrepareReply, Slot
from hsm_app.consensus.ballot import ZERO, Ballot
from hsm_app.errors import StoreError, TokenError
from hsm_app.merkle.anchor import AnchorState
from hsm_app.merkle.rows import BucketHashes, RowDigests, bucket_of
from hsm_app.model import FleetId, RecordId, ReplicaId
from hsm_app.replica import checked_rows
from hsm_app.replica.anchors import KeeperIdentity
from hsm_app.replica.keeper import Question, VoteKeeper
from tests.replica.memory_store import FULL, IDENTITY, MemoryAnchor, MemoryStore, memory_keeper


def record(number: int, bucket: int = 0) -> RecordId:
    return RecordId(bucket.to_bytes(2, "big") + number.to_bytes(30, "big"))


def b(counter: int) -> Ballot:
    return Ballot(counter, 1, 1, 1)


def prepare(counter: int, of: RecordId) -> Question:
    return Question(of, Prepare(ballot=b(counter)))


def accept(counter: int, value: bytes, of: RecordId) -> Question:
    return Question(of, Accept(ballot=b(counter), value=value, next=b(counter + 1)))


class Replica:
    """A replica's disk and token, and the keeper of its running process."""

    def __init__(self) -> None:
        self.store, self.anchor = MemoryStore(), MemoryAnchor()
        self.keeper = memory_keeper(self.store, self.anchor)

    @property
    def anchored(self) -> AnchorState:
        (content,) = self.anchor.objects
        return AnchorState.from_bytes(content)

    def vote(self, *numbers: int) -> None:
        for number in numbers:
            self.keeper.vote([accept(number, b"v%d" % number, record(number))])

    def reopen(self, **changes: object) -> VoteKeeper:
        return VoteKeeper.open(self.store, self.anchor, replace(IDENTITY, **changes))  # type: ignore[arg-type]


@pytest.fixture
def replica() -> Replica:
    return Replica()


def test_the_first_start_is_boot_one_and_anchored(replica: Replica) -> None:
    assert (replica.keeper.boot, replica.keeper.epoch) == (1, 4)
    assert (replica.anchored.boot, replica.anchored.counter) == (1, 1)


def test_every_start_has_a_higher_boot_number_anchored_before_use(replica: Replica) -> None:
    """VAULT-ANCHOR-BOOT"""
    boots = []
    for _ in range(3):
        boots.append(replica.reopen().boot)
        assert replica.anchored.boot == boots[-1]
    assert boots == [2, 3, 4]


def test_a_batch_is_committed_then_anchored_and_linked_to_the_one_before(replica: Replica) -> None:
    before = replica.anchored
    replies = replica.keeper.vote([accept(1, b"v", record(1)), prepare(5, record(1)), prepare(2, record(1))])
    assert replies == [
        AcceptReply(granted=True, seen=b(2)),
        PrepareReply(granted=True, seen=b(5), accepted=b(1), value=b"v"),
        PrepareReply(granted=False, seen=b(5), accepted=ZERO, value=b""),
    ]
    after = replica.anchored
    assert (after.counter, after.previous_root) == (before.counter + 1, before.root)
    assert after.root != before.root
    assert replica.store.rows == {record(1): Slot(promised=b(5), accepted=b(1), value=b"v")}
    assert replica.store.number == after.counter


def test_refusals_alone_write_nothing(replica: Replica) -> None:
    replica.keeper.vote([prepare(5, record(1))])
    before = replica.anchored
    replies = replica.keeper.vote([prepare(4, record(1)), accept(4, b"v", record(1))])
    assert [reply.granted for reply in replies] == [False, False]
    assert replica.anchored == before


def test_a_vote_follows_what_an_earlier_process_wrote(replica: Replica) -> None:
    replica.keeper.vote([accept(8, b"old", record(1))])
    keeper = replica.reopen()
    assert keeper.vote([accept(7, b"x", record(1))]) == [AcceptReply(granted=False, seen=b(9))]
    assert keeper.vote([prepare(10, record(1))])[0].granted


def test_the_start_reads_no_row(replica: Replica) -> None:
    replica.vote(*range(1, 20))
    replica.store.loads.clear()
    replica.store.bucket_reads.clear()
    replica.reopen()
    assert replica.store.loads == []
    assert replica.store.bucket_reads == []


def test_a_record_in_use_is_read_from_the_store_once(replica: Replica) -> None:
    replica.vote(1)
    keeper = replica.reopen()
    for counter in range(5, 10):
        keeper.vote([prepare(counter, record(1))])
    assert replica.store.loads == [[record(1)]]
    assert replica.store.bucket_reads == [0]


def test_a_record_that_never_was_is_not_looked_for(replica: Replica) -> None:
    replica.keeper.vote([prepare(1, record(1, bucket=9))])
    assert replica.store.loads == []
    assert replica.store.bucket_reads == []


def test_memory_is_bounded_and_what_was_forgotten_is_read_and_checked_again(
    replica: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checked_rows, "HOT_SLOTS", 3)
    monkeypatch.setattr(checked_rows, "HOT_BUCKETS", 2)
    for bucket in range(6):
        replica.keeper.vote([accept(1, b"v", record(1, bucket))])
    assert len(replica.keeper._rows._hot) == 3
    assert len(replica.keeper._rows._digests) == 2
    reply = PrepareReply(granted=True, seen=b(5), accepted=b(1), value=b"v")
    assert replica.keeper.vote([prepare(5, record(1, 0))]) == [reply]
    every = [prepare(6, record(1, bucket)) for bucket in range(6)]  # more buckets in a batch than memory keeps
    assert all(reply.granted for reply in replica.keeper.vote(every))
    assert replica.reopen().boot == 2


def test_records_are_listed_in_order_and_from_the_anchored_buckets(replica: Replica) -> None:
    ids = [record(number, bucket) for bucket in (0, 7, 65_535) for number in range(3)]
    replica.keeper.vote([prepare(1, each) for each in reversed(ids)])
    assert replica.keeper.records(None, 100) == ids
    assert replica.keeper.records(ids[1], 3) == ids[2:5]
    assert replica.keeper.records(ids[-1], 3) == []
    del replica.store.digests[ids[4]]  # the store hides a record from the sweep
    with pytest.raises(StoreError, match="bucket 7 does not hold"):
        replica.reopen().records(None, 100)


def test_replicas_with_the_same_accepted_values_have_one_state_tree(replica: Replica) -> None:
    other = Replica()
    replica.vote(1, 2, 3)
    other.vote(3, 2, 1)
    other.keeper.vote([prepare(50, record(2))])
    assert replica.keeper.state.root == other.keeper.state.root
    assert replica.anchored.root != other.anchored.root
    other.vote(4)
    assert replica.keeper.state.root != other.keeper.state.root


# -- failures end the keeper


def full_disk(replica: Replica) -> None:
    replica.store.error = FULL


def lost_token(replica: Replica) -> None:
    replica.anchor.error = TokenError("the device was removed")


def twin_was_faster(replica: Replica) -> None:
    memory_keeper(replica.store.copied(), replica.anchor)


FAILURES: dict[str, tuple[Callable[[Replica], None], type[Exception]]] = {
    "the disk is full": (full_disk, StoreError),
    "the token is gone": (lost_token, TokenError),
    "a twin replaced the anchor": (twin_was_faster, TokenError),
}


@pytest.mark.parametrize(("fail", "error"), FAILURES.values(), ids=FAILURES.keys())
def test_any_failure_ends_the_keeper_for_good(
    replica: Replica, fail: Callable[[Replica], None], error: type[Exception]
) -> None:
    """VAULT-ANCHOR-ERROR-ENDS"""
    fail(replica)
    with pytest.raises(error):
        replica.keeper.vote([prepare(1, record(1))])
    replica.store.error = replica.anchor.error = None
    for later in (
        lambda: replica.keeper.vote([prepare(2, record(1))]),
        lambda: replica.keeper.slots([record(1)]),
        lambda: replica.keeper.bucket(0),
        lambda: replica.keeper.records(None, 1),
        lambda: replica.keeper.count(),
    ):
        with pytest.raises(StoreError, match="ended with an earlier error"):
            later()


# -- what a start refuses; nothing may be changed by a refusal


def rolled_back(replica: Replica) -> KeeperIdentity:
    old = replica.store.copied()
    replica.vote(7, 8)
    replica.store = old
    return IDENTITY


def rolled_back_by_one(replica: Replica) -> KeeperIdentity:
    old = replica.store.copied()
    replica.vote(7)
    replica.store = old
    return IDENTITY


def wiped(replica: Replica) -> KeeperIdentity:
    replica.store = MemoryStore()
    return IDENTITY


def bucket_edited(replica: Replica) -> KeeperIdentity:
    replica.store.hashes[0] = BucketHashes(b"x" * 32, replica.store.hashes[0].promise)
    return IDENTITY


def promise_edited(replica: Replica) -> KeeperIdentity:
    replica.store.hashes[0] = BucketHashes(replica.store.hashes[0].state, b"x" * 32)
    return IDENTITY


def bucket_removed(replica: Replica) -> KeeperIdentity:
    replica.store.hashes.clear()
    return IDENTITY


def bucket_malformed(replica: Replica) -> KeeperIdentity:
    replica.store.hashes[70_000] = replica.store.hashes[0]
    return IDENTITY


def undo_edited(replica: Replica) -> KeeperIdentity:
    replica.anchor.error = TokenError("killed here")
    with pytest.raises(TokenError):
        replica.vote(7)
    replica.anchor.error = None
    assert replica.store._before is not None
    replica.store._before[2][0] = BucketHashes(b"x" * 32, b"y" * 32)
    return IDENTITY


def anchor_missing(replica: Replica) -> KeeperIdentity:
    replica.anchor.objects.clear()
    return IDENTITY


def both_gone(replica: Replica) -> KeeperIdentity:
    replica.store = MemoryStore()
    return anchor_missing(replica)


def anchor_malformed(replica: Replica) -> KeeperIdentity:
    replica.anchor.objects[:] = [replica.anchor.objects[0][:-1]]
    return IDENTITY


def anchor_older(replica: Replica) -> KeeperIdentity:
    old = list(replica.anchor.objects)
    replica.vote(7, 8)
    replica.anchor.objects[:] = old
    return IDENTITY


def two_at_one_counter(replica: Replica) -> KeeperIdentity:
    replica.anchor.objects.append(replace(replica.anchored, boot=77).to_bytes())
    return IDENTITY


def twice_the_same(replica: Replica) -> KeeperIdentity:
    replica.anchor.objects *= 2
    return IDENTITY


def broken_link(replica: Replica) -> KeeperIdentity:
    anchored = replica.anchored
    replica.anchor.objects.append(replace(anchored, counter=anchored.counter - 1, root=b"x" * 32).to_bytes())
    return IDENTITY


def gap(replica: Replica) -> KeeperIdentity:
    anchored = replica.anchored
    leftover = replace(anchored, counter=anchored.counter - 2, root=anchored.previous_root)
    replica.anchor.objects.append(leftover.to_bytes())
    return IDENTITY


def copy_of_this_replica(replica: Replica) -> KeeperIdentity:
    """Store and token each at the same counter, but of two lives of one replica."""
    twin = Replica()
    twin.store, twin.anchor.objects = replica.store.copied(), list(replica.anchor.objects)
    twin.keeper = twin.reopen()
    replica.vote(7)
    replica.store = twin.store
    return IDENTITY


def identity(**changes: object) -> Callable[[Replica], KeeperIdentity]:
    return lambda replica: replace(IDENTITY, **changes)  # type: ignore[arg-type]


REFUSED: dict[str, tuple[Callable[[Replica], KeeperIdentity], str]] = {
    "a store that was rolled back": (rolled_back, "the store was rolled back: it ends with batch 4"),
    "a store that was rolled back by one batch": (rolled_back_by_one, "the store was rolled back"),
    "a wiped store": (wiped, "the store is new or was wiped, and the token has anchored 4 batches"),
    "an edited bucket hash": (bucket_edited, "the store does not hold what the token has anchored"),
    "an edited promise": (promise_edited, "the store does not hold what the token has anchored"),
    "a removed bucket": (bucket_removed, "the store does not hold what the token has anchored"),
    "a bucket that is none": (bucket_malformed, "the hash of bucket 70000 is none"),
    "an edited undo": (undo_edited, "the store does not hold what the token has anchored"),
    "no anchor": (anchor_missing, "anchor missing"),
    "neither store nor anchor": (both_gone, "anchor missing"),
    "a malformed anchor alone": (anchor_malformed, "anchor missing"),
    "an anchor of an older counter": (anchor_older, "the token was rolled back"),
    "two anchors at one counter": (two_at_one_counter, "two anchors at counter 4"),
    "one anchor twice": (twice_the_same, "two anchors at counter 4"),
    "a broken link to the previous root": (broken_link, "anchors 3 and 4, and the later one did not replace"),
    "a leftover that is too old": (gap, "anchors 2 and 4, and the later one did not replace"),
    "the store of a copy of this replica": (copy_of_this_replica, "the store of a copy of this replica"),
    "another fleet's token": (identity(fleet=FleetId("fleet-2")), "replica 3 of group 0 of fleet fleet-1, not of"),
    "another group's token": (identity(group=1), "replica 3 of group 0 of fleet fleet-1, not of"),
    "another replica's token": (identity(replica=ReplicaId(4)), "replica 3 of group 0 of fleet fleet-1, not of"),
    "another incarnation": (identity(incarnation=2), "incarnation 1, the manifest says 2"),
    "a manifest of an older epoch": (identity(epoch=3), "the manifest was rolled back: it is of epoch 3"),
    "another manifest of the same epoch": (identity(manifest=b"n" * 32), "the manifest was swapped"),
    "another root of trust": (identity(root_of_trust=b"n" * 32), "root-of-trust document was swapped"),
    "another root of trust with a new epoch": (identity(root_of_trust=b"n" * 32, epoch=5), "root-of-trust"),
}


@pytest.mark.parametrize(("make", "says"), REFUSED.values(), ids=REFUSED.keys())
def test_a_start_refuses(replica: Replica, make: Callable[[Replica], KeeperIdentity], says: str) -> None:
    """VAULT-ANCHOR-START-CHECKS"""
    replica.vote(1, 2, 3)
    wanted = make(replica)
    anchors = list(replica.anchor.objects)
    for _ in range(2):  # also when it is tried again
        with pytest.raises(StoreError, match=says) as refused:
            VoteKeeper.open(replica.store, replica.anchor, wanted)
        assert refused.value.todo
        assert replica.anchor.objects == anchors


def test_a_root_of_trust_is_followed_by_its_successor_and_never_goes_back(replica: Replica) -> None:
    replica.vote(1)
    before = IDENTITY.root_of_trust
    later = replace(IDENTITY, root_of_trust=b"n" * 32, root_follows=(b"o" * 32, before))
    keeper = VoteKeeper.open(replica.store, replica.anchor, later)
    assert keeper.epoch == IDENTITY.epoch
    with pytest.raises(StoreError, match="root-of-trust document was swapped"):
        VoteKeeper.open(replica.store, replica.anchor, IDENTITY)
    VoteKeeper.open(replica.store, replica.anchor, later)


def test_a_later_epoch_is_entered_with_its_manifest_and_never_left_again(replica: Replica) -> None:
    """VAULT-ANCHOR-EPOCH-NEVER-BACK, and VAULT-MEMBERSHIP-ONE-AT-A-TIME: by a manifest proved to follow the last."""
    with pytest.raises(StoreError, match="nothing proves"):
        replica.reopen(epoch=5, manifest=b"n" * 32)
    with pytest.raises(StoreError, match="nothing proves"):
        replica.reopen(epoch=5, manifest=b"n" * 32, follows=b"o" * 32)
    with pytest.raises(StoreError, match="none is skipped"):
        replica.reopen(epoch=6, manifest=b"n" * 32, follows=IDENTITY.manifest)
    assert replica.reopen(epoch=5, manifest=b"n" * 32, follows=IDENTITY.manifest).epoch == 5
    assert (replica.anchored.epoch, replica.anchored.manifest) == (5, b"n" * 32)
    with pytest.raises(StoreError, match="rolled back"):
        replica.reopen()


def test_a_half_made_anchor_beside_the_whole_one_is_removed(replica: Replica) -> None:
    replica.anchor.objects.append(replica.anchor.objects[0][:40])
    assert replica.reopen().boot == 2
    assert replica.anchored.boot == 2


# -- what the first touch finds


def edit_value(store: MemoryStore) -> None:
    store.rows[record(1)] = replace(store.rows[record(1)], value=b"older")


def edit_promise(store: MemoryStore) -> None:
    store.rows[record(1)] = replace(store.rows[record(1)], promised=ZERO)


def edit_accepted(store: MemoryStore) -> None:
    store.rows[record(1)] = replace(store.rows[record(1)], accepted=ZERO)


def swap_rows(store: MemoryStore) -> None:
    store.rows[record(1)], store.rows[record(2)] = store.rows[record(2)], store.rows[record(1)]


def swap_digests(store: MemoryStore) -> None:
    swap_rows(store)
    digests = store.digests
    digests[record(1)], digests[record(2)] = digests[record(2)], digests[record(1)]


def edit_value_and_digest(store: MemoryStore) -> None:
    edit_value(store)
    store.digests[record(1)] = checked_rows.digests_of(record(1), store.rows[record(1)])


def edit_digest(store: MemoryStore) -> None:
    store.digests[record(1)] = RowDigests(b"x" * 32, store.digests[record(1)].promise)


def delete_row(store: MemoryStore) -> None:
    del store.rows[record(1)]


def delete_row_and_digest(store: MemoryStore) -> None:
    delete_row(store)
    del store.digests[record(1)]


def add_row(store: MemoryStore) -> None:
    store.digests[record(9)] = store.digests[record(1)]


def other_bucket(store: MemoryStore) -> None:
    moved = record(1, bucket=5)
    store.digests[moved] = store.digests[record(1)]
    store.bucket = lambda number: {moved: store.digests[moved]}  # type: ignore[method-assign]


TOUCHED = {
    "an older value": (edit_value, "is not the one that was committed"),
    "a promise taken back": (edit_promise, "is not the one that was committed"),
    "an accepted ballot taken back": (edit_accepted, "is not the one that was committed"),
    "two rows exchanged": (swap_rows, "is not the one that was committed"),
    "two rows exchanged with their digests": (swap_digests, "bucket 0 does not hold"),
    "an older value with its digest": (edit_value_and_digest, "bucket 0 does not hold"),
    "an edited digest": (edit_digest, "bucket 0 does not hold"),
    "a row deleted": (delete_row, "a row of bucket 0 is gone"),
    "a row deleted with its digest": (delete_row_and_digest, "bucket 0 does not hold"),
    "a row added": (add_row, "bucket 0 does not hold"),
    "a row of another bucket": (other_bucket, "bucket 0 does not hold"),
}


@pytest.mark.parametrize(("edit", "says"), TOUCHED.values(), ids=TOUCHED.keys())
def test_the_first_touch_finds(replica: Replica, edit: Callable[[MemoryStore], None], says: str) -> None:
    """VAULT-ANCHOR-FIRST-TOUCH"""
    replica.vote(1, 2, 3)
    keeper = replica.reopen()
    edit(replica.store)
    with pytest.raises(StoreError, match=says) as refused:
        keeper.vote([prepare(60, record(1))])
    assert "behind this replica's back" in refused.value.what
    with pytest.raises(StoreError, match="ended with an earlier error"):
        keeper.vote([prepare(60, record(2))])


def test_a_row_put_into_an_empty_bucket_is_never_looked_at(replica: Replica) -> None:
    ghost = record(1, bucket=8)
    replica.store.rows[ghost] = Slot(promised=b(50), accepted=b(50), value=b"ghost")
    replica.store.digests[ghost] = checked_rows.digests_of(ghost, replica.store.rows[ghost])
    assert bucket_of(ghost) == 8
    assert replica.keeper.vote([prepare(1, ghost)])[0] == PrepareReply(
        granted=True, seen=b(1), accepted=ZERO, value=b""
    )
