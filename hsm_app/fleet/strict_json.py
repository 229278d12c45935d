"""Strict JSON (RFC 8259) for signed documents: what two parsers could read differently is refused.

Refused: duplicate member names, floats, NaN and infinities, booleans where numbers belong, unknown or missing members,
bytes that are not UTF-8, nesting that exhausts the parser. Every refusal is a ConfigError that names the place.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import NoReturn, TypeVar

from hsm_app.errors import ConfigError

T = TypeVar("T")
TIMESTAMP = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")
TIMESTAMP_FORMAT = "%Y-%m-%dT%H:%M:%SZ"  # RFC 3339 with whole seconds and Z only: one way to write an instant


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member name occurs twice")  # `load_document` turns it into a ConfigError
    return members


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON")  # also where nobody reads it, as in a transcript's bodies


def load_document(raw: bytes, what: str, limit: int) -> Node:
    """Parse `raw` (at most `limit` bytes) to its root node. ConfigError for anything but strict JSON."""
    if len(raw) > limit:
        raise ConfigError(f"{what} has {len(raw)} bytes, more than {limit}", "Check that it is the right file")
    try:
        # Floats get through here and are refused where they stand, since no reader takes them.
        value = json.loads(raw.decode("utf-8"), object_pairs_hook=_object, parse_constant=_no_number)
    except UnicodeDecodeError as error:
        raise ConfigError(f"{what} is not UTF-8 text", "Check that it is the right file") from error
    except (ValueError, RecursionError) as error:  # RecursionError: nested too deeply
        raise ConfigError(f"{what} is not strict JSON: {error}", "Get it again from where it was published") from error
    return Node(value, what)


class Node:
    """A JSON value and its place in the document. Each reader returns the typed value or raises ConfigError."""

    __slots__ = ("path", "value")

    def __init__(self, value: object, path: str) -> None:
        self.value = value
        self.path = path

    def refuse(self, why: str) -> NoReturn:
        raise ConfigError(f"{self.path} {why}", "Get the file again from where it was published")

    def members(self, *names: str) -> Callable[[str], Node]:
        """Require an object with exactly these members; return a function from name to node."""
        if type(self.value) is not dict:
            self.refuse("is not an object")
        if unknown := sorted(self.value.keys() - set(names)):
            self.refuse(f"has the unknown member {unknown[0][:40]!a}")
        if missing := [name for name in names if name not in self.value]:
            self.refuse(f"lacks the member {missing[0]}")
        members = self.value
        return lambda name: Node(members[name], f"{self.path}.{name}")

    def items(self, least: int, most: int) -> Iterator[Node]:
        """Require an array of `least` to `most` items and yield them."""
        if type(self.value) is not list:
            self.refuse("is not an array")
        if not least <= len(self.value) <= most:
            self.refuse(f"has {len(self.value)} items, not {least} to {most}")
        for index, item in enumerate(self.value):
            yield Node(item, f"{self.path}[{index}]")

    def named(self, names: re.Pattern[str], least: int, most: int) -> Iterator[tuple[str, Node]]:
        """Require an object of `least` to `most` members with names of this form, and yield names and nodes."""
        if type(self.value) is not dict:
            self.refuse("is not an object")
        if not least <= len(self.value) <= most:
            self.refuse(f"has {len(self.value)} members, not {least} to {most}")
        for name, value in self.value.items():
            if not names.fullmatch(name):
                self.refuse(f"has the member {name[:80]!a}, which is not of the form {names.pattern}")
            yield name, Node(value, f"{self.path}.{name}")

    def text(self, pattern: re.Pattern[str]) -> str:
        if type(self.value) is not str or not pattern.fullmatch(self.value):
            self.refuse(f"is not a text of the form {pattern.pattern}")
        return self.value

    def integer(self, least: int, most: int) -> int:
        if type(self.value) is not int or not least <= self.value <= most:
            self.refuse(f"is not a whole number from {least} to {most}")
        return self.value

    def hexadecimal(self, length: int) -> bytes:
        """Require `length` bytes in lower-case hexadecimal."""
        return bytes.fromhex(self.text(re.compile(f"[0-9a-f]{{{2 * length}}}")))

    def timestamp(self) -> int:
        """Require an RFC 3339 time in whole seconds and UTC; return POSIX seconds."""
        text = self.text(TIMESTAMP)
        try:
            moment = datetime.strptime(text, TIMESTAMP_FORMAT).replace(tzinfo=UTC)
        except ValueError:
            self.refuse("is not a time that exists")
        if moment.timestamp() < 0:
            self.refuse("is a time before 1970")  # which is written with a sign or, here, with too few digits
        return int(moment.timestamp())

    def one_of(self, choices: dict[str, T]) -> T:
        if type(self.value) is not str or self.value not in choices:
            self.refuse(f"is none of {', '.join(choices)}")
        return choices[self.value]

    def optional(self, read: Callable[[Node], T]) -> T | None:
        """Read the value unless it is null."""
        return None if self.value is None else read(self)


def timestamp_text(moment: int) -> str:
    """Write POSIX seconds as `Node.timestamp` reads them."""
    return datetime.fromtimestamp(moment, UTC).strftime(TIMESTAMP_FORMAT)
