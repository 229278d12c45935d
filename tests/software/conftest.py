"""One wheel for all tests here, built as a release is: from a repository, of its last commit."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.software.trees import build, committed, copied, wheel_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    tree: Path
    commit: str
    done: subprocess.CompletedProcess[str]

    @property
    def wheel(self) -> Path:
        return wheel_of(self.done)


@pytest.fixture(scope="session")
def release(tmp_path_factory: pytest.TempPathFactory) -> Release:
    """The repository has a change that is not committed, and a file that git does not know."""
    tree = copied(tmp_path_factory.mktemp("release"))
    commit = committed(tree)
    with (tree / "hsm_app" / "model.py").open("a") as module:
        module.write("\nUNCOMMITTED = True\n")
    (tree / "hsm_app" / "pages" / "web" / "log" / "notes.js").write_text("// mine")
    return Release(tree=tree, commit=commit, done=build(tree))
