"""A site as a directory that is replaced in whole: new files, no stale ones, and never a half of either.

The site lists its files in `files.sha256`, as sha256sum does. So what stands in a directory and is not in its list was
put there by somebody else, and such a directory is not replaced. Nor is it removed where this program would have left
one of its own, beside the site.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping
from pathlib import Path

from hsm_app.durable import beside, make_directories, owning, replace_file, sync_directory
from hsm_app.errors import ConfigError, StoreError

LIST = "files.sha256"


def replace_site(site: Path, files: Mapping[str, bytes]) -> None:
    """Write a site's files, by path, to a new directory or in place of an older site of this program.

    ConfigError when something else is there; StoreError when it cannot be written: then the older site stays.
    """
    site = site.resolve()
    if not site.parent.is_dir():
        raise ConfigError(f"{site.parent} is no directory", "Make it first")
    with owning(site.parent):
        try:
            _replace(site, {LIST: _listed(files), **files})  # the list first: it tells whose a half is
        except OSError as error:
            raise StoreError(f"cannot write {site}: {error.strerror}", "Check free space and rights") from error


def _replace(site: Path, files: Mapping[str, bytes]) -> None:
    """Two renames, since none exchanges directories; a crash between them leaves `old`, which comes back first."""
    new, old = site.with_name(f".{site.name}.new"), site.with_name(f".{site.name}.old")
    if (old / LIST).is_file() and not old.is_symlink() and not site.exists():
        old.rename(site)
    for place in (site, new, old):
        _check_own(place)
    for left in (new, old):
        if left.exists():
            shutil.rmtree(left)
    try:
        new.mkdir()
        for path, content in files.items():
            make_directories((new / path).parent, new)
            replace_file(new / path, content)
        if site.exists():
            site.rename(old)
        new.rename(site)
        sync_directory(site.parent)
    except BaseException:
        if old.is_dir() and not site.exists():
            old.rename(site)
        shutil.rmtree(new, ignore_errors=True)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _check_own(site: Path) -> None:
    """ConfigError unless this program wrote all that is there, or a part of it before a crash."""
    if site.is_symlink() or (site.exists() and not site.is_dir()):
        raise ConfigError(f"{site} is no directory", "Choose another one, or move it away")
    if strange := sorted(_strangers(site)):
        raise ConfigError(
            f"{site} holds {strange[0]}, which no page of this program wrote", "Choose another directory, or empty it"
        )


def _strangers(site: Path) -> set[str]:
    """Return the files that no list names; of a directory that has no list, which may be large, what is at its top."""
    if not (site / LIST).is_file():
        return {path.name for path in site.iterdir()} - {beside(Path(LIST)).name} if site.exists() else set()
    own = {LIST, *(line[66:] for line in (site / LIST).read_text(errors="replace").splitlines())}
    there = {path.relative_to(site).as_posix() for path in site.rglob("*") if path.is_symlink() or not path.is_dir()}
    return there - own - {beside(Path(name)).as_posix() for name in own if Path(name).name}


def _listed(files: Mapping[str, bytes]) -> bytes:
    return "".join(f"{hashlib.sha256(files[path]).hexdigest()}  {path}\n" for path in sorted(files)).encode()
