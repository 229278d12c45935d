"""Directories for backup tests, and a comparison that sees everything a backup promises to keep."""

from __future__ import annotations

import os
import stat
from pathlib import Path


def plant(root: Path) -> Path:
    """Make a directory with every kind of thing that a backup keeps."""
    (root / "deep" / "er").mkdir(parents=True)
    (root / "empty").mkdir(mode=0o700)
    (root / "letter.txt").write_text("dear me\n")
    (root / "void").write_bytes(b"")
    (root / "deep" / "er" / "block").write_bytes(os.urandom(512))
    (root / "deep" / "er" / "large").write_bytes(os.urandom(700_001))
    (root / "deep" / ("long-" * 40)).write_bytes(b"name of two hundred bytes")
    (root / "ünïcode ☂").write_text("umbrella")
    Path(os.fsdecode(os.fsencode(root) + b"/raw-\xff\xfe")).write_bytes(b"name that is no text")
    (root / "run").write_text("#!/bin/sh\n")
    (root / "run").chmod(0o750)
    (root / "link").symlink_to("deep/er/large")
    (root / "deep" / "up").symlink_to("../letter.txt")
    (root / "dangling").symlink_to("nowhere")
    (root / "empty").chmod(0o500)
    for number, path in enumerate(sorted(root.rglob("*"), reverse=True)):
        os.utime(path, (1_700_000_000 + number, 1_700_000_000 + number), follow_symlinks=False)
    return root


def snapshot(root: Path) -> dict[str, tuple[object, ...]]:
    """Return each name with kind, permissions, time and contents; times of links are not promised."""
    found: dict[str, tuple[object, ...]] = {}
    for path in sorted(root.rglob("*")):
        name, status = str(path.relative_to(root)), path.lstat()
        if path.is_symlink():
            found[name] = ("link", os.readlink(path))
        elif path.is_dir():
            found[name] = ("directory", stat.S_IMODE(status.st_mode) | 0o700, int(status.st_mtime))
        else:
            found[name] = ("file", stat.S_IMODE(status.st_mode), int(status.st_mtime), path.read_bytes())
    return found
