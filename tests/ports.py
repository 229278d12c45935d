"""Ports for servers that tests start."""

from __future__ import annotations

import contextlib
import os
import random
import socket

PORTS = range(12_000, 32_000)  # below those that the kernel gives to outgoing connections


def free_ports(count: int) -> list[int]:
    """Return ports that are free, and that nothing else will take: no outgoing connection, and no other test.

    A port can be without its server for a while: before it starts, and while its replica is down. So each is given out
    once, and each core has its own.
    """
    found: list[int] = []
    for port in _unused:
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            found.append(port)
        if len(found) == count:
            return found
    raise AssertionError("the ports of this core are used up")


def _own() -> range:
    """The ports of this core: pytest-xdist numbers its processes gw0, gw1, ..."""
    cores = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    return PORTS[int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % cores :: cores]


_unused = iter(random.sample(_own(), len(_own())))
