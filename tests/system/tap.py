"""A wire tap: a TCP proxy that passes bytes on and keeps a copy of each direction of each connection.

Connections are kept apart, since a client that loses one dials again: the end of the first may be half a frame.
"""

from __future__ import annotations

import selectors
import socket
import threading
from dataclasses import dataclass, field
from types import TracebackType


@dataclass(frozen=True, slots=True)
class Connection:
    """What passed on one connection so far, in each direction."""

    sent: bytearray = field(default_factory=bytearray)
    received: bytearray = field(default_factory=bytearray)


class Tap:
    """Listens on a free port and forwards to `target`; `connections` holds what passed, in the order of their opening.

    A context manager.
    """

    def __init__(self, target: tuple[str, int]) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self.connections: list[Connection] = []
        self._closing = threading.Event()
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Tap:
        self._run(self._accept)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.set()
        for thread in self._threads:
            thread.join()
        self._listener.close()

    def _run(self, target: object, *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        self._listener.settimeout(0.1)
        while not self._closing.is_set():
            try:
                near, _ = self._listener.accept()
            except TimeoutError:
                continue
            self.connections.append(Connection())
            self._run(self._pass_on, near, self.connections[-1])

    def _pass_on(self, near: socket.socket, kept: Connection) -> None:
        with near, socket.create_connection(self._target) as far, selectors.DefaultSelector() as ready:
            ready.register(near, selectors.EVENT_READ, (far, kept.sent))
            ready.register(far, selectors.EVENT_READ, (near, kept.received))
            while not self._closing.is_set():
                for key, _ in ready.select(0.1):
                    source, (sink, copy) = key.fileobj, key.data
                    data = source.recv(65536)  # type: ignore[union-attr]
                    if not data:
                        return
                    copy += data
                    sink.sendall(data)
