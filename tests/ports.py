"""Ports for servers that tests start."""

from __future__ import annotations

import contextlib
import os
import random
import socket

PORTS = range(12_000, 32_000)  # below those that the kernel gives to outgoing connections
CORES = 16  # of one machine that run this suite side by side


def free_ports(count: int) -> list[int]:
    """Return ports that are free, and that neither an outgoing connection nor another core's tests will take.

    A port can be without its server for a while: before it starts, and while its replica is down.
    """
    found: list[int] = []
    for port in random.sample(_own(), len(_own())):
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            found.append(port)
        if len(found) == count:
            return found
    raise AssertionError(f"{count} free ports below {PORTS.stop} are not to be had")


def _own() -> range:
    """The ports of this core: pytest-xdist numbers its processes gw0, gw1, ..."""
    return PORTS[int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % CORES :: CORES]
