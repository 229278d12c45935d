"""Restore a backup: age file -> tar stream -> a new directory.

Everything is written into a directory beside the target that only its owner can enter. It gets the target's name after
the last byte was authenticated (age's STREAM marks its last chunk), checked, written and synchronised; any error or
interruption before removes it, and a crash leaves it under its unfinished name.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import pyrage

from hsm_app.client.backup.extract import Extraction
from hsm_app.client.backup.identity import identity
from hsm_app.client.backup.streams import Progress, Sink, Source, pieces_of, silent
from hsm_app.client.backup.target import PART, check_new, part_prefix, publish, unwritable
from hsm_app.errors import BackupError

CHUNK = 1 << 16  # bytes moved at once


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """A directory that was restored: `files` in it, directories and links not counted, and their `size` in bytes."""

    path: Path
    files: int
    size: int


def restore_backup(source: Path, target: Path, key: bytes, progress: Progress = silent) -> Restored:
    """Decrypt the age file `source` with K (32 bytes) into the new directory `target`.

    BackupError when the key is another one, the file is damaged or cut short, an entry would leave the target, the
    target exists, or the disk is full; then nothing of the target is there. `progress` gets bytes of the age file.
    """
    opener = identity(key)
    check_new(target)
    try:
        with source.open("rb") as file:
            return _restore(_Decryption(source, file, opener, progress), target)
    except OSError as error:
        raise BackupError(f"cannot read {source}: {error.strerror}", "Check the path and its rights") from error


def _restore(decryption: _Decryption, target: Path) -> Restored:
    try:
        part = tempfile.mkdtemp(prefix=part_prefix(target), suffix=PART, dir=target.parent)
        try:
            extraction = Extraction(part)
            decryption.feed(extraction)
            os.sync()
            publish(part, target)
        except BaseException:
            shutil.rmtree(part, ignore_errors=True)
            raise
    except OSError as error:
        raise unwritable(target, error) from error
    return Restored(path=target, files=extraction.files, size=extraction.size)


class _Decryption:
    """Decrypts on a thread of its own into a pipe, since pyrage pushes and tarfile pulls."""

    def __init__(self, path: Path, file: BinaryIO, opener: pyrage.x25519.Identity, progress: Progress) -> None:
        self._path = path
        self._source = Source(pieces_of(file, CHUNK), progress)
        self._opener = opener
        self._error: BaseException | None = None
        self._whole = False  # set when the last byte was authenticated and handed over

    def feed(self, extraction: Extraction) -> None:
        """Extract everything. The decryption's error comes before the extraction's, which it usually causes."""
        read_end, write_end = os.pipe()
        thread = threading.Thread(target=self._decrypt, args=(write_end,), name="decryption")
        thread.start()
        try:
            with os.fdopen(read_end, "rb") as stream:
                extraction.run(stream)
                while stream.read(CHUNK):  # behind tar's end: age says only at its own end that nothing was cut off
                    pass
        except BackupError:
            thread.join()
            self._raise_cause()
            raise
        finally:  # the reading end is closed by now, so a thread that still writes gets BrokenPipeError
            thread.join()
        self._raise_cause()
        if not self._whole:
            raise self._damaged()

    def _decrypt(self, write_end: int) -> None:
        try:
            with os.fdopen(write_end, "wb") as pipe:
                sink = Sink(pipe)
                try:
                    pyrage.decrypt_io(self._source, sink, [self._opener])
                    pipe.flush()
                    self._whole = True
                except (pyrage.DecryptError, OSError) as error:
                    self._error = sink.error or self._source.error or self._explained(error)
        except BrokenPipeError as error:
            self._error = self._error or error

    def _raise_cause(self) -> None:
        if self._error is not None and not isinstance(self._error, BrokenPipeError):
            raise self._error

    def _explained(self, error: Exception) -> BackupError:
        if "No matching keys" in str(error):
            return BackupError(f"this key does not open {self._path}", "Recover or import the key it was made with")
        if isinstance(error, pyrage.DecryptError):
            return BackupError(f"{self._path} is no age file, or its beginning is damaged", "Get the file again")
        return self._damaged()

    def _damaged(self) -> BackupError:
        return BackupError(f"{self._path} is damaged or cut short", "Get the file again; nothing was restored")
