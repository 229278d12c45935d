"""Addresses: `host:port`, `[v6]:port` or `unix:/path`, and how to listen on and dial them."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from hsm_app.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Address:
    """A TCP address (`host`, `port`), or a Unix socket when `path` is set."""

    host: str = ""
    port: int = 0
    path: str = ""

    def __str__(self) -> str:
        if self.path:
            return f"unix:{self.path}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_address(text: str) -> Address:
    """Read an address. ConfigError when it is none."""
    if text.startswith("unix:") and len(text) > len("unix:"):
        return Address(path=text.removeprefix("unix:"))
    host, colon, port = text.rpartition(":")
    host = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if not colon or not host or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
        raise ConfigError(f"{text!r} is not an address", "Write host:port, [v6]:port or unix:/path")
    return Address(host=host, port=int(port))


async def listen(address: Address, factory: Callable[[], asyncio.BaseProtocol]) -> asyncio.Server:
    """Listen on `address`. ConfigError names the address when it is taken or not ours, or its path is no socket."""
    loop = asyncio.get_running_loop()
    try:
        if address.path:
            _holds_socket(Path(address.path))  # one that a killed process left is taken over
            return await loop.create_unix_server(factory, address.path)
        return await loop.create_server(factory, address.host, address.port)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise ConfigError(f"{address} is in use", "Stop the other program or choose another address") from error
        raise ConfigError(
            f"cannot listen on {address}: {error.strerror}", "Check the address and its rights"
        ) from error


async def listen_privately(address: Address, factory: Callable[[], asyncio.BaseProtocol]) -> asyncio.Server:
    """Listen on a Unix socket that only its owner may use, from its first moment on. ConfigError when it cannot be had.

    A socket that an ended process has left there is removed.
    """
    is_left = _holds_socket(Path(address.path))
    door = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        os.fchmod(door.fileno(), 0o600)  # before the bind: it gives the file this mode
        if is_left:
            Path(address.path).unlink()
        door.bind(address.path)
        return await asyncio.get_running_loop().create_unix_server(factory, sock=door)
    except OSError as error:
        door.close()
        raise ConfigError(f"cannot listen on {address}: {error.strerror or error}", "Check the path") from error


def _holds_socket(path: Path) -> bool:
    """Say whether a socket is at `path`, or nothing. ConfigError for anything else, which somebody may want to keep."""
    try:
        mode = path.lstat().st_mode
    except OSError:  # nothing is there, or the bind will say what is wrong
        return False
    if not stat.S_ISSOCK(mode):
        what = "a directory" if stat.S_ISDIR(mode) else "a link" if stat.S_ISLNK(mode) else "a file"
        raise ConfigError(f"{path} is {what}, no socket", "Move it away, or choose another path for the socket")
    return True


async def dial(address: Address, factory: Callable[[], asyncio.BaseProtocol]) -> None:
    """Connect a protocol made by `factory`. OSError when nobody answers: the caller decides what that means."""
    loop = asyncio.get_running_loop()
    if address.path:
        await loop.create_unix_connection(factory, address.path)
    else:
        await loop.create_connection(factory, address.host, address.port)
