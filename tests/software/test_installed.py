"""What an installed wheel says of itself, and that a stranger's check names each file that somebody changed.

Covered: files of the package changed, added, removed and exchanged for links; a dependency changed behind its RECORD;
metadata gone; a wheel that is not the installed one. Not covered: a program that was changed to lie about itself, and
what Python runs from its caches; both need a look from another machine, which is `--at`.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hsm_app.ceremony.words import fingerprint_words
from hsm_app.errors import ConfigError, LogError, VaultError
from hsm_app.evidence.lock_file import parse_lock
from hsm_app.evidence.software import encode_software, parse_software
from hsm_app.operator.installation import needed_distributions, read_installation
from hsm_app.operator.software import measure_software
from tests.cli.command import run, told, well
from tests.software.conftest import Release
from tests.software.trees import ROOT, committed, copied


def installed(wheel: Path, to: Path) -> Path:
    options = ["--quiet", "--disable-pip-version-check", "--no-index", "--no-deps", "--no-compile", "--target", str(to)]
    subprocess.run([sys.executable, "-m", "pip", "install", *options, str(wheel)], check=True)
    return to


@pytest.fixture(scope="module")
def pristine(release: Release, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return installed(release.wheel, tmp_path_factory.mktemp("installed") / "lib")


@pytest.fixture
def place(pristine: Path, tmp_path: Path) -> Path:
    """An installation that a test may change."""
    return Path(shutil.copytree(pristine, tmp_path / "lib"))


@pytest.fixture(scope="module")
def published(pristine: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("published") / "software.json"
    path.write_bytes(encode_software(measure_software(pristine)))
    return path


def vault(place: Path, *words: str | Path) -> subprocess.CompletedProcess[str]:
    """Run the program that is installed there, in a process of its own."""
    environment = {**os.environ, "PYTHONPATH": str(place), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "hsm_app.cli.main", "software", *map(str, words)]
    return subprocess.run(command, cwd=place.parent, env=environment, capture_output=True, text=True)


def test_the_installed_program_measures_itself(release: Release, place: Path, tmp_path: Path) -> None:
    module = tmp_path / "libtoken.so"
    module.write_bytes(b"a PKCS#11 module")
    done = vault(place, "--json", "--wheel", release.wheel, "--module", module)
    assert done.returncode == 0, done.stderr
    said = parse_software(done.stdout.encode())
    assert said.commit == release.commit
    assert said.wheel_sha256 == hashlib.sha256(release.wheel.read_bytes()).digest()
    assert said.files.keys() == {path.relative_to(place).as_posix() for path in (place / "hsm_app").rglob("*.*")}
    assert said.pkcs11_module is not None
    assert said.pkcs11_module.sha256 == hashlib.sha256(b"a PKCS#11 module").digest()
    pins = parse_lock((ROOT / "requirements.lock").read_text())
    runtime = {one.name: one for one in said.dependencies if one.name in pins}
    assert runtime.keys() == pins.keys()
    assert all(one.sha256 == pins[name].sha256 for name, one in runtime.items())


def test_a_stranger_has_the_same_digest_from_the_wheel_alone(release: Release, pristine: Path, tmp_path: Path) -> None:
    """With the words that the command's help gives, and no program of ours."""
    shutil.unpack_archive(release.wheel, tmp_path, "zip")
    words = " ".join(well("software", "--help").split())
    command = words[words.index("find hsm_app") : words.rindex("sha256sum") + len("sha256sum")]
    said = subprocess.run(["sh", "-c", command], cwd=tmp_path, check=True, capture_output=True, text=True).stdout
    assert said.split()[0] == measure_software(pristine).files_sha256.hex()


def test_a_checkout_and_the_wheel_of_it_are_the_same_software(release: Release, pristine: Path, tmp_path: Path) -> None:
    tree = copied(tmp_path / "tree")
    assert measure_software(tree).files == measure_software(pristine).files
    assert measure_software(tree).commit is None
    commit = committed(tree)
    assert measure_software(tree).commit == commit
    (tree / "hsm_app" / "new.py").touch()
    assert measure_software(tree).commit is None


def test_a_part_of_another_repository_has_no_commit(tmp_path: Path) -> None:
    tree = copied(tmp_path / "vendor" / "hsm-vault")
    committed(tmp_path)
    assert measure_software(tree).commit is None


def append(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\n")


def exchange(one: Path, other: Path) -> None:
    kept = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(kept)


TAMPERED: dict[str, tuple[Callable[[Path], object], dict[str, str]]] = {
    "a module changed": (
        lambda app: append(app / "vault" / "record.py"),
        {"hsm_app/vault/record.py": "has other content"},
    ),
    "a file of the page changed": (
        lambda app: append(app / "pages" / "web" / "log" / "page.js"),
        {"hsm_app/pages/web/log/page.js": "has other content"},
    ),
    "a module more": (lambda app: (app / "token" / "spy.py").touch(), {"hsm_app/token/spy.py": "was not published"}),
    "a compiled module without its source": (
        lambda app: (app / "token" / "spy.pyc").touch(),
        {"hsm_app/token/spy.pyc": "was not published"},
    ),
    "a library beside a module, which Python would load instead": (
        lambda app: (app / "model.so").touch(),
        {"hsm_app/model.so": "was not published"},
    ),
    "a module less": (lambda app: (app / "vault" / "record.py").unlink(), {"hsm_app/vault/record.py": "is missing"}),
    "two modules that changed places": (
        lambda app: exchange(app / "model.py", app / "errors.py"),
        {"hsm_app/errors.py": "has other content", "hsm_app/model.py": "has other content"},
    ),
    "a module that is a link to another one": (
        lambda app: ((app / "model.py").unlink(), (app / "model.py").symlink_to(app / "errors.py")),
        {"hsm_app/model.py": "has other content"},
    ),
}


@pytest.mark.parametrize(("tamper", "expected"), TAMPERED.values(), ids=TAMPERED.keys())
def test_it_names(place: Path, published: Path, tamper: Callable[[Path], object], expected: dict[str, str]) -> None:
    assert "The same" in well("software", "--at", place, "--check", published)
    tamper(place / "hsm_app")
    result = run("software", "--at", place, "--check", published)
    assert isinstance(result.exception, LogError)
    assert result.exception.exit_code == 10
    assert result.stdout.splitlines() == [f"{name} {how}" for name, how in expected.items()]
    as_json = json.loads(run("software", "--at", place, "--check", published, "--json").stdout)
    assert {one["name"]: one["how"] for one in as_json["differences"]} == expected


def test_the_installed_program_names_what_differs_and_ends_with_10(place: Path, published: Path) -> None:
    """The dependencies are those of this environment, which the published record does not have: they are named too."""
    append(place / "hsm_app" / "pages" / "web" / "log" / "look.js")
    done = vault(place, "--check", published)
    assert done.returncode == 10
    assert "hsm_app/pages/web/log/look.js has other content" in done.stdout.splitlines()
    assert "click was not published as a dependency" in done.stdout.splitlines()


def no_directory(place: Path) -> None:
    shutil.rmtree(place / "hsm_app")


def linked_directory(place: Path) -> None:
    (place / "hsm_app" / "token" / "more").symlink_to(place / "hsm_app" / "vault")


def a_pipe(place: Path) -> None:
    os.mkfifo(place / "hsm_app" / "pipe.py")


def dangling(place: Path) -> None:
    (place / "hsm_app" / "gone.py").symlink_to(place / "nowhere")


def strange_name(place: Path) -> None:
    (place / "hsm_app" / os.fsdecode(b"\xff.py")).touch()


def metadata(place: Path) -> Path:
    return next(place.glob("hsm_vault-*.dist-info"))


def changed_dependency(place: Path) -> None:
    shutil.copytree(package_of("bech32"), place / "bech32", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(metadata_of("bech32"), place / metadata_of("bech32").name)
    append(place / "bech32" / "__init__.py")


def package_of(name: str) -> Path:
    return metadata_of(name).parent / name


def metadata_of(name: str) -> Path:
    return next(
        Path(str(one.locate_file(file))).parent
        for one in needed_distributions([name]).values()
        for file in one.files or ()
        if file.name == "METADATA"
    )


BROKEN: dict[str, tuple[Callable[[Path], object], str]] = {
    "there is no package": (no_directory, "holds no hsm_app"),
    "the metadata is gone": (lambda place: shutil.rmtree(metadata(place)), "without its metadata"),
    "a directory of the package is a link": (linked_directory, "hsm_app/token/more is a symbolic link"),
    "a file is a pipe, which would never end": (a_pipe, "pipe.py is no regular file"),
    "a file is a link to nothing": (dangling, "gone.py: No such file"),
    "a file has a name that no list could hold": (strange_name, "no name of a file of this program"),
    "the lock file does not read": (
        lambda place: (metadata(place) / "requirements.lock").write_text("click\n"),
        "the lock file has the line",
    ),
    "the metadata is no text": (
        lambda place: (metadata(place) / "source-commit").write_bytes(b"\xff"),
        "is no text",
    ),
    "a dependency was changed": (changed_dependency, "bech32 is not as it was installed: bech32/__init__.py"),
}


@pytest.mark.parametrize(("damage", "why"), BROKEN.values(), ids=BROKEN.keys())
def test_it_says_what_is_wrong_when(place: Path, damage: Callable[[Path], object], why: str) -> None:
    damage(place)
    with pytest.raises(ConfigError, match=why) as told_why:
        measure_software(place)
    assert told_why.value.todo


def test_a_dependency_that_lost_a_file_is_named(place: Path) -> None:
    changed_dependency(place)
    (place / "bech32" / "__init__.py").unlink()
    with pytest.raises(ConfigError, match=r"bech32/__init__\.py"):
        measure_software(place)


def test_a_checkout_whose_project_file_does_not_read_is_refused(tmp_path: Path) -> None:
    tree = copied(tmp_path)
    for text in ("[project", "[project]\nversion = '1'\n"):
        (tree / "pyproject.toml").write_text(text)
        with pytest.raises(ConfigError, match=r"pyproject\.toml does not read"):
            read_installation(tree)


def wrong_wheels(release: Release, tmp_path: Path) -> dict[str, tuple[Path, type[VaultError], str]]:
    (tmp_path / "text.whl").write_text("no archive")
    return {
        "another wheel": (release.wheel, LogError, "is not what is installed: hsm_app/model.py"),
        "no archive": (tmp_path / "text.whl", ConfigError, "is no wheel"),
        "no file": (tmp_path / "none.whl", ConfigError, "cannot read"),
    }


def test_a_wheel_s_digest_is_not_taken_over_from(release: Release, place: Path, tmp_path: Path) -> None:
    append(place / "hsm_app" / "model.py")
    for wheel, kind, why in wrong_wheels(release, tmp_path).values():
        with pytest.raises(kind, match=why):
            measure_software(place, wheel=wheel)


@pytest.mark.parametrize("name", ["none.so", "."])
def test_a_module_that_cannot_be_read_is_said(place: Path, tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match=r"cannot read|no regular file"):
        measure_software(place, module=tmp_path / name)


def test_what_runs_is_told_to_people(release: Release, pristine: Path, tmp_path: Path) -> None:
    (tmp_path / "libtoken.so").write_bytes(b"module")
    said = well("software", "--at", pristine, "--wheel", release.wheel, "--module", tmp_path / "libtoken.so")
    rows = {line[:14].strip(): line[15:] for line in said.splitlines()}
    here: dict[str, Any] = told("software", "--at", pristine)
    assert rows["version"] == here["version"] == "0.1.0"
    assert rows["commit"] == release.commit
    assert rows["files"] == f"{len(here['files'])}, SHA-256 {here['files_sha256']}"
    assert rows["words"] == fingerprint_words(bytes.fromhex(here["files_sha256"]))
    assert rows["dependencies"] == "0"
    assert rows["wheel"].endswith(hashlib.sha256(release.wheel.read_bytes()).hexdigest())
    assert rows["PKCS#11 module"].startswith("libtoken.so, SHA-256 ")


def test_a_record_of_today_checks_today(tmp_path: Path) -> None:
    (tmp_path / "software.json").write_text(well("software", "--json"))
    assert well("software", "--check", tmp_path / "software.json").startswith("The same: ")


METADATA = "Metadata-Version: 2.1\nName: {name}\nVersion: 1\n{requires}"
SHELF = {
    "First-One": ["second_one>=1", "never ; extra == 'fast'", "absent"],
    "second.one": ["third[fast]~=1.0 ; python_version > '3'", "first-one"],
    "third": ['fourth; extra == "fast"', "fifth; extra == 'slow'"],
    "fourth": [],
    "fifth": [],
    "never": [],
    "unrelated": [],
}


@pytest.fixture
def shelf(tmp_path: Path) -> list[str]:
    """Distributions that need each other, as installers leave them."""
    for name, requires in SHELF.items():
        place = tmp_path / f"{name.replace('-', '_').replace('.', '_')}-1.dist-info"
        place.mkdir()
        lines = "".join(f"Requires-Dist: {one}\n" for one in requires)
        (place / "METADATA").write_text(METADATA.format(name=name, requires=lines))
    return [str(tmp_path)]


@pytest.mark.parametrize(
    ("requires", "needed"),
    [
        ([], set()),
        (["first-one"], {"first-one", "second-one", "third", "fourth"}),
        (["third"], {"third"}),
        (["third [slow,fast] >= 1"], {"third", "fourth", "fifth"}),
        (["absent", "fourth"], {"fourth"}),
        (['fourth; extra == "postgres"', 'fifth; extra == "dev"'], {"fourth"}),
    ],
)
def test_dependencies_are_followed(shelf: list[str], requires: list[str], needed: set[str]) -> None:
    assert needed_distributions(requires, shelf).keys() == needed
