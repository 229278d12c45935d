"""Where a log is read from: an address, or a directory that holds its public files. Nothing that is read is trusted."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

from hsm_app.errors import LogError, QuorumError, StoreError
from hsm_app.net.http import request
from hsm_app.tlog import tiles
from hsm_app.tlog.tiles import Fetch

NOT_FOUND, GONE = 404, 410


def open_source(location: str) -> Fetch:
    """Return how files of the log at `location` are fetched: None where there is none.

    What it returns raises QuorumError when the log is away, StoreError when the directory cannot be read.
    """
    if "://" in location:
        return lambda path: _from_web(f"{location.rstrip('/')}/{quote(path)}")
    return lambda path: _from_disk(Path(location) / path)


def fetch_entries(fetch: Fetch, size: int, first: int) -> list[bytes]:
    """Return the entries from `first` to before `size`. LogError when the log does not show them."""
    entries: list[bytes] = []
    for number in range(first // tiles.WIDTH, -(-size // tiles.WIDTH)):
        entries += _bundle(fetch, size, number)[max(0, first - number * tiles.WIDTH) :]
    return entries


def _bundle(fetch: Fetch, size: int, number: int) -> list[bytes]:
    width = tiles.width_at(size, 0, number)
    path = tiles.entries_path(number, width)
    partial = fetch(path)
    if partial is not None:
        return tiles.unpack_entries(partial, width)
    full = fetch(tiles.entries_path(number))  # a log may drop partial bundles once the full one is there
    if full is None:
        raise LogError("artifact", f"the log does not show its {path}")
    return tiles.unpack_entries(full, tiles.WIDTH)[:width]


def _from_web(url: str) -> bytes | None:
    reply = request("GET", url)
    if reply.status in (NOT_FOUND, GONE):
        return None
    if reply.status != 200:
        raise QuorumError(f"{url} answers {reply.status}", "Try again later")
    return reply.body


def _from_disk(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StoreError(f"cannot read {path}: {error.strerror}", "Check the path and its rights") from error
