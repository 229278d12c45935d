"""Tiles (C2SP tlog-tiles v0.1.0): a log as static files of at most 256 hashes or entries each.

Tile n of level l holds hashes of complete subtrees: number i is MTH of the 256^l leaves from (n * 256 + i) * 256^l on.
A tile that is not full yet is another file, named by its width; full tiles and entries never change.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from hsm_app.errors import LogError
from hsm_app.tlog.merkle import HASH, Read, node_hash

HEIGHT = 8
WIDTH = 1 << HEIGHT
ENTRY_LIMIT = (1 << 16) - 1  # bytes
BUNDLE_LIMIT = WIDTH * (ENTRY_LIMIT + 2)
CHECKPOINT = "checkpoint"
Fetch = Callable[[str], bytes | None]


def tile_path(level: int, number: int, width: int = WIDTH) -> str:
    """Return the path of a tile of `width` hashes below the log's prefix."""
    return f"tile/{level}/{_path(number, width)}"


def entries_path(number: int, width: int = WIDTH) -> str:
    """Return the path of a bundle of `width` entries below the log's prefix."""
    return f"tile/entries/{_path(number, width)}"


def _path(number: int, width: int) -> str:
    digits = str(number)
    groups = [digits[max(0, end - 3) : end].zfill(3) for end in range(len(digits), 0, -3)][::-1]
    path = "/".join([*(f"x{group}" for group in groups[:-1]), groups[-1]])
    return path if width == WIDTH else f"{path}.p/{width}"


def width_at(size: int, level: int, number: int) -> int:
    """Return how many hashes tile `number` of a level has in a tree of `size` leaves, 0 when there is no such tile."""
    hashes = size >> (HEIGHT * level)
    return max(0, min(WIDTH, hashes - number * WIDTH))


def changed_tiles(old: int, new: int) -> Iterator[tuple[int, int]]:
    """Yield level and number of each tile that a tree has more of with `new` leaves than with `old`, lowest first."""
    level = 0
    while new >> (HEIGHT * level):
        first, end = old >> (HEIGHT * level), new >> (HEIGHT * level)
        if first < end:
            yield from ((level, number) for number in range(first >> HEIGHT, (end - 1 >> HEIGHT) + 1))
        level += 1


def pack_entries(entries: Sequence[bytes]) -> bytes:
    """Return a bundle of entries, each behind its length in two bytes. LogError for one that is too long."""
    if any(len(entry) > ENTRY_LIMIT for entry in entries):
        raise LogError("artifact", f"an entry of a log has at most {ENTRY_LIMIT} bytes")
    return b"".join(len(entry).to_bytes(2, "big") + entry for entry in entries)


def unpack_entries(data: bytes, width: int) -> list[bytes]:
    """Read a bundle of `width` entries. LogError when it is cut short, or holds more."""
    entries, at = [], 0
    for _ in range(width):
        end = at + 2 + int.from_bytes(data[at : at + 2], "big")
        if len(data) < at + 2 or len(data) < end:
            raise LogError("artifact", "a bundle of entries is cut short")
        entries.append(data[at + 2 : end])
        at = end
    if at != len(data):
        raise LogError("artifact", "a bundle of entries is too long")
    return entries


def reader(size: int, fetch: Fetch) -> Read:
    """Return how `tlog.merkle` reads hashes of a tree of `size` leaves from its tiles; each is fetched once.

    `fetch` returns the bytes at a path, None when nothing is there. LogError for a tile that is missing or cut short. A
    tile is not trusted: whatever is made of it is compared with a root.
    """
    tiles: dict[tuple[int, int], bytes] = {}

    def tile(level: int, number: int) -> bytes:
        if (level, number) not in tiles:
            tiles[level, number] = _fetched(level, number, width_at(size, level, number), fetch)
        return tiles[level, number]

    def read(level: int, index: int) -> bytes:
        above = level // HEIGHT
        spread = 1 << (level - above * HEIGHT)  # hashes of the tile below that make one of this level
        number, first = divmod(index * spread, WIDTH)
        hashes = tile(above, number)[first * HASH : (first + spread) * HASH]
        return subtree_root(hashes)

    return read


def _fetched(level: int, number: int, width: int, fetch: Fetch) -> bytes:
    path = tile_path(level, number, width)
    # A log may drop a partial tile once the full one is there, which begins with the same hashes.
    data = fetch(path) or fetch(tile_path(level, number)) or b""
    if not width or len(data) % HASH or len(data) < width * HASH:
        raise LogError("inclusion", f"the log's {path} is missing or cut short")
    return data[: width * HASH]


def subtree_root(hashes: bytes) -> bytes:
    """Return the hash of a complete subtree from its leaves' hashes, a power of two of them, joined."""
    nodes = [hashes[at : at + HASH] for at in range(0, len(hashes), HASH)]
    while len(nodes) > 1:
        nodes = [node_hash(left, right) for left, right in zip(nodes[::2], nodes[1::2], strict=True)]
    return nodes[0]
