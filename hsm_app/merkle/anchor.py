"""The anchor: what a replica's token remembers, so that no disk can tell it another story.

It names whose rows it speaks of, how often the process was started, which epoch and documents it has entered, and the
root over all rows after the batch `counter`. `previous_root` is the root before that batch: the link to the anchor
that this one replaced. The bytes are kept in the token; whoever writes them there is believed.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from struct import Struct

from hsm_app.errors import ProtocolError
from hsm_app.merkle.rows import EMPTY_BUCKET, HASH_LENGTH
from hsm_app.merkle.tree import Tree
from hsm_app.model import FleetId, ReplicaId

VERSION = 1
NO_ROOT = bytes(HASH_LENGTH)  # what the very first anchor has as its previous root
NO_ROOT_OF_TRUST = bytes(HASH_LENGTH)  # the digest while a fleet has no root-of-trust document

_MAGIC = b"hsm-vault/anchor\0"
_ROOT = b"hsm-vault/anchored-root/v1\0"
_LAYOUT = Struct(">17sBIBIIQQ32s32s32s32sB")  # after it: the fleet's name, as long as the last field says


@dataclass(frozen=True, slots=True, kw_only=True)
class AnchorState:
    """One anchor. Numbers are not negative; `root`, `previous_root`, `manifest` and `root_of_trust` have 32 bytes."""

    version: int = VERSION
    fleet: FleetId
    group: int
    replica: ReplicaId
    incarnation: int
    boot: int  # starts of this replica's process under this incarnation
    epoch: int
    counter: int  # batches since the first anchor
    root: bytes
    previous_root: bytes
    manifest: bytes  # SHA-256
    root_of_trust: bytes  # SHA-256

    def to_bytes(self) -> bytes:
        """Return the one encoding of this anchor."""
        name = self.fleet.encode()
        numbers = (self.group, self.replica, self.incarnation, self.boot, self.epoch, self.counter)
        hashes = (self.root, self.previous_root, self.manifest, self.root_of_trust)
        return _LAYOUT.pack(_MAGIC, self.version, *numbers, *hashes, len(name)) + name

    @classmethod
    def from_bytes(cls, data: bytes) -> AnchorState:
        """Read an anchor. ProtocolError unless the bytes are the encoding of one, whole and of this version."""
        if len(data) < _LAYOUT.size:
            raise ProtocolError("an anchor is cut short")
        magic, version, group, replica, incarnation, boot, epoch, counter, *hashes, length = _LAYOUT.unpack_from(data)
        name = data[_LAYOUT.size :]
        if magic != _MAGIC or version != VERSION or len(name) != length:
            raise ProtocolError("these bytes are no anchor of this version")
        try:
            fleet = FleetId(name.decode())
        except UnicodeDecodeError as error:
            raise ProtocolError("the name of an anchor's fleet is no text") from error
        root, previous_root, manifest, root_of_trust = hashes
        return cls(
            fleet=fleet,
            group=group,
            replica=ReplicaId(replica),
            incarnation=incarnation,
            boot=boot,
            epoch=epoch,
            counter=counter,
            root=root,
            previous_root=previous_root,
            manifest=manifest,
            root_of_trust=root_of_trust,
        )


def anchored_root(state_root: bytes, promise_root: bytes) -> bytes:
    """Return the one root over both trees."""
    return hashlib.sha256(_ROOT + state_root + promise_root).digest()


EMPTY_ROOT = anchored_root(Tree(EMPTY_BUCKET.state).root, Tree(EMPTY_BUCKET.promise).root)


def first_anchor(
    *,
    fleet: FleetId,
    group: int,
    replica: ReplicaId,
    incarnation: int,
    epoch: int,
    manifest: bytes,
    root_of_trust: bytes = NO_ROOT_OF_TRUST,
) -> AnchorState:
    """Return the anchor over an empty store. Only genesis and a replacement may write one."""
    return AnchorState(
        fleet=fleet,
        group=group,
        replica=replica,
        incarnation=incarnation,
        boot=0,
        epoch=epoch,
        counter=0,
        root=EMPTY_ROOT,
        previous_root=NO_ROOT,
        manifest=manifest,
        root_of_trust=root_of_trust,
    )
