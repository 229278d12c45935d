"""The record of the software that runs, software.json: its version and commit, and the SHA-256 of all its files.

`files_sha256` is the SHA-256 of the list of files as sha256sum writes it, a line `<hex>  <path>` each, sorted by bytes.
So who has the wheel, and no program of ours, computes it in a directory where the wheel was unpacked:

    find hsm_app -type f -exec sha256sum {} + | LC_ALL=C sort | sha256sum

The digests of a dependency are those of the archives that the lock file allows for its version: who fetches that
version compares what came with them. There are none when the lock does not have the version. The record says what a
machine said about itself; it proves as much as that machine's word.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from hsm_app.fleet.strict_json import Node, load_document

SCHEMA = "hsm-vault/software/v1"
LIMIT = 1 << 20  # bytes
MOST_FILES, MOST_DEPENDENCIES, MOST_ARCHIVES = 5000, 500, 500

VERSION = re.compile(r"[A-Za-z0-9.!+_-]{1,64}")
COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
NAME = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")  # normalized as in PEP 503
# No part that is "." or "..", and no character that sha256sum would escape.
PATH = re.compile(r"hsm_app(?:/(?!\.\.?(?:/|$))[ -.0-\[\]-~]+)+")
FILE_NAME = re.compile(r"[A-Za-z0-9._+-]{1,128}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Dependency:
    """An installed distribution, and the SHA-256 of each archive that the lock allows for its version."""

    name: str
    version: str
    sha256: tuple[bytes, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModuleFile:
    """The PKCS#11 module as a file: its name without the directory, and its SHA-256."""

    file: str
    sha256: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Software:
    """`files` are the package's, SHA-256 by path from the directory that holds it. None says that it is not known."""

    version: str
    commit: str | None
    wheel_sha256: bytes | None
    files: Mapping[str, bytes]
    dependencies: tuple[Dependency, ...]
    pkcs11_module: ModuleFile | None

    @property
    def files_sha256(self) -> bytes:
        return files_digest(self.files)


def files_digest(files: Mapping[str, bytes]) -> bytes:
    """Return the SHA-256 of sha256sum's list of the files, sorted by bytes."""
    lines = sorted(f"{digest.hex()}  {path}\n" for path, digest in files.items())
    return hashlib.sha256("".join(lines).encode()).digest()


def encode_software(software: Software) -> bytes:
    """Return the bytes of software.json. ConfigError when a value would be refused on reading."""
    module = software.pkcs11_module
    document = {
        "schema": SCHEMA,
        "version": software.version,
        "commit": software.commit,
        "wheel_sha256": None if software.wheel_sha256 is None else software.wheel_sha256.hex(),
        "files_sha256": software.files_sha256.hex(),
        "files": {path: software.files[path].hex() for path in sorted(software.files)},
        "dependencies": [
            {"name": one.name, "version": one.version, "sha256": [digest.hex() for digest in one.sha256]}
            for one in software.dependencies
        ],
        "pkcs11_module": None if module is None else {"file": module.file, "sha256": module.sha256.hex()},
    }
    raw = json.dumps(document, indent=1, ensure_ascii=True).encode() + b"\n"
    parse_software(raw)
    return raw


def parse_software(raw: bytes) -> Software:
    """Read software.json. ConfigError for anything but the record of one software, its digest included."""
    root = load_document(raw, "software.json", LIMIT)
    of = root.members(
        "schema", "version", "commit", "wheel_sha256", "files_sha256", "files", "dependencies", "pkcs11_module"
    )
    of("schema").one_of({SCHEMA: None})
    software = Software(
        version=of("version").text(VERSION),
        commit=of("commit").optional(lambda node: node.text(COMMIT)),
        wheel_sha256=of("wheel_sha256").optional(_sha256),
        files={path: _sha256(node) for path, node in of("files").named(PATH, 1, MOST_FILES)},
        dependencies=tuple(_dependency(node) for node in of("dependencies").items(0, MOST_DEPENDENCIES)),
        pkcs11_module=of("pkcs11_module").optional(_module),
    )
    names = [one.name for one in software.dependencies]
    if names != sorted(set(names)):
        of("dependencies").refuse("are not sorted by name, or one is there twice")
    if _sha256(of("files_sha256")) != software.files_sha256:
        of("files_sha256").refuse("is not the digest of the files that are listed")
    return software


def _sha256(node: Node) -> bytes:
    return node.hexadecimal(32)


def _dependency(node: Node) -> Dependency:
    of = node.members("name", "version", "sha256")
    archives = tuple(_sha256(one) for one in of("sha256").items(0, MOST_ARCHIVES))
    if list(archives) != sorted(set(archives)):
        of("sha256").refuse("is not sorted, or one is there twice")
    return Dependency(name=of("name").text(NAME), version=of("version").text(VERSION), sha256=archives)


def _module(node: Node) -> ModuleFile:
    of = node.members("file", "sha256")
    return ModuleFile(file=of("file").text(FILE_NAME), sha256=_sha256(of("sha256")))
