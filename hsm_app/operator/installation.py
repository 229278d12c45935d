"""Where this program lies, what it says of itself, and which distributions it needs.

It is installed from its wheel, whose metadata holds version, commit and lock file; or it is a source tree (a checkout,
or an archive of one), and they are in the tree's own files and in git. A commit that is not exactly what lies in the
tree, since something is changed or new there, is not told.

A requirement counts when the distribution is there: markers of the environment (`; sys_platform == ...`) are not
computed, so that a distribution which only another system needs counts too if it is installed. Of the extras,
`postgres` counts, which the program uses when it is there; `dev` does not.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import Distribution, distributions
from pathlib import Path

from hsm_app.errors import ConfigError

PROJECT = "hsm-vault"
EXTRAS = frozenset({"postgres"})
AGAIN = "Install this program again"
_MEASURED = ("hsm_app", "pyproject.toml", "requirements.lock")
_REQUIREMENT = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)\s*(?:\[([^\]]*)\])?[^;]*(?:;(.*))?", re.DOTALL)
_EXTRA = re.compile(r"""\bextra\s*==\s*["']([^"']+)["']""")


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """`directory` holds `hsm_app`; `lock` is the lock file's text, empty when there is none."""

    directory: Path
    version: str
    commit: str | None
    lock: str
    requires: tuple[str, ...]


def running_directory() -> Path:
    """Return the directory that holds the `hsm_app` that runs."""
    return Path(__file__).parents[2]


def read_installation(directory: Path) -> Installation:
    """Look at what lies in a directory. ConfigError when that is no installation, or no whole one."""
    if not (directory / "hsm_app").is_dir():
        raise ConfigError(f"{directory} holds no hsm_app", "Name the directory that it was installed into")
    try:
        if (directory / "pyproject.toml").is_file():
            return _source_tree(directory)
        return _from_wheel(directory)
    except OSError as error:
        raise ConfigError(f"cannot read {error.filename}: {error.strerror}", "Check its rights") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"what {directory} says of itself is no text: {error}", AGAIN) from error


def _from_wheel(directory: Path) -> Installation:
    found = next(iter(distributions(name=PROJECT, path=[str(directory)])), None)
    if found is None or found.read_text("METADATA") is None:
        raise ConfigError(f"{directory} holds hsm_app without its metadata, hsm_vault-*.dist-info", AGAIN)
    commit = found.read_text("source-commit")
    return Installation(
        directory=directory,
        version=found.version,
        commit=commit.strip() if commit else None,
        lock=found.read_text("requirements.lock") or "",
        requires=tuple(found.requires or ()),
    )


def _source_tree(directory: Path) -> Installation:
    try:
        project = tomllib.loads((directory / "pyproject.toml").read_text())["project"]
        version, dependencies, extras = project["version"], project["dependencies"], project["optional-dependencies"]
        optional = [f'{one}; extra == "{extra}"' for extra, names in extras.items() for one in names]
    except (tomllib.TOMLDecodeError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(
            f"{directory / 'pyproject.toml'} does not read: {error}", "Check out the source anew"
        ) from error
    return Installation(
        directory=directory,
        version=version,
        commit=_commit(directory),
        lock=(directory / "requirements.lock").read_text(),
        requires=(*dependencies, *optional),
    )


def _commit(directory: Path) -> str | None:
    """Return the commit that the tree is, exactly. Without git, or for a part of a larger tree, it is not known."""
    if not (directory / ".git").exists() or _git(directory, "status", "--porcelain", "--", *_MEASURED) != "":
        return None
    return _git(directory, "rev-parse", "HEAD")


def _git(directory: Path, *words: str) -> str | None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    command = ["git", "-c", "core.fsmonitor=false", *words]  # the files are asked, not what a daemon noticed of them
    try:
        done = subprocess.run(command, cwd=directory, env=environment, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def needed_distributions(requires: Iterable[str], path: Sequence[str] | None = None) -> Mapping[str, Distribution]:
    """Return what the requirements need of what is installed along `path` (else Python's own), by normalized name."""
    found: dict[str, Distribution] = {}
    waiting, seen = [(one, EXTRAS) for one in requires], set()
    while waiting:
        requirement, asked = waiting.pop()
        if (requirement, asked) in seen:
            continue
        seen.add((requirement, asked))
        name, extras, only_for = _read(requirement)
        if only_for and not only_for & asked:
            continue
        one = next(iter(distributions(name=name, path=list(sys.path if path is None else path))), None)
        if one is not None:
            found[name] = one
            waiting += [(each, extras) for each in one.requires or ()]
    return found


def _read(requirement: str) -> tuple[str, frozenset[str], frozenset[str]]:
    """Return the normalized name, the extras asked for, and those that the requirement is only for."""
    read = _REQUIREMENT.fullmatch(requirement)
    if read is None:
        raise ConfigError(f"the requirement {requirement[:80]!a} does not read", AGAIN)
    extras = frozenset(extra.strip() for extra in (read[2] or "").split(",") if extra.strip())
    return re.sub(r"[-_.]+", "-", read[1]).lower(), extras, frozenset(_EXTRA.findall(read[3] or ""))
