"""software.json: read strictly, written in a form that sha256sum checks, compared with another one."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hsm_app.errors import ConfigError
from hsm_app.evidence.lock_file import Pin, parse_lock
from hsm_app.evidence.software import Software, encode_software, files_digest, parse_software
from hsm_app.evidence.software_comparison import Difference, differences
from tests.evidence.example_software import CLICK, FILES, MODULE, PYJWT, SOFTWARE, digest

Change = Callable[[dict[str, Any]], object]


def test_it_is_read_as_it_was_written() -> None:
    unknown = replace(SOFTWARE, commit=None, wheel_sha256=None, pkcs11_module=None, dependencies=())
    for software in (SOFTWARE, unknown):
        assert parse_software(encode_software(software)) == software


def test_it_can_be_written_in_one_way_only() -> None:
    backwards = replace(SOFTWARE, files=dict(reversed(FILES.items())))
    assert encode_software(backwards) == encode_software(SOFTWARE)


def test_sha256sum_has_the_same_digest_and_checks_the_list(tmp_path: Path) -> None:
    contents = {"hsm_app/b.py": b"1", "hsm_app/a.py": b"2", "hsm_app/web/c.js": b"3", "hsm_app/B.py": b"4"}
    for path, content in contents.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(content)
    files = {path: hashlib.sha256(content).digest() for path, content in contents.items()}
    listed = "find hsm_app -type f -exec sha256sum {} + | LC_ALL=C sort | tee list | sha256sum && sha256sum -c list"
    said = subprocess.run(["sh", "-c", listed], cwd=tmp_path, check=True, capture_output=True, text=True).stdout
    assert said.split()[0] == files_digest(files).hex()
    assert said.count(": OK") == len(contents)


def setting(**values: object) -> Change:
    return lambda said: said.update(values)


def with_files(files: dict[str, bytes]) -> Change:
    listed = {path: value.hex() for path, value in files.items()}
    return setting(files=listed, files_sha256=files_digest(files).hex())


def with_path(path: str) -> Change:
    return with_files({**FILES, path: digest("other")})


def with_dependencies(*dependencies: dict[str, object]) -> Change:
    return setting(dependencies=list(dependencies))


def a_dependency(**values: object) -> dict[str, object]:
    return {"name": "click", "version": "8.1.7", "sha256": [], **values}


REFUSED: dict[str, tuple[str, Change]] = {
    "another schema": ("schema", setting(schema="hsm-vault/software/v2")),
    "a member more": ("unknown member", setting(signed=True)),
    "a member less": ("lacks", lambda said: said.pop("commit")),
    "a version with a space": ("version", setting(version="0.1 0")),
    "a branch for a commit": ("commit", setting(commit="main")),
    "a commit that is cut short": ("commit", setting(commit="12" * 19)),
    "a digest in capitals": ("wheel_sha256", setting(wheel_sha256="AB" * 32)),
    "a digest that is cut short": ("wheel_sha256", setting(wheel_sha256="ab" * 31)),
    "no file": ("files", with_files({})),
    "files as a list": ("files", setting(files=[])),
    "a file's digest that is none": ("files", setting(files={"hsm_app/a.py": None})),
    "a file that the digest does not cover": (
        "files_sha256",
        lambda said: said["files"].update({"hsm_app/a.py": "00" * 32}),
    ),
    "another digest over the files": ("files_sha256", setting(files_sha256="00" * 32)),
    "a file outside of the package": ("files", with_path("sitecustomize.py")),
    "a file above the package": ("files", with_path("hsm_app/../sitecustomize.py")),
    "a path with a part that says nothing": ("files", with_path("hsm_app/./model.py")),
    "a path from the root": ("files", with_path("/hsm_app/model.py")),
    "a path with an empty part": ("files", with_path("hsm_app//model.py")),
    "a directory": ("files", with_path("hsm_app/fleet/")),
    "a line break in a path, two lines of a list": ("files", with_path("hsm_app/a\nb.py")),
    "a backslash in a path, which sha256sum escapes": ("files", with_path("hsm_app/a\\b.py")),
    "a letter that is not ASCII in a path": ("files", with_path("hsm_app/é.py")),
    "dependencies that are not sorted": (
        "dependencies",
        with_dependencies(a_dependency(name="pyjwt"), a_dependency(name="click")),
    ),
    "a dependency twice": ("dependencies", with_dependencies(a_dependency(), a_dependency(version="8.2"))),
    "a dependency by another of its names": ("name", with_dependencies(a_dependency(name="PyJWT"))),
    "a dependency without a version": ("version", with_dependencies(a_dependency(version=""))),
    "an archive twice": ("sha256", with_dependencies(a_dependency(sha256=["ab" * 32, "ab" * 32]))),
    "archives that are not sorted": ("sha256", with_dependencies(a_dependency(sha256=["cd" * 32, "ab" * 32]))),
    "an archive with another hash": ("sha256", with_dependencies(a_dependency(sha256=["ab" * 48]))),
    "a module's path": ("file", setting(pkcs11_module={"file": "/usr/lib/x.so", "sha256": "ab" * 32})),
    "a module without a digest": ("sha256", setting(pkcs11_module={"file": "x.so", "sha256": None})),
}


@pytest.mark.parametrize(("place", "change"), REFUSED.values(), ids=REFUSED.keys())
def test_a_record_is_refused_with(place: str, change: Change) -> None:
    said = json.loads(encode_software(SOFTWARE))
    change(said)
    with pytest.raises(ConfigError, match=place):
        parse_software(json.dumps(said).encode())


@pytest.mark.parametrize("raw", [b"", b"[]", b"{}", b"null", b"\xff", b'{"schema":1,"schema":1}', b"[" * 100_000])
def test_what_is_no_record_is_refused(raw: bytes) -> None:
    with pytest.raises(ConfigError):
        parse_software(raw)


def test_no_record_is_written_that_would_be_refused() -> None:
    with pytest.raises(ConfigError, match="version"):
        encode_software(replace(SOFTWARE, version="not a version"))


OTHER = digest("another one")
DIFFERENT: dict[str, tuple[Software, tuple[Difference, ...]]] = {
    "a file has other content": (
        replace(SOFTWARE, files={**FILES, "hsm_app/model.py": OTHER}),
        (Difference(name="hsm_app/model.py", how="has other content"),),
    ),
    "a file more": (
        replace(SOFTWARE, files={**FILES, "hsm_app/spy.py": OTHER}),
        (Difference(name="hsm_app/spy.py", how="was not published"),),
    ),
    "a file less": (
        replace(SOFTWARE, files={path: FILES[path] for path in FILES if path != "hsm_app/model.py"}),
        (Difference(name="hsm_app/model.py", how="is missing"),),
    ),
    "two files changed places": (
        replace(
            SOFTWARE,
            files={
                **FILES,
                "hsm_app/model.py": FILES["hsm_app/__init__.py"],
                "hsm_app/__init__.py": FILES["hsm_app/model.py"],
            },
        ),
        (
            Difference(name="hsm_app/__init__.py", how="has other content"),
            Difference(name="hsm_app/model.py", how="has other content"),
        ),
    ),
    "another version": (
        replace(SOFTWARE, version="0.2.0"),
        (Difference(name="version", how="is 0.2.0; 0.1.0 was published"),),
    ),
    "a dependency of another version": (
        replace(SOFTWARE, dependencies=(CLICK, replace(PYJWT, version="2.9"))),
        (Difference(name="pyjwt", how="is 2.9; 2.10 was published"),),
    ),
    "a dependency less": (
        replace(SOFTWARE, dependencies=(CLICK,)),
        (Difference(name="pyjwt", how="is not installed"),),
    ),
    "a dependency more": (
        replace(SOFTWARE, dependencies=(replace(CLICK, name="cffi"), CLICK, PYJWT)),
        (Difference(name="cffi", how="was not published as a dependency"),),
    ),
    "a dependency that is locked to other archives": (
        replace(SOFTWARE, dependencies=(replace(CLICK, sha256=(OTHER,)), PYJWT)),
        (Difference(name="click", how="is locked to other archives"),),
    ),
    "another PKCS#11 module": (
        replace(SOFTWARE, pkcs11_module=replace(MODULE, sha256=OTHER)),
        (Difference(name="pkcs11_module", how="is another file than the libsofthsm2.so that was published"),),
    ),
}
SAME = {
    "another commit with the same files": replace(SOFTWARE, commit="34" * 20),
    "no commit": replace(SOFTWARE, commit=None),
    "another wheel with the same files": replace(SOFTWARE, wheel_sha256=OTHER),
    "a dependency that is in no lock": replace(SOFTWARE, dependencies=(replace(CLICK, sha256=()), PYJWT)),
    "the module under another name": replace(SOFTWARE, pkcs11_module=replace(MODULE, file="libsofthsm2-2.6.so")),
    "nobody said which module to look at": replace(SOFTWARE, pkcs11_module=None),
}


@pytest.mark.parametrize(("here", "expected"), DIFFERENT.values(), ids=DIFFERENT.keys())
def test_it_is_named_when_there_is(here: Software, expected: tuple[Difference, ...]) -> None:
    assert differences(here, SOFTWARE) == expected


@pytest.mark.parametrize("here", SAME.values(), ids=SAME.keys())
def test_the_same_software_runs_with(here: Software) -> None:
    assert differences(here, SOFTWARE) == ()


def test_a_module_that_nobody_published_is_named() -> None:
    (found,) = differences(SOFTWARE, replace(SOFTWARE, pkcs11_module=None))
    assert found == Difference(name="pkcs11_module", how="was not published")


A, B = "ab" * 32, "cd" * 32
LOCK = f"""#
# This file is autogenerated
#
click==8.1.7 \\
    --hash=sha256:{B} \\
    --hash=sha256:{A}

# The following packages are considered to be unsafe
python-pkcs11==0.10.1 \\
    --hash=sha256:{A}
"""


def test_a_lock_is_read() -> None:
    a, b = bytes.fromhex(A), bytes.fromhex(B)
    assert parse_lock(LOCK) == {
        "click": Pin(version="8.1.7", sha256=(a, b)),
        "python-pkcs11": Pin(version="0.10.1", sha256=(a,)),
    }
    assert parse_lock("") == {}


@pytest.mark.parametrize(
    "line",
    [
        "click==8.1.7",
        f"click>=8.1.7 --hash=sha256:{A}",
        f"click==8.1.7 --hash=sha1:{A}",
        f"click==8.1.7 --hash=sha256:{A}00",
        f"click==8.1.7 ; python_version < '3.12' --hash=sha256:{A}",
        f"click @ https://example.org/click.whl --hash=sha256:{A}",
        f"Click==8.1.7 --hash=sha256:{A}",
        f"-e . --hash=sha256:{A}",
        "--index-url https://example.org",
        f"python-pkcs11==1.0 --hash=sha256:{A}",
    ],
)
def test_a_lock_is_refused_with(line: str) -> None:
    with pytest.raises(ConfigError, match="lock file"):
        parse_lock(f"{LOCK}{line}\n")
