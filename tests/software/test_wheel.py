"""The wheel: the same bytes for everyone who builds the same commit, and other bytes for any other source.

Covered: another place, day, umask, file modes, locale, time zone and user's settings; a checkout and an unpacked
archive. Not covered: another operating system, another Python (the archive is written so that neither matters, but
nobody compared them here), another setuptools, which is refused.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import os
import re
import stat
from pathlib import Path
from zipfile import ZipFile

from tests.software.conftest import Release
from tests.software.trees import ROOT, build, copied, git, wheel_of

LONG_AGO = 10**9  # POSIX seconds
RARE = {"LANG": "tr_TR.UTF-8", "LC_ALL": "C", "TZ": "Asia/Kathmandu", "SOURCE_DATE_EPOCH": "1700000000"}


def members(wheel: Path) -> dict[str, bytes]:
    with ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def as_others_have_it(tree: Path) -> None:
    """Old files with tight modes, and settings of a user's own that setuptools and pip would follow."""
    for path in tree.rglob("*"):
        path.chmod(0o700 if path.is_dir() or path.stat().st_size % 2 else 0o600)
        os.utime(path, (LONG_AGO, LONG_AGO))
    (tree / "home").mkdir()
    (tree / "home" / ".pydistutils.cfg").write_text("[bdist_wheel]\nbuild_number = 7\n")
    (tree / "home" / "pip.conf").write_text("[global]\nno-index = false\nindex-url = http://127.0.0.1:9/\n")


def test_the_same_commit_gives_the_same_bytes(release: Release, tmp_path: Path) -> None:
    other = copied(tmp_path / "another place")
    as_others_have_it(other)
    home = str(other / "home")
    done = build(
        other, 0o077, HOME=home, PIP_CONFIG_FILE=f"{home}/pip.conf", SOURCE_COMMIT=release.commit, PYTHONHASHSEED="7",
        PYTHONPATH=home, **RARE,
    )  # fmt: skip
    assert wheel_of(done).name == release.wheel.name
    assert wheel_of(done).read_bytes() == release.wheel.read_bytes()


def test_what_is_not_committed_is_not_in_it_and_that_is_said(release: Release) -> None:
    assert "not committed" in release.done.stderr
    packed = members(release.wheel)
    assert b"UNCOMMITTED" not in packed["hsm_app/model.py"]
    assert "hsm_app/pages/web/log/notes.js" not in packed


def test_a_changed_line_changes_the_digest(release: Release, tmp_path: Path) -> None:
    tree = copied(tmp_path)
    (tree / "hsm_app" / "model.py").write_bytes((tree / "hsm_app" / "model.py").read_bytes() + b"# one line more\n")
    before, after = members(release.wheel), members(wheel_of(build(tree, SOURCE_COMMIT=release.commit)))
    changed = {name.rpartition("/")[2] for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    assert changed == {"model.py", "RECORD"}


def test_it_holds_every_file_of_the_package_as_it_is(release: Release) -> None:
    packed = {name: data for name, data in members(release.wheel).items() if name.startswith("hsm_app/")}
    tracked = [name for name in git(ROOT, "ls-files", "--", "hsm_app").splitlines() if (ROOT / name).is_file()]
    assert packed == {name: (ROOT / name).read_bytes() for name in tracked}
    assert {"hsm_app/pages/web/log/index.html", "hsm_app/pages/web/log/page.js"} <= packed.keys()


def test_it_names_its_commit_and_the_dependencies_it_was_tested_with(release: Release) -> None:
    packed = {name.rpartition("/")[2]: data for name, data in members(release.wheel).items()}
    assert packed["source-commit"] == f"{release.commit}\n".encode()
    assert packed["requirements.lock"] == (ROOT / "requirements.lock").read_bytes()


def test_nothing_in_it_tells_when_where_or_by_whom_it_was_built(release: Release) -> None:
    with ZipFile(release.wheel) as archive:
        made = archive.infolist()
    assert [one.filename for one in made] == sorted(one.filename for one in made)
    assert {one.date_time for one in made} == {(1980, 1, 1, 0, 0, 0)}
    assert {one.external_attr >> 16 for one in made} == {stat.S_IFREG | 0o644}
    assert {one.compress_type for one in made} == {0}
    assert not [name for name, data in members(release.wheel).items() if str(release.tree).encode() in data]


def test_its_record_holds(release: Release) -> None:
    packed = members(release.wheel)
    (own,) = (name for name in packed if name.endswith("/RECORD"))
    lines = list(csv.reader(io.StringIO(packed[own].decode())))
    for name, digest, size in lines[:-1]:
        kind, _, value = digest.partition("=")
        assert (kind, int(size)) == ("sha256", len(packed[name]))
        assert base64.urlsafe_b64decode(value + "=") == hashlib.sha256(packed[name]).digest()
    assert [name for name, *_ in lines] == [*sorted(packed.keys() - {own}), own]


def test_another_setuptools_is_refused(tmp_path: Path) -> None:
    tree = copied(tmp_path)
    lock = tree / "requirements-dev.lock"
    lock.write_text(re.sub(r"^setuptools==\S+", "setuptools==1.0", lock.read_text(), flags=re.MULTILINE))
    done = build(tree)
    assert done.returncode == 1
    assert "the locked 1.0" in done.stderr
    assert not (tree / "dist").exists()


def test_a_file_that_would_be_left_out_is_named(tmp_path: Path) -> None:
    tree = copied(tmp_path)
    (tree / "hsm_app" / "fleet" / "words.bin").write_bytes(b"data of a package that does not say so")
    done = build(tree)
    assert done.returncode == 1
    assert "hsm_app/fleet/words.bin" in done.stderr


def test_a_commit_that_is_none_is_refused(tmp_path: Path) -> None:
    done = build(copied(tmp_path), SOURCE_COMMIT="main")
    assert done.returncode == 1
    assert "SOURCE_COMMIT=main" in done.stderr
