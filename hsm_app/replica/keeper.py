"""Keeps a replica's votes: folds the acceptor over a batch, makes it durable, anchors it, and only then answers.

Synchronous, without threads or clocks: `votes.VoteWorker` runs it on its own thread, a simulator runs it as it is.
(VAULT-ANCHOR-BEFORE-ANSWER, VAULT-ANCHOR-ANSWERED-IS-KEPT)

Why no crash loses an answered vote. A batch takes the store and the token from counter c to c + 1 in three durable
writes: (1) the store commits the rows, the bucket hashes, the counter, and what they replace (the undo), in one
transaction; (2) the token creates anchor c + 1, which names c's root as its previous one; (3) the token destroys anchor
c, and that very call succeeds. Then the answers leave; no other write is begun before. A process that ends between two
of them leaves:

| ended | store | token | the next start |
|---|---|---|---|
| before (1), or within it | c | c | goes on from c |
| between (1) and (2) | c + 1 | c | takes the batch back (undo, durable): c. No answer had left |
| within (2) | c + 1 | c, and an object without label or whole content | removes that, then as above |
| between (2) and (3) | c + 1 | c and c + 1, linked | c + 1 counts, c is destroyed. Votes that nobody heard are kept |
| after (3) | c + 1 | c + 1 | goes on from c + 1. All, some or none of the answers had left |

A start ends in an empty batch of its own, which raises the boot number and enters the epoch; so it writes in the same
order, and a start that is killed leaves one of the same five cases. Before that batch it writes at most two things. The
undo: killed before it, the next start does it again; after it, the store is at c with nothing to take back. Destroying
anchor c beside c + 1: killed before or after, c + 1 counts. Neither is done before every check has passed that does not
need it.

Why the undo forgets no answered vote: an answer leaves only after (3), which begins only when anchor c + 1 is durable.
So once an answer of batch c + 1 has left, the highest anchor is c + 1 or later, and only a batch above it is taken
back. A store that claims to be one batch ahead gains nothing by it: what it turns back to must have the anchored root.

Why two processes with one token never both answer: each needs (3) to succeed on the same object, and exactly one does.
The other one fails, its keeper refuses everything after, and its process ends. An error of (2) or (3) tells nothing of
what the token did; hence the keeper never tries a counter again, and the next start looks.

A loss of power instead of a kill leaves the same cases, since (1) and (2) are synced before the next step begins; after
(3) it may bring anchor c back, which is the case between (2) and (3).

All of this trusts the token to keep what it acknowledged. A token put back to its last anchor but one takes one batch
back; the manifest's `anchor_freshness` says what stands against that.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import NamedTuple

from hsm_app.consensus.acceptor import EMPTY, Accept, Prepare, Slot, accept, prepare
from hsm_app.consensus.proposer import Reply
from hsm_app.errors import StoreError
from hsm_app.merkle.anchor import AnchorState
from hsm_app.merkle.rows import RowDigests
from hsm_app.merkle.tree import Tree
from hsm_app.model import RecordId
from hsm_app.ports import Anchor, Store
from hsm_app.replica.anchors import KeeperIdentity, check_counter, check_identity, check_root, choose_anchor
from hsm_app.replica.checked_rows import CheckedRows


class Question(NamedTuple):
    """What a proposer asks this replica about one record."""

    record: RecordId
    asked: Prepare | Accept


class VoteKeeper:
    """The acceptor of one replica for all records. Made by `open`; used by one thread, one call after the other.

    Whatever goes wrong in a call ends the keeper: what is on the disk and in the token is then unknown, so every later
    call is refused, and the next start finds out (VAULT-ANCHOR-ERROR-ENDS).
    """

    def __init__(self, store: Store, anchor: Anchor, rows: CheckedRows, anchored: AnchorState) -> None:
        self._store = store
        self._anchor = anchor
        self._rows = rows
        self._anchored = anchored
        self._has_ended = False

    @classmethod
    def open(cls, store: Store, anchor: Anchor, identity: KeeperIdentity) -> VoteKeeper:
        """Check store and anchor against each other, enter the epoch and raise the boot number, anchored
        (VAULT-ANCHOR-BOOT).

        Raises StoreError or TokenError, naming the case, when this replica must not vote.
        """
        found = choose_anchor(anchor.read())
        check_identity(found.state, identity)
        check_counter(found.state.counter, store.counter())
        if store.counter() > found.state.counter:
            store.undo()
        rows = CheckedRows(store)
        check_root(found.state, rows.root)
        for leftover in found.leftovers:
            anchor.destroy(leftover)
        keeper = cls(store, anchor, rows, found.state)
        entered = replace(
            found.state,
            boot=found.state.boot + 1,
            epoch=identity.epoch,
            manifest=identity.manifest,
            root_of_trust=identity.root_of_trust,
        )
        keeper._write(entered, {})
        return keeper

    @property
    def boot(self) -> int:
        """The number of this start: no other start of this incarnation has it. The first one is 1."""
        return self._anchored.boot

    @property
    def epoch(self) -> int:
        """The epoch that this replica has entered for good."""
        return self._anchored.epoch

    @property
    def counter(self) -> int:
        """The number of the last batch that was anchored."""
        return self._anchored.counter

    @property
    def state(self) -> Tree:
        """The tree over what was accepted: equal at two replicas when they hold the same."""
        return self._rows.state

    def vote(self, questions: Sequence[Question]) -> list[Reply]:
        """Vote on a batch, in order; the replies may leave when this returns. A later question sees an earlier vote."""
        with self._ending_on_failure():
            slots = self._rows.slots(question.record for question in questions)
            changed: dict[RecordId, Slot] = {}
            replies: list[Reply] = []
            for record, asked in questions:
                slot, reply = _ask(slots.get(record, EMPTY), asked)
                if slot is not None:
                    slots[record] = changed[record] = slot
                replies.append(reply)
            if changed:
                self._write(self._anchored, changed)
            return replies

    def slots(self, records: Iterable[RecordId]) -> dict[RecordId, Slot]:
        """Return the slots that exist among `records`, as anchored."""
        with self._ending_on_failure():
            return self._rows.slots(records)

    def bucket(self, number: int) -> Mapping[RecordId, RowDigests]:
        """Return the digests of all rows of a bucket, as anchored."""
        with self._ending_on_failure():
            return self._rows.bucket(number)

    def records(self, after: RecordId | None, limit: int) -> list[RecordId]:
        """Return the ids of up to `limit` records greater than `after`, in order, tombstones too, as anchored."""
        with self._ending_on_failure():
            return self._rows.records(after, limit)

    def count(self) -> int:
        """Return how many rows the store says it has. For people to read: nothing checks it."""
        with self._ending_on_failure():
            return self._store.count()

    def close(self) -> None:
        """Give the store up."""
        self._store.close()

    def _write(self, entered: AnchorState, changed: Mapping[RecordId, Slot]) -> None:
        """Make one batch durable, then anchored. `entered` is the present anchor with what else is to change in it."""
        old = self._anchored
        batch = self._rows.change(old.counter + 1, changed)
        self._store.commit(batch)
        new = replace(entered, counter=batch.counter, root=self._rows.root, previous_root=old.root)
        self._anchor.replace(old.to_bytes(), new.to_bytes())
        self._anchored = new

    @contextmanager
    def _ending_on_failure(self) -> Iterator[None]:
        if self._has_ended:
            raise StoreError("this replica's votes have ended with an earlier error", "Read that error, and restart it")
        try:
            yield
        except BaseException:
            self._has_ended = True
            raise


def _ask(slot: Slot, asked: Prepare | Accept) -> tuple[Slot | None, Reply]:
    if isinstance(asked, Prepare):
        return prepare(slot, asked.ballot)
    return accept(slot, asked.ballot, asked.value, asked.next)
