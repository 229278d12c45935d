"""Run a program under the rules for memory and system calls of one unit: sandbox.py UNIT PROGRAM [ARGUMENT...]

For machines on which systemd cannot start units. What is inherited through fork and exec is set here as systemd would:
NoNewPrivileges, MemoryDenyWriteExecute (by prctl(2), PR_SET_MDWE; systemd uses a filter for the same calls),
SystemCallFilter and RestrictAddressFamilies (by libseccomp). Everything a unit says of files, devices and users is left
out: it needs mount namespaces.

Ends with 77 and a sentence when this machine has not what it takes.
"""

from __future__ import annotations

import ctypes
import errno
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.systemd.unit_file import Unit, read_unit

UNABLE = 77
PR_SET_NO_NEW_PRIVS, PR_SET_MDWE, REFUSE_EXEC_GAIN = 38, 65, 1
ALLOW, UNKNOWN = 0x7FFF0000, -1  # SCMP_ACT_ALLOW, __NR_SCMP_ERROR
DENY = 0x00050000 | errno.EPERM  # SCMP_ACT_ERRNO(EPERM), as SystemCallErrorNumber=EPERM
EQUAL = 4  # SCMP_CMP_EQ


class Comparison(ctypes.Structure):
    """struct scmp_arg_cmp: argument number, operator, two values."""

    _fields_ = (("arg", ctypes.c_uint), ("op", ctypes.c_int), ("a", ctypes.c_uint64), ("b", ctypes.c_uint64))


def allowed_calls(unit: Unit) -> set[str]:
    """Return the system calls that the unit's lists leave over: first what is allowed, then what is taken away."""
    calls: set[str] = set()
    for line in unit.all("SystemCallFilter"):
        listed = {call for name in line.removeprefix("~").split() for call in members(name)}
        calls = calls - listed if line.startswith("~") else calls | listed
    return calls


def members(name: str) -> set[str]:
    """Return the calls of a group, groups inside it included, as this machine's systemd defines them."""
    if not name.startswith("@"):
        return {name}
    shown = subprocess.run(["systemd-analyze", "syscall-filter", name], capture_output=True, text=True, check=True)
    names = re.findall(r"^ +([@a-z][a-z0-9_-]*)$", shown.stdout, re.MULTILINE)
    return {call for each in names if each != name for call in members(each)}


def forbid(calls: set[str], families: list[str]) -> None:
    """Load a filter into this process: everything but `calls` fails with EPERM, socket() of another family too."""
    library = ctypes.CDLL("libseccomp.so.2", use_errno=True)
    library.seccomp_init.restype = ctypes.c_void_p
    context = ctypes.c_void_p(library.seccomp_init(DENY))
    for call in sorted(calls - {"socket"}):
        number = library.seccomp_syscall_resolve_name(call.encode())
        if number != UNKNOWN:
            library.seccomp_rule_add_array(context, ctypes.c_uint32(ALLOW), number, 0, None)
    socket_call = library.seccomp_syscall_resolve_name(b"socket")
    for family in families:
        only = Comparison(0, EQUAL, getattr(socket, family), 0)
        library.seccomp_rule_add_array(context, ctypes.c_uint32(ALLOW), socket_call, 1, ctypes.byref(only))
    if library.seccomp_load(context) != 0:
        raise OSError("seccomp_load failed")


def confine(unit: Unit) -> None:
    """Confine this process, and all that it starts. OSError says what this machine cannot do."""
    calls = allowed_calls(unit)
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    if unit.one("NoNewPrivileges") == "yes" and prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        raise OSError("PR_SET_NO_NEW_PRIVS failed")
    if unit.one("MemoryDenyWriteExecute") == "yes" and prctl(PR_SET_MDWE, REFUSE_EXEC_GAIN, 0, 0, 0) != 0:
        raise OSError("this kernel is older than 6.3 and has no PR_SET_MDWE")
    forbid(calls, unit.one("RestrictAddressFamilies").split())


def main() -> None:
    try:
        confine(read_unit(Path(sys.argv[1])))
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"this machine cannot confine a process as the unit says: {error}", file=sys.stderr)
        sys.exit(UNABLE)
    os.execvp(sys.argv[2], sys.argv[2:])


if __name__ == "__main__":
    main()
