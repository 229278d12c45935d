"""What differs between two records of software, such as the one that runs and the one that was published.

Compared is what runs: the files of the package, its version, the dependencies, and the PKCS#11 module where both name
one. Commit and wheel are not: two commits, and two wheels, may hold the same files.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from hsm_app.evidence.software import Dependency, Software


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """`name` is a file's path, a dependency's name, "version" or "pkcs11_module"; `how` says what is with it here."""

    name: str
    how: str


def differences(here: Software, published: Software) -> tuple[Difference, ...]:
    """Return what is not here as it was published, the files first; empty when the same software runs."""
    return tuple(Difference(name=name, how=how) for name, how in _all(here, published))


def _all(here: Software, published: Software) -> Iterator[tuple[str, str]]:
    for path in sorted(here.files.keys() | published.files.keys()):
        if path not in here.files:
            yield path, "is missing"
        elif path not in published.files:
            yield path, "was not published"
        elif here.files[path] != published.files[path]:
            yield path, "has other content"
    if here.version != published.version:
        yield "version", f"is {here.version}; {published.version} was published"
    ours, theirs = ({one.name: one for one in software.dependencies} for software in (here, published))
    for name in sorted(ours.keys() | theirs.keys()):
        if how := _dependency(ours.get(name), theirs.get(name)):
            yield name, how
    yield from _module(here, published)


def _dependency(ours: Dependency | None, theirs: Dependency | None) -> str | None:
    if ours is None:
        return "is not installed"
    if theirs is None:
        return "was not published as a dependency"
    if ours.version != theirs.version:
        return f"is {ours.version}; {theirs.version} was published"
    # A version that is in no lock says nothing about its archives.
    if ours.sha256 and theirs.sha256 and ours.sha256 != theirs.sha256:
        return "is locked to other archives"
    return None


def _module(here: Software, published: Software) -> Iterator[tuple[str, str]]:
    ours, theirs = here.pkcs11_module, published.pkcs11_module
    if ours is None:  # nobody said which module to look at
        return
    if theirs is None:
        yield "pkcs11_module", "was not published"
    elif ours.sha256 != theirs.sha256:
        yield "pkcs11_module", f"is another file than the {theirs.file} that was published"
