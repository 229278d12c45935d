"""Ways to malform any JSON document: each value exchanged in turn, and what no value shows."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from copy import deepcopy
from typing import Any

Place = tuple[str | int, ...]
Edges = dict[Place, tuple[Any, ...]]  # values at the edges of what may stand in a place
ANYTHING = (None, True, "", "x", 0, -1, 1, 1.5, 2**53, [], {})  # in the place of any value


def written(document: object) -> bytes:
    return json.dumps(document, indent=1).encode() + b"\n"


def places(value: Any, at: Place = ()) -> Iterator[Place]:
    """Yield where each value stands; of a list the first two items."""
    yield at
    if isinstance(value, dict):
        for name in value:
            yield from places(value[name], (*at, name))
    elif isinstance(value, list):
        for number in range(min(2, len(value))):
            yield from places(value[number], (*at, number))


def others(value: Any) -> Iterator[Any]:
    """Yield what may stand in the place of a value, near it and far from it."""
    yield from ANYTHING
    if isinstance(value, str):
        yield from (value + "0", value[:-1], value + "\n", value.upper(), f" {value}", value * 20, f"{value}\u00e9")
    elif type(value) is int:
        yield from (value + 1, value - 1, value * 1000, float(value), str(value))
    elif isinstance(value, list):
        yield from (value * 2, value[:1], value[::-1], value * 20, [*value, None])
    elif isinstance(value, dict):
        yield from ({**value, "more": 1}, {**value, "__proto__": 1})
        yield from ({name: value[name] for name in value if name != left} for left in value)


def changed(document: Any, at: Place, value: Any) -> Any:
    """Return the document with another value in a place."""
    if not at:
        return value
    made = deepcopy(document)
    inner = made
    for step in at[:-1]:
        inner = inner[step]
    inner[at[-1]] = value
    return made


def malformed(document: Any, edges: Mapping[Place, tuple[Any, ...]] | None = None) -> Iterator[tuple[str, Any]]:
    """Yield the document with each value exchanged in turn; some of it is well-formed."""
    for at in places(document):
        value = document
        for step in at:
            value = value[step]
        for other in (*others(value), *(edges or {}).get(at, ())):
            yield f"{'.'.join(map(str, at))} = {json.dumps(other)[:200]}", changed(document, at, other)


def spelt(raw: bytes, limit: int) -> dict[str, bytes]:
    """Return what no value shows: length, encoding, a member that stands twice, nesting."""
    return {
        "as it is": raw,
        "as long as it may be": raw + b" " * (limit - len(raw)),
        "one byte longer": raw + b" " * (limit + 1 - len(raw)),
        "a member twice": raw.replace(b"{", b"{" + raw[1:].split(b",")[0] + b",", 1),
        "a byte order mark": b"\xef\xbb\xbf" + raw,
        "no UTF-8": raw.replace(b'"', b'"\xff', 1),
        "UTF-16": raw.decode().encode("utf-16"),
        "not a number": raw.replace(b": ", b": NaN, ", 1),
        "nested deeply": b"[" * (limit // 2) + b"]" * (limit // 2),
        "nothing": b"",
    }


def of_json(raw: bytes, limit: int, edges: Mapping[Place, tuple[Any, ...]]) -> dict[str, bytes]:
    """Return a document that holds, and others by what is wrong with them, if anything is."""
    document = json.loads(raw)
    assert edges.keys() <= set(places(document))
    return {name: written(one) for name, one in malformed(document, edges)} | spelt(raw, limit)
