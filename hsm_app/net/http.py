"""HTTP for public files and small messages, with a limit on everything: size, time, connections.

The standard library's server and client are enough for what passes here: static files, and one request of at most
64 KiB or so. TLS, names and more connections are a reverse proxy's work, as for any static site. Clients that fall
silent or say too much are cut off.
"""

from __future__ import annotations

import asyncio
import http.client
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import BoundedSemaphore, Thread
from urllib.parse import urlsplit

from hsm_app.errors import ConfigError, ProtocolError, QuorumError
from hsm_app.net.address import Address

CONNECTIONS = 64
IDLE_SECONDS = 10.0
ANSWER_SECONDS = 30.0  # an answer may wait for a slow disk: a witness writes down what it cosigns before it says so
POLL_SECONDS = 0.05  # how long closing may take to be noticed
LIMIT = 32 << 20  # bytes of a fetched file: a full bundle of the longest entries has half


@dataclass(frozen=True, slots=True)
class Reply:
    """What is answered: an HTTP status, a body and more headers."""

    status: int
    body: bytes = field(default=b"", repr=False)
    headers: Mapping[str, str] = field(default_factory=dict)


Answer = Callable[[str, str, bytes], Reply]  # of method, path and body


class HttpServer:
    """Serves on one address until it is closed."""

    def __init__(self, address: Address, answer: Answer, body_limit: int = 0) -> None:
        """ConfigError when the address cannot be had. Bodies above `body_limit` bytes are refused unread."""
        if address.path:
            raise ConfigError(f"{address} is no TCP address", "Write host:port")
        handler = type("Handler", (_Handler,), {"answer": staticmethod(answer), "body_limit": body_limit})
        try:
            self._server = _Server((address.host, address.port), handler)
        except OSError as error:
            raise ConfigError(f"cannot listen on {address}: {error.strerror}", "Choose another address") from error
        self._thread = Thread(target=self._server.serve_forever, args=(POLL_SECONDS,), daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class HttpProgram:
    """A server as a long-lived program: comes up, goes on until it is told, and lets go of what it was given."""

    def __init__(self, address: Address, answer: Answer, *, body_limit: int = 0, closing: Callable[[], object]) -> None:
        self._parts = address, answer, body_limit
        self._closing = closing
        self._server: HttpServer | None = None

    async def start(self) -> None:
        """ConfigError when the address cannot be had."""
        self._server = HttpServer(*self._parts)

    async def failure(self) -> None:
        """A request that fails ends nothing, so this waits for ever."""
        await asyncio.Event().wait()

    async def close(self) -> None:
        if self._server is not None:
            await asyncio.to_thread(self._server.close)
        self._closing()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self._places = BoundedSemaphore(CONNECTIONS)
        super().__init__(address, handler)

    def process_request(self, request: socket.socket | tuple[bytes, socket.socket], client_address: object) -> None:
        if not self._places.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(
        self, request: socket.socket | tuple[bytes, socket.socket], client_address: object
    ) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()

    def handle_error(self, request: object, client_address: object) -> None:
        """A connection that broke is no news."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "hsm-vault", ""
    timeout = IDLE_SECONDS
    disable_nagle_algorithm = (
        True  # head and body are two writes; the second would wait for the peer's word on the first
    )
    answer: Answer
    body_limit = 0

    def do_GET(self) -> None:
        self._reply(self.answer("GET", urlsplit(self.path).path, b""))

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "")
        if not length.isascii() or not length.isdecimal() or len(length) > 9 or int(length) > self.body_limit:
            self.close_connection = True
            self._reply(Reply(413 if length else 411))
            return
        self._reply(self.answer("POST", urlsplit(self.path).path, self.rfile.read(int(length))))

    def _reply(self, reply: Reply) -> None:
        self.send_response(reply.status)
        for name, value in {"Content-Length": str(len(reply.body)), **reply.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(reply.body)

    def log_message(self, format: str, *args: object) -> None:
        """Who asks for what is nobody's business."""


def request(method: str, url: str, body: bytes = b"", *, seconds: float = ANSWER_SECONDS) -> Reply:
    """Ask once and return the answer, whatever its status. QuorumError when none comes in time.

    ConfigError for an address that is no http or https URL; ProtocolError for an answer of more than 32 MiB.
    """
    secure, host, port, path = _parts(url)
    connection = (http.client.HTTPSConnection if secure else http.client.HTTPConnection)(host, port, timeout=seconds)
    try:
        connection.request(method, path, body or None, {"Connection": "close"})
        answer = connection.getresponse()
        data = answer.read(LIMIT + 1)
    except (OSError, http.client.HTTPException) as error:
        raise QuorumError(f"{_named(host, port)} does not answer: {error}", "Try again later") from error
    finally:
        connection.close()
    if len(data) > LIMIT:
        raise ProtocolError(f"{_named(host, port)} answers with more than {LIMIT} bytes")
    return Reply(answer.status, data, dict(answer.getheaders()))


def _parts(url: str) -> tuple[bool, str, int | None, str]:
    """Return whether by TLS, the host, the port if it is named, and the path. ConfigError for what is no such URL."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:  # brackets that do not close, or a port that is none
        parts, host, port = urlsplit(""), None, None
    if parts.scheme not in ("http", "https") or not host or parts.query or parts.fragment or parts.username is not None:
        raise ConfigError(
            f"{url[:200]!r} is no http or https address", "Write https://name:port/path, and nothing more"
        )
    return parts.scheme == "https", host, port, parts.path or "/"


def _named(host: str, port: int | None) -> str:
    name = f"[{host}]" if ":" in host else host
    return name if port is None else f"{name}:{port}"
