"""Which anchor is the replica's, and whether the store and the configuration are the ones it speaks of.

The rules of a start (the order of writes that they undo is argued in `replica.keeper`):

- The anchor with the highest counter counts, whatever the store says. A second one may only be the one it replaced:
  counter one lower, and its root is the other's `previous_root`. That is what a kill leaves between create and destroy.
  Two at one counter, or two that are not linked, are the work of two processes with one token.
- It names this replica: fleet, group, number and incarnation. Its epoch is the manifest's, and then it names the same
  manifest; or the one before, and then the manifest was proved to follow the one it names. No epoch is skipped, and
  none is entered again. It names the same root of trust, or one that the present document was proved to succeed.
- The store is at its counter, or one batch ahead; that batch was never answered and is taken back. Then the root over
  the store's bucket hashes is the anchored one.

Everything else is refused, with a message that says which case it is. No refusal changes anything.
(VAULT-ANCHOR-START-CHECKS, VAULT-ANCHOR-EPOCH-NEVER-BACK)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hsm_app.errors import ProtocolError, StoreError
from hsm_app.merkle.anchor import AnchorState
from hsm_app.model import FleetId, ReplicaId

REPLACE = "This replica must not vote any more; replace it (it comes back under a new incarnation)"
RIGHT_FILES = "Check the paths in the configuration: token, manifest and store belong together"
TWO_PROCESSES = "Stop the other process that uses this token, and find out who started it; then replace the replica"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeeperIdentity:
    """Whom a replica's configuration makes it: digests are SHA-256, `root_of_trust` all zero while there is none.

    `follows` is the digest of the manifest that `manifest` was proved to follow by the rules of `fleet.membership`;
    None when nothing was proved, and then no other epoch is entered than the one that is anchored. `root_follows` has
    the digests of the documents that the root of trust was proved to succeed (`fleet.root_of_trust.successor`).
    """

    fleet: FleetId
    group: int
    replica: ReplicaId
    incarnation: int
    epoch: int
    manifest: bytes
    root_of_trust: bytes
    follows: bytes | None = None
    root_follows: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundAnchor:
    """The anchor that counts, and the contents of the objects beside it, which are to be destroyed."""

    state: AnchorState
    leftovers: tuple[bytes, ...]


def choose_anchor(contents: Sequence[bytes]) -> FoundAnchor:
    """Pick the anchor that counts. StoreError when there is none, or more than a kill can leave."""
    read: list[tuple[AnchorState, bytes]] = []
    half_made: list[bytes] = []
    for content in contents:
        try:
            read.append((AnchorState.from_bytes(content), content))
        except ProtocolError:
            half_made.append(content)
    if not read:
        raise StoreError("the token holds no anchor of this replica's store (anchor missing)", REPLACE)
    read.sort(key=lambda one: one[0].counter)
    state, _ = read[-1]
    for older, _ in read[:-1]:
        _check_link(older, state)
    return FoundAnchor(state=state, leftovers=(*half_made, *(other for _, other in read[:-1])))


def _check_link(older: AnchorState, newer: AnchorState) -> None:
    if older.counter == newer.counter:
        raise StoreError(
            f"the token holds two anchors at counter {newer.counter}: two processes used it", TWO_PROCESSES
        )
    if older.counter + 1 != newer.counter or older.root != newer.previous_root:
        raise StoreError(
            f"the token holds anchors {older.counter} and {newer.counter}, and the later one did not replace the "
            "earlier one: two processes used it",
            TWO_PROCESSES,
        )


def check_identity(anchor: AnchorState, identity: KeeperIdentity) -> None:
    """StoreError unless an anchor is this replica's, of an epoch and documents that it may have now."""
    if (anchor.fleet, anchor.group, anchor.replica) != (identity.fleet, identity.group, identity.replica):
        raise StoreError(
            f"the token's anchor is that of replica {anchor.replica} of group {anchor.group} of fleet {anchor.fleet}, "
            f"not of replica {identity.replica} of group {identity.group} of fleet {identity.fleet}",
            RIGHT_FILES,
        )
    if anchor.incarnation != identity.incarnation:
        raise StoreError(
            f"the token's anchor is of incarnation {anchor.incarnation}, the manifest says {identity.incarnation}",
            "A new incarnation starts with the anchor and the empty store that its replacement made",
        )
    if anchor.epoch > identity.epoch:
        raise StoreError(
            f"the manifest was rolled back: it is of epoch {identity.epoch}, this replica has entered {anchor.epoch}",
            "Install the manifest of the fleet's present epoch",
        )
    if anchor.epoch == identity.epoch and anchor.manifest != identity.manifest:
        raise StoreError(
            f"the manifest was swapped: it is another one of epoch {identity.epoch} than this replica has entered",
            "Install the manifest that the fleet agreed on, and find out who exchanged it",
        )
    if anchor.root_of_trust not in (identity.root_of_trust, *identity.root_follows):
        raise StoreError(
            "the root-of-trust document was swapped: it is another one than this replica has entered",
            "Install the document that the fleet agreed on, and its successors under root_successors; and find out who "
            "exchanged it",
        )
    if anchor.epoch < identity.epoch:
        _check_entry(anchor, identity)


def _check_entry(anchor: AnchorState, identity: KeeperIdentity) -> None:
    if identity.epoch > anchor.epoch + 1:
        raise StoreError(
            f"the manifest is of epoch {identity.epoch}, this replica has entered {anchor.epoch}, and none is skipped",
            f"Put the manifest of epoch {anchor.epoch} back; `hsm-vault fleet replace-replica` brings them in order",
        )
    if identity.follows != anchor.manifest:
        raise StoreError(
            f"nothing proves that the manifest of epoch {identity.epoch} follows the one this replica has entered",
            "Put that one back, and let `hsm-vault fleet replace-replica` bring the next with its certificate",
        )


def check_counter(anchored: int, stored: int) -> None:
    """StoreError unless a store is at the anchored counter, or one batch ahead of it."""
    if stored == 0 < anchored:
        raise StoreError(f"the store is new or was wiped, and the token has anchored {anchored} batches", REPLACE)
    if stored < anchored:
        raise StoreError(
            f"the store was rolled back: it ends with batch {stored}, the token has anchored {anchored}", REPLACE
        )
    if stored > anchored + 1:
        raise StoreError(
            f"the token was rolled back: its anchor ends with batch {anchored}, the store with {stored}", REPLACE
        )


def check_root(anchor: AnchorState, root: bytes) -> None:
    """StoreError unless the root over the store's rows is the anchored one."""
    if root != anchor.root:
        raise StoreError(
            f"the store does not hold what the token has anchored as batch {anchor.counter}: it was edited, or it is "
            "the store of a copy of this replica",
            REPLACE,
        )
