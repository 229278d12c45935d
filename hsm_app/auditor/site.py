"""The auditor's site over HTTP: the files of `public/`, the page for people, and plexi's view.

Any web server can serve `public/` instead, and the page with it once `auditor.page` has written it there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

from hsm_app.auditor.plexi import PlexiView
from hsm_app.net.http import Reply
from hsm_app.pages.web_files import INDEX, TYPES

_PATH = re.compile(r"checkpoint|tile/(?:[0-9]|[1-5][0-9]|6[0-3]|entries)/(?:x[0-9]{3}/)*[0-9]{3}(?:\.p/[0-9]{1,3})?")
NO_PAGE: Mapping[str, bytes] = MappingProxyType({})
CHECKPOINT = {"Content-Type": "text/plain; charset=utf-8", "Cache-Control": "no-cache"}
TILE = {"Content-Type": "application/octet-stream", "Cache-Control": "public, max-age=31536000, immutable"}


def serving(
    public: Path, plexi: PlexiView | None = None, page: Mapping[str, bytes] = NO_PAGE
) -> Callable[[str, str, bytes], Reply]:
    """Return what answers a request by method and path; `page` are `auditor.page`'s files. 404 for everything else."""

    def answer(method: str, path: str, body: bytes) -> Reply:
        name = path.removeprefix("/") or INDEX
        if method != "GET":
            return Reply(404)
        if name in page:
            return Reply(200, page[name], _page_headers(name))
        if not _PATH.fullmatch(name):
            return plexi.answer(path) if plexi is not None else Reply(404)
        try:
            data = (public / name).read_bytes()
        except OSError:
            return Reply(404)
        return Reply(200, data, CHECKPOINT if name == "checkpoint" else TILE)

    return answer


def _page_headers(name: str) -> dict[str, str]:
    """The page's own policy is in its head; that nobody may frame it can be said in a header only."""
    return {
        "Content-Type": TYPES[Path(name).suffix],
        "Cache-Control": "no-cache",
        "Content-Security-Policy": "frame-ancestors 'none'",
        "X-Content-Type-Options": "nosniff",
    }
