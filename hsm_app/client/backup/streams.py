"""What pyrage reads from and writes to. It turns an exception of these into text, so they keep it for the caller."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import BinaryIO

Progress = Callable[[int], None]  # called with the number of bytes done since the last call


def silent(_done: int) -> None:
    """Show nothing."""


class Source:
    """A stream of pieces, read in whatever sizes the reader likes."""

    def __init__(self, pieces: Iterator[bytes], progress: Progress) -> None:
        self._pieces = pieces
        self._rest = memoryview(b"")
        self._progress = progress
        self.error: BaseException | None = None

    def read(self, size: int) -> bytes:
        try:
            if not self._rest:
                self._rest = memoryview(next(filter(None, self._pieces), b""))  # an empty piece is not the end
            data, self._rest = bytes(self._rest[:size]), self._rest[size:]
            self._progress(len(data))
        except BaseException as error:
            self.error = error
            raise
        return data


class Sink:
    """A file that is written."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.error: BaseException | None = None

    def write(self, data: bytes) -> int:
        try:
            return self._file.write(data)
        except BaseException as error:
            self.error = error
            raise

    def flush(self) -> None:
        self._file.flush()


def pieces_of(file: BinaryIO, size: int) -> Iterator[bytes]:
    """Yield a file's contents, `size` bytes at a time."""
    while data := file.read(size):
        yield data
