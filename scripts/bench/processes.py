"""CPU time and memory of other processes, from /proc (Linux)."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

TICK = 1000 / os.sysconf("SC_CLK_TCK")  # milliseconds; a measurement has to last hundreds of these


def cpu_ms(pids: Iterable[int]) -> float:
    """Return the user and system time that the processes and their living descendants have used, in milliseconds."""
    return sum(_own_cpu_ms(one) for pid in pids for one in _with_descendants(pid))


def resident_mb(pid: int) -> float:
    """Return the resident memory of a process and its living descendants, in MiB (shared pages count in each)."""
    return sum(_resident_kb(one) for one in _with_descendants(pid)) / 1024


def _own_cpu_ms(pid: int) -> float:
    # proc(5): the command name, field 2, may hold blanks; utime and stime are fields 14 and 15.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * TICK


def _resident_kb(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    return 0  # a zombie holds none


def _with_descendants(pid: int) -> list[int]:
    found = [pid]
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            found += _with_descendants(int(child))
    return found
