"""A disk of its own for each replica's store, which can be filled up or held still.

With the rights to mount, each is a small ext4 image on a loop device: *full* is a file that takes all free blocks, and
*slow* is `fsfreeze`, under which every write and fsync waits inside the kernel, in bursts. A write-ahead log that is
written over from its beginning needs no block for a while; so whoever survives a full disk is held by `limit` as well.
Without those rights, full is `limit` alone, and slow is SIGSTOP in bursts, which holds the whole process and not only
its disk.
"""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
from pathlib import Path

MEGABYTES = 32
LIMIT = 256 << 10  # bytes: a write-ahead log passes it within seconds, the program's own log has to stay below


def may_mount() -> bool:
    """Return whether this process may mount images on loop devices."""
    return os.geteuid() == 0 and all(shutil.which(tool) for tool in ("mkfs.ext4", "mount", "umount", "fsfreeze"))


def limit(pid: int) -> None:
    """Make a process's writes beyond `LIMIT` of any file fail with EFBIG, by RLIMIT_FSIZE, until it ends."""
    _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (LIMIT, hard))


def lift(pid: int) -> None:
    """Take the limit away again."""
    _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (hard, hard))


class ImageDisk:
    """An ext4 image, mounted at `path`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._image = path.with_suffix(".img")
        self._filler = path / "filler"
        self._is_frozen = False
        path.mkdir()
        with self._image.open("wb") as file:
            file.truncate(MEGABYTES << 20)
        _run("mkfs.ext4", "-q", "-m", "0", str(self._image))
        _run("mount", "-o", "loop", str(self._image), str(path))

    def fill(self, _pid: int) -> None:
        """Leave no free block."""
        with self._filler.open("wb", buffering=0) as file:
            block = bytes(1 << 20)
            while block:
                try:
                    file.write(block)
                except OSError:
                    block = block[: len(block) // 2]

    def make_room(self) -> None:
        self._filler.unlink(missing_ok=True)

    def hold(self, _pid: int) -> None:
        _run("fsfreeze", "--freeze", str(self.path))
        self._is_frozen = True

    def let_go(self, _pid: int) -> None:
        if self._is_frozen:
            _run("fsfreeze", "--unfreeze", str(self.path))
            self._is_frozen = False

    def close(self) -> None:
        """Unmount; the image is left to whoever made the directory."""
        self.let_go(0)
        _run("umount", str(self.path))


class ProcessDisk:
    """The same faults without rights: by limits and signals of the process that writes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir()

    def fill(self, pid: int) -> None:
        limit(pid)

    def make_room(self) -> None:
        """Nothing: the limit ends with its process, or `lift` takes it away."""

    def hold(self, pid: int) -> None:
        os.kill(pid, signal.SIGSTOP)

    def let_go(self, pid: int) -> None:
        os.kill(pid, signal.SIGCONT)

    def close(self) -> None:
        """Nothing to undo."""


Disk = ImageDisk | ProcessDisk


def make_disk(path: Path) -> Disk:
    return ImageDisk(path) if may_mount() else ProcessDisk(path)


def _run(*words: str) -> None:
    subprocess.run(words, check=True, capture_output=True)
