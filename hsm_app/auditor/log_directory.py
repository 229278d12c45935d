"""A log on disk: static files that any web server can serve, and one file that says which tree was signed last.

    public/checkpoint, public/tile/...   C2SP tlog-tiles, as clients and monitors fetch them
    signed-checkpoint                    the last checkpoint that this log signed; it may be ahead of the public one

An append does, in this order, each step durable before the next: (1) entries and tiles of the new tree, under names of
its size; (2) the signature, into `signed-checkpoint`; (3) whatever the caller does with the signed note, such as
showing it to witnesses; (4) `public/checkpoint`. A crash

- before (2) has written tiles that no signature covers: the next append begins from the old tree and writes over them;
- after (2) has signed a tree that may have been shown: opening takes it as the log's tree, so that the next one
  continues it, and (4) is done again. No two signed trees ever contradict each other.

Opening reads the right edge of the tree, compares it with the signed root, and needs the same time at any size.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from hsm_app.durable import make_directories, own_directory, replace_file
from hsm_app.errors import LogError, StoreError
from hsm_app.tlog import tiles
from hsm_app.tlog.checkpoint import Checkpoint, signed_checkpoint
from hsm_app.tlog.merkle import EMPTY_ROOT, HASH, consistency_proof, inclusion_proof, leaf_hash, root_of
from hsm_app.tlog.note import NOTE_LIMIT, Note, VerifierKey, parse_note, sign_note

PUBLIC, SIGNED = "public", "signed-checkpoint"
_DAMAGED = "Restore the log's directory from a copy that is not older; `hsm-vault auditor verify` shows what fits"


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Let a LogError say which file it is about."""
    try:
        yield
    except LogError as error:
        raise LogError(error.check, f"{path}: {error.what}", error.todo or _DAMAGED) from None


class LogDirectory:
    """One log, owned by one process at a time."""

    def __init__(self, root: Path, key: VerifierKey, sign: Callable[[bytes], bytes]) -> None:
        """Open a log whose origin is the key's name. StoreError when it is in use, LogError when it is damaged."""
        self.public = root / PUBLIC
        self._root = root
        self._key = key
        self._sign = sign
        self._lock = own_directory(root)
        try:
            self._note, self._checkpoint = self._signed()
        except BaseException:
            self.close()
            raise

    @classmethod
    def create(cls, root: Path, key: VerifierKey, sign: Callable[[bytes], bytes]) -> LogDirectory:
        """Make an empty log in a directory that exists, and publish its first checkpoint."""
        if (root / SIGNED).exists():
            raise StoreError(f"{root} holds a log already", "Choose another directory")
        make_directories(root / PUBLIC, root)
        first = sign_note(Checkpoint(key.name, 0, EMPTY_ROOT).to_text(), key, sign)
        replace_file(root / SIGNED, first.to_bytes())
        log = cls(root, key, sign)
        log.publish(first)
        return log

    def close(self) -> None:
        os.close(self._lock)

    @property
    def note(self) -> Note:
        """The last checkpoint that was signed."""
        return self._note

    @property
    def checkpoint(self) -> Checkpoint:
        return self._checkpoint

    def append(self, entries: Sequence[bytes]) -> Note:
        """Add entries and sign the new tree; return its checkpoint, which `publish` shows. Steps (1) and (2)."""
        size = self._checkpoint.size
        self._write_entries(size, entries)
        self._write_hashes(0, size, [leaf_hash(entry) for entry in entries])
        new = size + len(entries)
        root = root_of(new, tiles.reader(new, self.fetch))
        note = sign_note(Checkpoint(self._key.name, new, root).to_text(), self._key, self._sign)
        replace_file(self._root / SIGNED, note.to_bytes())
        self._note, self._checkpoint = note, Checkpoint(self._key.name, new, root)
        return note

    def publish(self, note: Note) -> None:
        """Show the last checkpoint, with cosignatures or without. LogError for any other. Step (4)."""
        if note.text != self._note.text:
            raise LogError("consistency", "only the checkpoint that was signed last is published")
        replace_file(self.public / tiles.CHECKPOINT, note.to_bytes())

    def published(self) -> Note | None:
        """Return the public checkpoint as it stands, None when there is none that reads."""
        try:
            return parse_note(self.fetch(tiles.CHECKPOINT) or b"")
        except LogError:
            return None

    def prove(self, index: int) -> list[bytes]:
        """Return the inclusion proof of an entry in the tree that was signed last."""
        size = self._checkpoint.size
        return inclusion_proof(index, size, tiles.reader(size, self.fetch))

    def prove_growth(self, old: int) -> list[bytes]:
        """Return the consistency proof from an older size. LogError for a size that the log never had."""
        size = self._checkpoint.size
        return consistency_proof(old, size, tiles.reader(size, self.fetch))

    def entry(self, index: int) -> bytes:
        """Return an entry. LogError when it is not there or is not the one that was logged."""
        size = self._checkpoint.size
        number, place = divmod(index, tiles.WIDTH)
        entry = self._bundle(number, tiles.width_at(size, 0, number))[place]
        if tiles.reader(size, self.fetch)(0, index) != leaf_hash(entry):
            raise LogError("artifact", f"entry {index} of the log is not the one that was logged", _DAMAGED)
        return entry

    def fetch(self, path: str) -> bytes | None:
        """Return a public file, None when there is none. StoreError when it cannot be read."""
        try:
            return (self.public / path).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StoreError(f"cannot read {self.public / path}: {error.strerror}", "Check the disk") from error

    def _signed(self) -> tuple[Note, Checkpoint]:
        try:
            raw = (self._root / SIGNED).read_bytes()[: NOTE_LIMIT + 1]
        except OSError as error:
            raise StoreError(
                f"cannot read {self._root / SIGNED}: {error.strerror}", "Make a log with `hsm-vault auditor init`"
            ) from error
        with naming(self._root / SIGNED):
            note, checkpoint = signed_checkpoint(raw, self._key, self._key.name)
        if root_of(checkpoint.size, tiles.reader(checkpoint.size, self.fetch)) != checkpoint.root:
            raise LogError("inclusion", "the log's tiles are not those of the checkpoint that it signed", _DAMAGED)
        return note, checkpoint

    def _bundle(self, number: int, width: int) -> list[bytes]:
        data = self.fetch(tiles.entries_path(number, width)) if width else b""
        if data is None:
            raise LogError("artifact", f"the log's {tiles.entries_path(number, width)} is missing", _DAMAGED)
        with naming(self.public / tiles.entries_path(number, width)):
            return tiles.unpack_entries(data, width)

    def _write_entries(self, size: int, entries: Sequence[bytes]) -> None:
        number, width = divmod(size, tiles.WIDTH)
        waiting = [*self._bundle(number, width), *entries]
        for first in range(0, len(waiting), tiles.WIDTH):
            part = waiting[first : first + tiles.WIDTH]
            self._write(tiles.entries_path(number, len(part)), tiles.pack_entries(part))
            number += 1

    def _write_hashes(self, level: int, size: int, hashes: Sequence[bytes]) -> None:
        """Add hashes to a level that has `size` of them, and the hash of each tile that fills to the level above."""
        number, width = divmod(size, tiles.WIDTH)
        held = self.fetch(tiles.tile_path(level, number, width)) if width else b""
        if held is None or len(held) != width * HASH:
            raise LogError("inclusion", f"the log's {tiles.tile_path(level, number, width)} is damaged", _DAMAGED)
        waiting, full = held + b"".join(hashes), list[bytes]()
        for first in range(0, len(waiting), tiles.WIDTH * HASH):
            tile = waiting[first : first + tiles.WIDTH * HASH]
            self._write(tiles.tile_path(level, number, len(tile) // HASH), tile)
            if len(tile) == tiles.WIDTH * HASH:
                full.append(tiles.subtree_root(tile))
            number += 1
        if full:
            self._write_hashes(level + 1, size // tiles.WIDTH, full)

    def _write(self, path: str, data: bytes) -> None:
        file = self.public / path
        make_directories(file.parent, self._root)
        replace_file(file, data)
