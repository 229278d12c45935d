"""Write the entries of a tar stream below an empty directory, and nothing outside of it.

Refused, whoever made the tar: absolute names, `..`, links that may lead out, hard links, devices, pipes, a name used
twice. Symbolic links are made last, when everything else is written, so nothing is ever written through one, and a
link's own directory is a real one (`contents.leads_out` needs that). Kept are contents, times in whole seconds and
permissions, without set-id and sticky bits and without writing by others (as `tarfile`'s data filter).
"""

from __future__ import annotations

import os
import shutil
import tarfile
from typing import BinaryIO, NoReturn

from hsm_app.client.backup.contents import leads_out, printable
from hsm_app.errors import BackupError

CHUNK = 1 << 18  # bytes written at once
FILE_MODE, DIRECTORY_MODE = 0o600, 0o700  # always there for the owner, and all there is while being written


class _Archive(tarfile.TarFile):
    members: list[tarfile.TarInfo]  # every member read so far; typeshed does not list it


class Extraction:
    """One extraction below `root`, an empty directory of the caller's that nobody else can enter."""

    def __init__(self, root: str) -> None:
        self._root = os.path.realpath(root)
        self._links: list[tuple[str, str]] = []  # path and target
        self._directories: list[tuple[str, tarfile.TarInfo]] = []
        self.files = 0
        self.size = 0

    def run(self, stream: BinaryIO) -> None:
        """Extract all of `stream`. BackupError for what is refused; OSError when the disk cannot take it."""
        try:
            with _Archive.open(fileobj=stream, mode="r|") as archive:
                while (member := archive.next()) is not None:
                    self._extract(archive, member)
                    archive.members.clear()  # or memory grows with their number
        except (tarfile.TarError, ValueError, OverflowError) as error:
            raise BackupError(
                "the backup holds no well-formed tar", "Open it with age and look at it by hand"
            ) from error
        self._make_links()
        for path, member in reversed(self._directories):  # children first: writing in a directory sets its time
            os.chmod(path, member.mode & 0o755 | DIRECTORY_MODE)
            os.utime(path, (member.mtime, member.mtime))

    def _extract(self, archive: tarfile.TarFile, member: tarfile.TarInfo) -> None:
        path = self._path(member.name)
        if member.isdir():
            os.makedirs(path, DIRECTORY_MODE, exist_ok=True)
            self._directories.append((path, member))
            return
        os.makedirs(os.path.dirname(path), DIRECTORY_MODE, exist_ok=True)
        if member.isreg():
            self._file(archive, member, path)
        elif member.issym():
            if leads_out(os.path.relpath(path, self._root), member.linkname):
                _refuse(member.name, "is a symbolic link that may lead out of the backup")
            self._links.append((path, member.linkname))
        else:
            _refuse(member.name, "is neither a file, a directory nor a symbolic link")

    def _path(self, name: str) -> str:
        parts = [part for part in name.split("/") if part not in ("", ".")]
        if name.startswith("/") or ".." in parts or "\0" in name:
            _refuse(name, "would be written outside of the target")
        return os.path.join(self._root, *parts)

    def _file(self, archive: tarfile.TarFile, member: tarfile.TarInfo, path: str) -> None:
        contents = archive.extractfile(member)
        if contents is None:
            _refuse(member.name, "has no contents")
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, FILE_MODE)
        except FileExistsError:
            _refuse(member.name, "is there twice")
        with os.fdopen(descriptor, "wb") as file:
            shutil.copyfileobj(contents, file, CHUNK)
            file.flush()
            os.fchmod(descriptor, member.mode & 0o755 | FILE_MODE)
            os.utime(descriptor, (member.mtime, member.mtime))
        self.files += 1
        self.size += member.size

    def _make_links(self) -> None:
        for path, target in self._links:
            try:
                os.symlink(target, path)
            except FileExistsError:
                _refuse(os.path.relpath(path, self._root), "is there twice")


def _refuse(name: str, why: str) -> NoReturn:
    raise BackupError(
        f"the backup's entry {printable(name)} {why}", "It was not made by this program; restore nothing from it"
    )
