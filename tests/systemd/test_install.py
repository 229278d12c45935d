"""`make units`: what it installs, what it says when it cannot, and that its checks find what is wrong.

systemd-analyze reads files and needs no running systemd. On a machine without it the script says so, and these tests
hold it to that sentence.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.systemd.unit_file import DIRECTORY, read_unit

ROOT = DIRECTORY.parents[1]
ANALYZE = shutil.which("systemd-analyze")
TOOLS = ("bash", "dirname", "env", "grep", "install", "mkdir", "mktemp", "rm", "sed", "true")
NOBODY = 65534


def units(
    into: Path, script: Path = ROOT / "scripts" / "units", **environment: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [script], capture_output=True, text=True, env={"PATH": os.environ["PATH"], "DESTDIR": str(into), **environment}
    )


def test_they_are_installed_and_checked(tmp_path: Path) -> None:
    done = units(tmp_path / "units", PROGRAM=sys.executable)
    assert done.returncode == 0, done.stderr
    wanted = sorted(path.name for path in DIRECTORY.iterdir() if path.suffix in (".service", ".timer"))
    assert sorted(path.name for path in (tmp_path / "units").iterdir()) == wanted
    for path in (tmp_path / "units").glob("*.service"):
        assert read_unit(path).one("ExecStart").split()[0] == sys.executable
        assert path.stat().st_mode & 0o777 == 0o644
    if ANALYZE is None:
        assert "systemd-analyze is not on this machine: the units were installed, and not checked." in done.stdout
    else:
        assert "systemd-analyze verify: nothing found" in done.stdout
        assert done.stdout.count("Overall exposure level for ") == 5


def test_a_second_time_replaces_them(tmp_path: Path) -> None:
    units(tmp_path)
    (tmp_path / "hsm-vault-relay.service").write_text("[Service]\n")
    assert units(tmp_path).returncode == 0
    assert (tmp_path / "hsm-vault-relay.service").read_text() == (DIRECTORY / "hsm-vault-relay.service").read_text()


def test_a_program_that_is_not_there_yet_is_named(tmp_path: Path) -> None:
    done = units(tmp_path, PROGRAM="/nowhere/hsm-vault")
    assert done.returncode == 0, done.stderr
    assert "/nowhere/hsm-vault is not there yet: install the program" in done.stdout
    assert read_unit(tmp_path / "hsm-vault-relay.service").one("ExecStart").startswith("/nowhere/hsm-vault relay")


@pytest.mark.parametrize("program", ["hsm-vault", "/opt/a b", "/opt/x|y", "/opt/$(id)"])
def test_a_program_with_a_strange_path_is_refused(tmp_path: Path, program: str) -> None:
    done = units(tmp_path, PROGRAM=program)
    assert (done.returncode, "is no absolute path" in done.stderr) == (1, True)
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def open_directory() -> Iterator[Path]:
    """A directory that every user may enter; pytest's own are closed."""
    with tempfile.TemporaryDirectory() as made:
        Path(made).chmod(0o755)
        yield Path(made)


def test_who_may_not_write_there_is_told_how(open_directory: Path) -> None:
    script = standalone(open_directory)
    into = open_directory / "closed" / "units"
    into.parent.mkdir(mode=0o555)
    nobody = NOBODY if os.geteuid() == 0 else None
    done = subprocess.run(
        [script], capture_output=True, text=True, user=nobody, env={"PATH": os.environ["PATH"], "DESTDIR": str(into)}
    )
    assert done.returncode == 1
    assert done.stderr == (
        f"{into} cannot be written. As root: sudo make units. To look at them: make units DESTDIR=./build/units\n"
    )


def test_a_machine_without_systemd_analyze_is_told_so(tmp_path: Path) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    for tool in TOOLS:
        where = shutil.which(tool)
        assert where, tool
        (tools / tool).symlink_to(where)
    done = units(tmp_path / "units", PATH=str(tools))
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("systemd-analyze is not on this machine: the units were installed, and not checked.\n")


def test_make_hands_on_where_and_what() -> None:
    planned = subprocess.run(
        ["make", "-n", "--no-print-directory", "units", "DESTDIR=/x", "PROGRAM=/y"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert planned.stdout == 'DESTDIR="/x" PROGRAM="/y" scripts/units\n'


def standalone(root: Path) -> Path:
    """Copy the script and the units to where a test may change them; return the script."""
    shutil.copytree(DIRECTORY, root / "scripts" / "systemd")
    return Path(shutil.copy(ROOT / "scripts" / "units", root / "scripts" / "units"))


BROKEN = {
    "a directive that systemd does not know": ("NoNewPrivileges=yes", "NoNewPrivilege=yes", "Unknown key"),
    "a value that is none": ("ProtectSystem=strict", "ProtectSystem=stricter", "verify found"),
    "a system call nobody has": ("~@privileged", "~@priviledged", "verify found"),
    "a unit that gives up its sandbox": ("CapabilityBoundingSet=\n", "", "more exposed than 15"),
}


@pytest.mark.skipif(ANALYZE is None, reason="systemd-analyze is not on this machine")
@pytest.mark.parametrize(("old", "new", "found"), BROKEN.values(), ids=BROKEN.keys())
def test_the_checks_find(tmp_path: Path, old: str, new: str, found: str) -> None:
    script = standalone(tmp_path)
    unit = tmp_path / "scripts" / "systemd" / "hsm-vault-witness.service"
    assert old in unit.read_text()
    unit.write_text(unit.read_text().replace(old, new))
    done = units(tmp_path / "units", script)
    assert done.returncode == 1, done.stdout
    assert found in done.stderr
    assert "hsm-vault-witness.service" in done.stderr


@pytest.mark.skipif(ANALYZE is None, reason="systemd-analyze is not on this machine")
@pytest.mark.parametrize(("extra", "well"), [("", True), ("PrivateDevicez=no\n", False)], ids=["as it is", "misspelt"])
def test_the_drop_in_for_usb_passes_too(tmp_path: Path, extra: str, well: bool) -> None:
    units(tmp_path, PROGRAM=sys.executable)
    drop_in = tmp_path / "hsm-vault-replica@.service.d" / "usb-token.conf"
    drop_in.parent.mkdir()
    drop_in.write_text((DIRECTORY / "usb-token.conf").read_text() + extra)
    done = subprocess.run(
        ["systemd-analyze", "verify", tmp_path / "hsm-vault-replica@.service"], capture_output=True, text=True
    )
    assert (done.stderr == "") == well, done.stderr
