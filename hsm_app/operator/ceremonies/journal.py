"""The transcript on disk, as it grows: a line is durable before what follows it happens.

The transcript is also the journal (VAULT-CEREMONY-DONE-ONCE). A step whose `done` is there is never played again; one
that was started and is not done was interrupted, and its deed looks at the token first. A line that a crash or a full
disk cut short is no line: it is taken away, so what is read back is always whole.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from hsm_app.ceremony.transcript import FIRST, Entry, EntryKind, encode_entry, line_hash, parse_transcript
from hsm_app.durable import sync_directory
from hsm_app.errors import ConfigError, StoreError

SLACK = 5  # seconds that a clock may be set back while a ceremony runs
BEGIN_ANEW = "Remove its directory, and run the ceremony"
ROOM = "Make room on the disk, then: hsm-vault ceremony resume"


class Journal:
    """A transcript that is open for writing. `clock` returns POSIX seconds."""

    def __init__(self, path: Path, clock: Callable[[], int], lines: bytes) -> None:
        self._path, self._clock = path, clock
        self._entries = list(parse_transcript(lines)) if lines else []
        self._previous = line_hash(lines.splitlines(keepends=True)[-1]) if lines else FIRST
        self._length = len(lines)
        self.interrupted = frozenset(self._started() - self._done().keys())  # before this run

    @classmethod
    def create(cls, path: Path, clock: Callable[[], int], begin: Mapping[str, Any]) -> Journal:
        """Begin a transcript. ConfigError when there is one already, StoreError when it cannot be written."""
        if path.exists():
            raise ConfigError(
                f"{path} is there already", "Go on with: hsm-vault ceremony resume; or choose a new directory"
            )
        journal = cls(path, clock, b"")
        journal.write(EntryKind.BEGIN, **begin)
        sync_directory(path.parent)
        return journal

    @classmethod
    def resume(cls, path: Path, clock: Callable[[], int]) -> Journal:
        """Open a transcript to go on with it. The caller owns its directory. Raises what `read` does."""
        journal = cls.read(path, clock)
        if path.stat().st_size != journal._length:
            os.truncate(path, journal._length)
        return journal

    @classmethod
    def read(cls, path: Path, clock: Callable[[], int]) -> Journal:
        """Read a transcript, which another process may be writing, and leave it as it is.

        ConfigError when there is none, LogError when it was changed.
        """
        try:
            raw = path.read_bytes()
        except OSError as error:
            raise ConfigError(f"cannot read {path}: {error.strerror}", "Name the directory of a ceremony") from error
        whole = raw[: raw.rfind(b"\n") + 1]
        if not whole:
            raise ConfigError(f"{path} has no whole line: nothing has happened yet", BEGIN_ANEW)
        return cls(path, clock, whole)

    @property
    def begin(self) -> Mapping[str, Any]:
        """What is played."""
        return self._entries[0].body

    @property
    def is_ended(self) -> bool:
        return self._entries[-1].kind is EntryKind.END

    @property
    def is_resumed(self) -> bool:
        """Whether the last thing that happened is that the ceremony went on."""
        return self._entries[-1].kind is EntryKind.RESUMED

    @property
    def first_time(self) -> int:
        """When the first line was written, POSIX seconds."""
        return self._entries[0].time

    @property
    def last_time(self) -> int:
        """When the last line was written, POSIX seconds."""
        return self._entries[-1].time

    def result(self, step: str) -> Mapping[str, Any] | None:
        """Return what a step that is done yielded, None when it is not done."""
        return self._done().get(step)

    def exceptions(self) -> list[Mapping[str, Any]]:
        return [entry.body for entry in self._entries if entry.kind is EntryKind.EXCEPTION]

    def write(self, kind: EntryKind, step: str = "", /, **body: Any) -> None:
        """Append a line, durably. StoreError leaves the transcript as it was; ConfigError when the clock went back."""
        entry = Entry(n=len(self._entries), time=self._now(), previous=self._previous, step=step, kind=kind, body=body)
        line = encode_entry(entry)
        try:
            self._append(line)
        except OSError as error:
            raise StoreError(f"cannot write {self._path}: {error.strerror}", ROOM) from error
        self._entries.append(entry)
        self._previous, self._length = line_hash(line), self._length + len(line)

    def _append(self, line: bytes) -> None:
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        try:
            written = os.write(descriptor, line)
            if written != len(line):
                written += os.write(descriptor, line[written:])  # what is left says why it did not fit
            os.fsync(descriptor)
        except OSError:
            os.ftruncate(descriptor, self._length)
            raise
        finally:
            os.close(descriptor)

    def _now(self) -> int:
        now, last = self._clock(), self._entries[-1].time if self._entries else 0
        if now < last - SLACK:
            raise ConfigError(
                "this machine's clock is behind the last line of the transcript",
                "Set the clock right, then: hsm-vault ceremony resume. If it is right, it was ahead before: go on when "
                "that time has come, or begin anew in another directory",
            )
        return max(now, last)

    def _started(self) -> set[str]:
        return {entry.step for entry in self._entries if entry.kind is EntryKind.STARTED}

    def _done(self) -> dict[str, Mapping[str, Any]]:
        return {entry.step: entry.body for entry in self._entries if entry.kind is EntryKind.DONE}
