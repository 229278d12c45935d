"""Strict msgpack: a message is one array with a fixed list of typed, limited fields.

There is one encoding of each message: what decodes is encoded again and must give the same bytes, which refuses long
forms of short values and bytes after the end without a rule for each. Also refused, each with one ProtocolError that
names the field and never its content: other types (a boolean is no number), other lengths, text that is not UTF-8,
maps, floats and extension types, missing and further fields.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Generic, NoReturn, TypeVar

import msgpack

from hsm_app.errors import ProtocolError

T = TypeVar("T")
MAX_ITEMS = 32  # items of any array: no message has so many
U16, U32, U64 = 2**16 - 1, 2**32 - 1, 2**64 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One field. `decode` checks a plain msgpack value and returns the field's own; `encode` is its inverse."""

    name: str
    largest: int  # bytes of its largest encoding
    decode: Callable[[object], Any]
    encode: Callable[[Any], object] = lambda value: value


def _refuse(name: str, why: str) -> NoReturn:
    raise ProtocolError(f"field {name} {why}", "The peer speaks another version, or the message was damaged")


def _head(length: int, short: int) -> int:
    """Bytes before `length` bytes of data (msgpack specification: fixstr or none, then 8, 16, 32 bit lengths)."""
    return 1 if length <= short else 2 if length <= 0xFF else 3 if length <= U16 else 5


def octets(name: str, *lengths: int) -> Field:
    """Bytes of one of the given lengths."""

    def decode(value: object) -> bytes:
        if type(value) is not bytes or len(value) not in lengths:
            _refuse(name, f"is not bytes of length {' or '.join(map(str, lengths))}")
        return value

    return Field(name=name, largest=_head(max(lengths), -1) + max(lengths), decode=decode)


def octets_up_to(name: str, most: int, *, least: int = 1) -> Field:
    """Between `least` and `most` bytes."""

    def decode(value: object) -> bytes:
        if type(value) is not bytes or not least <= len(value) <= most:
            _refuse(name, f"is not bytes of length {least} to {most}")
        return value

    return Field(name=name, largest=_head(most, -1) + most, decode=decode)


def text(name: str, most: int, *, least: int = 1) -> Field:
    """Text of `least` to `most` UTF-8 bytes."""

    def decode(value: object) -> str:
        if type(value) is not str or not least <= _utf8_length(name, value) <= most:
            _refuse(name, f"is not a text of {least} to {most} bytes")
        return value

    return Field(name=name, largest=_head(most, 31) + most, decode=decode)


def _utf8_length(name: str, value: str) -> int:
    try:
        return len(value.encode())
    except UnicodeEncodeError:  # a lone surrogate, which only the sender's own Python text can hold
        _refuse(name, "is not text that UTF-8 can hold")


def number(name: str, most: int = U64, *, least: int = 0) -> Field:
    """A whole number from `least` to `most`."""

    def decode(value: object) -> int:
        if type(value) is not int or not least <= value <= most:
            _refuse(name, f"is not a whole number from {least} to {most}")
        return value

    size = 1 if most <= 127 else 2 if most <= 0xFF else 3 if most <= U16 else 5 if most <= U32 else 9
    return Field(name=name, largest=size, decode=decode, encode=_code_of)


def _code_of(value: object) -> object:
    """Let an enum stand for its number when it is sent; nothing else is converted."""
    return int(value) if isinstance(value, IntEnum) else value


def flag(name: str) -> Field:
    """A boolean."""

    def decode(value: object) -> bool:
        if type(value) is not bool:
            _refuse(name, "is not a boolean")
        return value

    return Field(name=name, largest=1, decode=decode)


def optional(field: Field) -> Field:
    """The field or nil, which stands for None."""

    def decode(value: object) -> Any:
        return None if value is None else field.decode(value)

    def encode(value: Any) -> object:
        return None if value is None else field.encode(value)

    return Field(name=field.name, largest=field.largest, decode=decode, encode=encode)


def record(name: str, layout: Layout[T]) -> Field:
    """A value that is itself an array of fields."""
    return Field(name=name, largest=layout.largest, decode=layout.from_items, encode=layout.to_items)


def several(field: Field, most: int) -> Field:
    """Up to `most` (15 at the largest fit one head byte, 16 and more need three) values of one kind; a tuple."""

    def decode(value: object) -> tuple[Any, ...]:
        if type(value) is not list or len(value) > most:
            _refuse(field.name, f"is not an array of at most {most} items")
        return tuple(field.decode(item) for item in value)

    def encode(value: Any) -> object:
        return [field.encode(item) for item in value]

    head = 1 if most <= 15 else 3
    return Field(name=field.name, largest=head + most * field.largest, decode=decode, encode=encode)


class Layout(Generic[T]):
    """The fields of one kind of message, in their order. `tag` is a fixed first item: a version or a domain."""

    def __init__(self, made: type[T], *fields: Field, tag: str | int | None = None) -> None:
        self.made = made
        self._fields: Sequence[Field] = fields
        self._tag = [] if tag is None else [tag]
        count = len(fields) + len(self._tag)
        tag_size = len(msgpack.packb(tag)) if self._tag else 0
        self.largest = (1 if count <= 15 else 3) + tag_size + sum(field.largest for field in fields)

    def pack(self, message: T) -> bytes:
        """Return the encoding. ProtocolError when a field of `message` has no place in it."""
        items = self.to_items(message)
        self.from_items(items)
        packed: bytes = msgpack.packb(items)
        return packed

    def unpack(self, data: bytes) -> T:
        """Return the message that `data` is the only encoding of; ProtocolError for any other bytes."""
        items = unpack_value(data)
        message = self.from_items(items)
        if msgpack.packb(items) != data:
            raise ProtocolError(f"a {self.made.__name__} is not in its shortest encoding")
        return message

    def to_items(self, message: T) -> list[object]:
        return [*self._tag, *(field.encode(getattr(message, field.name)) for field in self._fields)]

    def from_items(self, items: object) -> T:
        """Check an array's items and build the message."""
        if type(items) is not list or len(items) != len(self._fields) + len(self._tag):
            raise ProtocolError(f"a {self.made.__name__} has another number of fields")
        start = len(self._tag)
        if start and (type(items[0]) is not type(self._tag[0]) or items[0] != self._tag[0]):
            raise ProtocolError(f"a {self.made.__name__} has another version than {self._tag[0]}")
        values = {field.name: field.decode(item) for field, item in zip(self._fields, items[start:], strict=True)}
        return self.made(**values)


def unpack_value(data: bytes) -> object:
    """Decode one msgpack value of plain types. ProtocolError for anything else."""
    try:
        value: object = msgpack.unpackb(
            data,
            raw=False,
            use_list=True,
            strict_map_key=True,
            max_array_len=MAX_ITEMS,
            max_map_len=0,
            max_ext_len=0,
        )
    except (ValueError, TypeError, msgpack.UnpackException):
        # The library's exceptions hold the data, which may be secret, so none is chained.
        raise ProtocolError("a message is not well-formed msgpack of plain types") from None
    return value
