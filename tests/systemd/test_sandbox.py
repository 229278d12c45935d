"""The programs do their work under the units' rules for memory, system calls and sockets, really applied.

Covers: MemoryDenyWriteExecute, SystemCallFilter, RestrictAddressFamilies, NoNewPrivileges, on SoftHSM.
Does not cover: what needs a running systemd (users, credentials, what is mounted how, devices, limits of memory and
addresses), and vendors' modules.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.systemd.sandbox import UNABLE
from tests.systemd.unit_file import DIRECTORY

SANDBOX = Path(__file__).with_name("sandbox.py")
ROOT = DIRECTORY.parents[1]
SYSTEM = "tests/system"


def confined(unit: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run Python with `words` under the rules of a unit. A machine that cannot is named as the reason to skip."""
    done = subprocess.run(
        [sys.executable, SANDBOX, DIRECTORY / unit, sys.executable, *words], capture_output=True, text=True, cwd=ROOT
    )
    if done.returncode == UNABLE:
        pytest.skip(done.stderr.strip())
    return done


REFUSED = {
    "memory that is written and executed": "import mmap; mmap.mmap(-1, 4096, prot=mmap.PROT_WRITE | mmap.PROT_EXEC)",
    "a socket of the kernel's": "import socket; socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)",
    "another user": "import os; os.setuid(65534)",
    "another root directory": "import os; os.chroot('/')",
    "a better place in the queue": "import os; os.nice(-5)",
    "looking into another process": (
        "import ctypes, os; c = ctypes.CDLL(None, use_errno=True);"
        "c.ptrace(16, os.getppid(), 0, 0) == 0 or (_ for _ in ()).throw(OSError(ctypes.get_errno(), 'ptrace'))"
    ),
}


@pytest.mark.parametrize("code", REFUSED.values(), ids=REFUSED.keys())
def test_the_sandbox_refuses(code: str) -> None:
    done = confined("hsm-vault-replica@.service", "-c", code)
    assert done.returncode == 1
    assert "PermissionError" in done.stderr


def test_the_sandbox_lets_through_what_programs_do() -> None:
    code = "import socket, subprocess, threading; socket.socket(); subprocess.run(['true'], check=True); print('well')"
    assert confined("hsm-vault-replica@.service", "-c", code).stdout == "well\n"


WORK = {
    "replicas, their tokens and the relay": (
        "hsm-vault-replica@.service",
        "test_main_job.py::test_a_new_device_with_account_and_code_alone_gets_the_key_back",
    ),
    "the auditor and the witnesses": ("hsm-vault-witness.service", "test_transparency.py::test_a_manifest_s_whole_way"),
}


@pytest.mark.parametrize(("unit", "test"), WORK.values(), ids=WORK.keys())
def test_the_work_is_done_under_the_rules(unit: str, test: str) -> None:
    """Everything that the named test starts inherits them."""
    done = confined(unit, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"{SYSTEM}/{test}")
    assert done.returncode == 0, done.stdout[-4000:]
    assert "1 passed" in done.stdout or done.stdout.startswith("."), done.stdout[-4000:]
