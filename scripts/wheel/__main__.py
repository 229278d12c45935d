"""Build dist/hsm_vault-VERSION-py3-none-any.whl, the same bytes for everyone who builds the same commit.

In a git checkout it builds the files of HEAD, and says when there are changes that are not committed, since they are
not in it. Elsewhere, such as in an unpacked archive of the source, it builds the files that lie there; the commit that
they are of can be told in the environment: SOURCE_COMMIT.

setuptools makes the files; its version is locked and stands in the wheel. The archive around them is then written
anew: sorted by name, one mode, one time (1980, the first that a zip can say, so that the day of a commit decides
nothing), and not compressed, since two zlib libraries compress differently. Two files join the wheel's metadata:

- `source-commit`, the commit, so that who has the wheel knows what to build in order to compare;
- `requirements.lock`, the versions and hashes of the dependencies it was tested with.
"""

from __future__ import annotations

import argparse
import base64
import csv
import hashlib
import io
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from zipfile import ZipFile, ZipInfo

ROOT = Path(__file__).parents[2]
LOCK = "requirements.lock"
SOURCES = ("LICENSE", "README.md", "hsm_app", "pyproject.toml", LOCK)
COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
EPOCH = (1980, 1, 1, 0, 0, 0)
MODE = 0o100644


def git(*words: str) -> bytes:
    """Return what git says, whatever its user has configured that could change files on their way."""
    plain = ["-c", "core.autocrlf=false", "-c", "core.attributesFile=/dev/null", "-c", "core.fsmonitor=false"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    return subprocess.run(["git", *plain, *words], cwd=ROOT, env=environment, check=True, stdout=subprocess.PIPE).stdout


def export(tree: Path) -> str:
    """Put the sources into an empty directory, and return the commit that they are of; empty when it is not known."""
    if not (ROOT / ".git").exists():
        copy(tree)
        return os.environ.get("SOURCE_COMMIT", "")
    if git("status", "--porcelain", "--", *SOURCES):
        print("Changes that are not committed are not in this wheel.", file=sys.stderr)
    with ZipFile(io.BytesIO(git("archive", "--format=zip", "HEAD", "--", *SOURCES))) as archive:
        archive.extractall(tree)
    return git("rev-parse", "HEAD").decode().strip()


def copy(tree: Path) -> None:
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copyfile(ROOT / name, tree / name)


def need_locked_setuptools() -> None:
    (locked,) = re.findall(r"^setuptools==(\S+)", (ROOT / "requirements-dev.lock").read_text(), re.MULTILINE)
    if (here := version("setuptools")) != locked:
        sys.exit(f"setuptools {here} would build other bytes than the locked {locked}: use `make wheel`.")


def build(tree: Path, home: Path) -> Path:
    """Have setuptools build the tree, with nothing of its user's settings, and return the wheel. It fetches nothing."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), "LC_ALL": "C.UTF-8", "TZ": "UTC"}
    pip = [sys.executable, "-I", "-m", "pip", "--quiet", "--disable-pip-version-check", "wheel"]
    options = ["--no-index", "--no-deps", "--no-build-isolation", "--no-cache-dir", "--wheel-dir", str(home)]
    subprocess.run([*pip, *options, str(tree)], env=environment, check=True)
    (built,) = home.glob("*.whl")
    return built


def check_complete(built: Path, tree: Path) -> None:
    """Stop unless the package in the wheel has exactly the files of the sources: none left out, none slipped in."""
    with ZipFile(built) as made:
        packed = {name for name in made.namelist() if name.startswith("hsm_app/") and not name.endswith("/")}
    there = {path.relative_to(tree).as_posix() for path in (tree / "hsm_app").rglob("*") if path.is_file()}
    if differing := sorted(packed ^ there):
        sys.exit(f"The wheel and the sources differ in {', '.join(differing)}: see package-data in pyproject.toml.")


def record(files: Mapping[str, bytes], own: str) -> bytes:
    """Return the wheel's RECORD: each file with its hash and size, and itself with neither."""
    written = io.StringIO()
    lines = csv.writer(written, lineterminator="\n")
    for name, data in sorted(files.items()):
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        lines.writerow([name, f"sha256={digest}", len(data)])
    lines.writerow([own, "", ""])
    return written.getvalue().encode()


def write_anew(built: Path, added: Mapping[str, bytes]) -> bytes:
    """Return the wheel with `added` in its metadata, and nothing in it that depends on who built it, where or when."""
    with ZipFile(built) as made:
        files = {name: made.read(name) for name in made.namelist() if not name.endswith("/")}
    (own,) = (name for name in files if name.endswith(".dist-info/RECORD"))
    del files[own]
    files |= {own.replace("RECORD", name): data for name, data in added.items()}
    whole = io.BytesIO()
    with ZipFile(whole, "w") as archive:
        for name, data in sorted({**files, own: record(files, own)}.items()):
            member = ZipInfo(name, EPOCH)
            member.external_attr = MODE << 16
            member.create_system = 3  # Unix, wherever it is built
            archive.writestr(member, data)
    return whole.getvalue()


def main() -> None:
    arguments = argparse.ArgumentParser(description="Build the wheel reproducibly.")
    arguments.add_argument("--out", type=Path, default=ROOT / "dist", help="Where it goes.")
    out: Path = arguments.parse_args().out
    need_locked_setuptools()
    with tempfile.TemporaryDirectory() as tree, tempfile.TemporaryDirectory() as home:
        commit = export(Path(tree))
        if commit and not COMMIT.fullmatch(commit):
            sys.exit(f"SOURCE_COMMIT={commit} is no commit: give its 40 hexadecimal digits.")
        added = {LOCK: (Path(tree) / LOCK).read_bytes()}
        if commit:
            added["source-commit"] = commit.encode() + b"\n"
        built = build(Path(tree), Path(home))
        check_complete(built, Path(tree))
        wheel = write_anew(built, added)
    out.mkdir(parents=True, exist_ok=True)
    (out / built.name).write_bytes(wheel)
    print(f"{hashlib.sha256(wheel).hexdigest()}  {out / built.name}")


if __name__ == "__main__":
    main()
