"""Measure the software that runs: every file of the package, the dependencies, and the PKCS#11 module.

Every file under `hsm_app` counts, whoever put it there, apart from Python's caches in `__pycache__`. Each dependency is
compared with its own RECORD, which its installer wrote; a dependency that is not as it was installed is an error, not
a line in the record.

Plainly: a program that measures itself tells the truth as long as nobody changed it. Python also runs what lies in
`__pycache__`, and what `*.pth` files and a `sitecustomize` name at its start; neither is measured. Who wants more than
the machine's word looks at its disk from another machine, with `directory`.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import os
import zlib
from collections.abc import Iterator, Mapping
from importlib.metadata import Distribution
from pathlib import Path
from zipfile import BadZipFile, ZipFile

from hsm_app.errors import ConfigError, LogError
from hsm_app.evidence.lock_file import Pin, parse_lock
from hsm_app.evidence.software import PATH, Dependency, ModuleFile, Software
from hsm_app.operator.installation import AGAIN, needed_distributions, read_installation, running_directory

LARGEST_WHEEL = 64 << 20  # bytes, unpacked
CACHE = "__pycache__"


def measure_software(
    directory: Path | None = None, *, wheel: Path | None = None, module: Path | None = None
) -> Software:
    """Return what runs; or, with `directory`, what was installed there, such as on another machine's disk.

    `wheel` is the file that it was installed from: its digest is taken over once its files were found to be those that
    are installed. `module` is the PKCS#11 module's file. ConfigError when a file cannot be read, or a dependency is
    not as it was installed; LogError when the wheel is another one. Only the look at a source tree runs a program, git.
    """
    here = read_installation(directory or running_directory())
    files = {path: _digest(here.directory / path) for path in _paths(here.directory)}
    needed = needed_distributions(here.requires, None if directory is None else [str(directory)])
    pins = parse_lock(here.lock)
    return Software(
        version=here.version,
        commit=here.commit,
        wheel_sha256=None if wheel is None else _wheel_digest(wheel, files),
        files=files,
        dependencies=tuple(_dependency(name, needed[name], pins) for name in sorted(needed)),
        pkcs11_module=None if module is None else ModuleFile(file=module.name, sha256=_digest(module)),
    )


def _paths(directory: Path) -> Iterator[str]:
    """Yield each file below `hsm_app`. A directory that is a link could hold code that nobody sees here: refused."""
    for at, directories, names in os.walk(directory / "hsm_app", onerror=_refuse):
        directories[:] = [name for name in directories if name != CACHE]
        for name in directories:
            if (Path(at) / name).is_symlink():
                raise ConfigError(f"{Path(at) / name} is a symbolic link to a directory", AGAIN)
        for path in ((Path(at) / name).relative_to(directory).as_posix() for name in names):
            if not PATH.fullmatch(path):
                raise ConfigError(
                    f"{directory} has the file {path!a}, which is no name of a file of this program", AGAIN
                )
            yield path


def _refuse(error: OSError) -> None:
    raise ConfigError(f"cannot read {error.filename}: {error.strerror}", "Check its rights") from error


def _digest(path: Path) -> bytes:
    if path.exists() and not path.is_file():
        raise ConfigError(f"{path} is no regular file", "Check the path")
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").digest()
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}", "Check the path and its rights") from error


def _dependency(name: str, one: Distribution, pins: Mapping[str, Pin]) -> Dependency:
    if altered := list(_altered(one)):
        rest = f" and {len(altered) - 3} more" if len(altered) > 3 else ""
        raise ConfigError(f"{name} is not as it was installed: {', '.join(altered[:3])}{rest}", f"Install {name} again")
    pin = pins.get(name)
    archives = pin.sha256 if pin is not None and pin.version == one.version else ()
    return Dependency(name=name, version=one.version, sha256=archives)


def _altered(one: Distribution) -> Iterator[str]:
    """Yield the files that are not those of the RECORD. Without a RECORD, as distributions of systems have it, none."""
    for name, said, *_ in csv.reader((one.read_text("RECORD") or "").splitlines()):
        kind, _, digest = said.partition("=")
        if kind != "sha256":  # none for the RECORD itself and for what the installer compiled
            continue
        place = Path(str(one.locate_file(name)))
        here = base64.urlsafe_b64encode(_digest(place)).rstrip(b"=").decode() if place.exists() else "missing"
        if here != digest:
            yield name


def wheel_files(wheel: Path) -> dict[str, bytes]:
    """Return the SHA-256 of each of the package's files in a wheel, by path. ConfigError when it is no wheel."""
    try:
        with ZipFile(wheel) as archive:
            members = [one for one in archive.infolist() if one.filename.startswith("hsm_app/") and not one.is_dir()]
            if sum(one.file_size for one in members) > LARGEST_WHEEL:
                raise ConfigError(
                    f"{wheel} is larger than any wheel of this program", "Check that it is the right file"
                )
            return {one.filename: hashlib.sha256(archive.read(one)).digest() for one in members}
    except OSError as error:
        raise ConfigError(f"cannot read {wheel}: {error.strerror}", "Check the path and its rights") from error
    except (BadZipFile, RuntimeError, ValueError, EOFError, zlib.error) as error:
        raise ConfigError(f"{wheel} is no wheel: {error}", "Give the .whl file") from error


def _wheel_digest(wheel: Path, files: Mapping[str, bytes]) -> bytes:
    """Return the SHA-256 of a wheel that holds exactly these files."""
    packed = wheel_files(wheel)
    if differing := sorted(path for path in packed.keys() | files.keys() if packed.get(path) != files.get(path)):
        raise LogError(
            "software", f"{wheel} is not what is installed: {differing[0]}", "Give the wheel that is installed"
        )
    return _digest(wheel)
