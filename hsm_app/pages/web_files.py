"""The pages' own files, as they lie in this package: those that both pages share, and those of one of them.

A site gets them flat, beside the data that its page reads, so that a page asks for nothing that is not its site's.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path

from hsm_app.errors import StoreError

SOURCE = Path(__file__).with_name("web")
SHARED = "shared"
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
}
INDEX = "index.html"


class Page(StrEnum):
    """The pages that there are, by the directories of their own files."""

    LOG = "log"
    DEPLOYMENT = "deployment"


def web_files(page: Page) -> Mapping[str, bytes]:
    """Return a page's files by name. StoreError when this program is not installed whole."""
    try:
        return {
            path.name: path.read_bytes()
            for directory in (SHARED, page)
            for path in sorted((SOURCE / directory).iterdir())
            if path.suffix in TYPES
        }
    except OSError as error:
        raise StoreError(f"cannot read {SOURCE}: {error.strerror}", "Install this program again") from error
