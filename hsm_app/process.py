"""What every program of the project does to its own process before it touches a secret."""

from __future__ import annotations

import ctypes
import resource
import sys

PR_SET_DUMPABLE = 4  # prctl(2)


def protect() -> None:
    """Forbid core dumps and, on Linux, reading of this process's memory and environment by others of the same user."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
