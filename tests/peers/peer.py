"""The foreign implementations, in a Node.js process of their own that answers JSON lines (`driver.mjs`)."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.patience import PATIENCE

HERE = Path(__file__).parent
PACKAGES = ("@serenity-kit/opaque-p256", "@noble/curves", "slip39")


class PeerError(Exception):
    """The peer refused: it threw. The text is its own."""


class Peer:
    """A context manager; `call` returns what the named function returns, None for undefined."""

    def __enter__(self) -> Peer:
        require_peers()
        self._process = subprocess.Popen(
            ["node", str(HERE / "driver.mjs")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._process.communicate(timeout=PATIENCE)  # the end of its input ends it
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()
            raise

    def call(self, name: str, *arguments: Any) -> Any:
        """Raises PeerError when the peer throws."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"call": name, "arguments": arguments}, default=_hex) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, "the peer's process has ended: what it said stands in the captured stderr"
        answer = json.loads(line, object_hook=_octets)
        if "error" in answer:
            raise PeerError(answer["error"])
        return answer["result"]


def require_peers(where: Path = HERE) -> None:
    """Fail, never skip, when a peer is missing, and say how to get it."""
    missing = [name for name in PACKAGES if not (where / "node_modules" / name / "package.json").is_file()]
    if missing or shutil.which("node") is None:
        raise AssertionError(
            f"the test peers are not installed ({', '.join(missing) or 'Node.js'}): run `make peers`, "
            "or `npm ci --ignore-scripts` in tests/peers with Node.js 18 or newer"
        )


def _hex(value: object) -> dict[str, str]:
    if not isinstance(value, bytes):
        raise TypeError(f"{type(value)} does not travel to a peer")
    return {"hex": value.hex()}


def _octets(table: dict[str, Any]) -> Any:
    return bytes.fromhex(table["hex"]) if set(table) == {"hex"} else table


def text(data: bytes) -> str:
    """The package's messages are base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def octets(message: str) -> bytes:
    return base64.urlsafe_b64decode(message + "=" * (-len(message) % 4))
