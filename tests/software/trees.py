"""Copies of the sources as others would have them, and the wheel that their own script makes of them."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
BUILT_FROM = ("LICENSE", "README.md", "hsm_app", "pyproject.toml", "requirements.lock")
NEEDED = (*BUILT_FROM, "requirements-dev.lock", "scripts/wheel")
WHO = ("-c", "user.name=Nobody", "-c", "user.email=nobody@example.org", "-c", "commit.gpgsign=false")


def git(tree: Path, *words: str) -> str:
    """Return what git says; it sees this tree only, also when a hook of another one runs the tests."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    done = subprocess.run(["git", *WHO, *words], cwd=tree, env=environment, check=True, capture_output=True, text=True)
    return done.stdout


def copied(to: Path) -> Path:
    """Copy the files that git tracks, with what is not committed yet."""
    for name in git(ROOT, "ls-files", "-z", "--", *NEEDED).split("\0"):
        if name and (ROOT / name).is_file():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, to / name)
    return to


def committed(tree: Path) -> str:
    """Make a repository of a tree, with one commit, and return the commit."""
    git(tree, "init", "--quiet")
    git(tree, "add", ".")
    git(tree, "commit", "--quiet", "--message", "all")
    return git(tree, "rev-parse", "HEAD").strip()


def build(tree: Path, umask: int = 0o022, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the tree's own script; `environment` is all that it gets, apart from where programs are."""
    return subprocess.run(
        [sys.executable, "scripts/wheel"],
        cwd=tree,
        env={"PATH": os.environ["PATH"], **environment},
        umask=umask,
        capture_output=True,
        text=True,
    )


def wheel_of(done: subprocess.CompletedProcess[str]) -> Path:
    """Return the wheel that was built, once it is what the script said."""
    assert done.returncode == 0, done.stderr
    digest, path = done.stdout.rstrip("\n").split("  ", 1)
    assert hashlib.sha256(Path(path).read_bytes()).hexdigest() == digest
    return Path(path)
