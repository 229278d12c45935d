"""The log over HTTP: the files of `public/`, which any web server can serve instead, and plexi's view."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from hsm_app.auditor.plexi import PlexiView
from hsm_app.net.http import Reply

_PATH = re.compile(r"/(checkpoint|tile/(?:[0-9]|[1-5][0-9]|6[0-3]|entries)/(?:x[0-9]{3}/)*[0-9]{3}(?:\.p/[0-9]{1,3})?)")
CHECKPOINT = {"Content-Type": "text/plain; charset=utf-8", "Cache-Control": "no-cache"}
TILE = {"Content-Type": "application/octet-stream", "Cache-Control": "public, max-age=31536000, immutable"}


def serving(public: Path, plexi: PlexiView | None = None) -> Callable[[str, str, bytes], Reply]:
    """Return what answers a request by method and path: 404 for everything that is no file of a log."""

    def answer(method: str, path: str, body: bytes) -> Reply:
        asked = _PATH.fullmatch(path)
        if method != "GET" or not asked:
            return plexi.answer(path) if plexi is not None and method == "GET" else Reply(404)
        try:
            data = (public / asked[1]).read_bytes()
        except OSError:
            return Reply(404)
        return Reply(200, data, CHECKPOINT if asked[1] == "checkpoint" else TILE)

    return answer
