"""A log computed anew from its entries and compared with every file that it shows. Changes nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from hsm_app.auditor.log_directory import LogDirectory, naming
from hsm_app.errors import LogError
from hsm_app.tlog import tiles
from hsm_app.tlog.checkpoint import Checkpoint, signed_checkpoint
from hsm_app.tlog.merkle import leaf_hash, root_of
from hsm_app.tlog.note import VerifierKey


@dataclass(frozen=True, slots=True)
class Whole:
    """What was found: how many entries, how many tiles, and the size that the public checkpoint has."""

    entries: int
    tiles: int
    published: int


def verify_whole(log: LogDirectory, key: VerifierKey) -> Whole:
    """LogError that names the file for anything that is not what the entries make."""
    size, compared = log.checkpoint.size, 0
    hashes = list(_leaf_hashes(log, size))
    level = 0
    while hashes:
        compared += _compare(log, level, hashes)
        full = range(0, len(hashes) - tiles.WIDTH + 1, tiles.WIDTH)
        hashes = [tiles.subtree_root(b"".join(hashes[at : at + tiles.WIDTH])) for at in full]
        level += 1
    if root_of(size, tiles.reader(size, log.fetch)) != log.checkpoint.root:
        raise LogError("inclusion", "the log's entries do not make the root that was signed")
    published = _published(log, key)
    if published.size > size or root_of(published.size, tiles.reader(size, log.fetch)) != published.root:
        raise LogError("consistency", "the public checkpoint is not of this log")
    return Whole(size, compared, published.size)


def _published(log: LogDirectory, key: VerifierKey) -> Checkpoint:
    raw = log.fetch(tiles.CHECKPOINT)
    if raw is None:
        todo = "Give the last `hsm-vault auditor append` again"
        raise LogError("artifact", f"the log's {tiles.CHECKPOINT} is missing", todo)
    with naming(log.public / tiles.CHECKPOINT):
        return signed_checkpoint(raw, key, key.name)[1]


def _leaf_hashes(log: LogDirectory, size: int) -> Iterator[bytes]:
    for number in range(-(-size // tiles.WIDTH)):
        width = tiles.width_at(size, 0, number)
        path = tiles.entries_path(number, width)
        data = log.fetch(path)
        if data is None:
            raise LogError("artifact", f"the log's {path} is missing")
        with naming(log.public / path):
            entries = tiles.unpack_entries(data, width)
        yield from map(leaf_hash, entries)


def _compare(log: LogDirectory, level: int, hashes: Sequence[bytes]) -> int:
    """Compare one level's tiles with its hashes; return how many there are."""
    starts = range(0, len(hashes), tiles.WIDTH)
    for number, first in enumerate(starts):
        part = hashes[first : first + tiles.WIDTH]
        path = tiles.tile_path(level, number, len(part))
        if log.fetch(path) != b"".join(part):
            raise LogError("inclusion", f"the log's {path} is not what its entries make")
    return len(starts)
