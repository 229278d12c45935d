"""Strict msgpack: one encoding for each message, and one kind of error for everything else."""

from __future__ import annotations

from dataclasses import dataclass

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hsm_app.errors import ProtocolError
from hsm_app.wire.codec import Layout, flag, number, octets, octets_up_to, optional, several, text


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    raw: bytes
    words: str
    count: int
    on: bool
    maybe: int | None
    many: tuple[int, ...]


SAMPLE = Layout(
    Sample,
    octets_up_to("raw", 300),
    text("words", 10),
    number("count", 1000, least=2),
    flag("on"),
    optional(number("maybe", 255)),
    several(number("many", 127), 3),
    tag="sample/v1",
)
GOOD: list[object] = ["sample/v1", b"ab", "hi", 300, True, None, [1, 2]]


def _with(at: int, value: object) -> bytes:
    packed: bytes = msgpack.packb([*GOOD[:at], value, *GOOD[at + 1 :]])
    return packed


def test_round_trip() -> None:
    message = SAMPLE.unpack(_with(0, "sample/v1"))
    assert message == Sample(raw=b"ab", words="hi", count=300, on=True, maybe=None, many=(1, 2))
    assert SAMPLE.unpack(SAMPLE.pack(message)) == message


REFUSED = {
    "another version": _with(0, "sample/v2"),
    "a version of another type": _with(0, b"sample/v1"),
    "text for bytes": _with(1, "ab"),
    "no bytes where one is needed": _with(1, b""),
    "too many bytes": _with(1, bytes(301)),
    "bytes for text": _with(2, b"hi"),
    "too long a text, counted in UTF-8": _with(2, "ä" * 6),
    "an empty text": _with(2, ""),
    "a boolean for a number": _with(3, True),
    "a float for a number": _with(3, 300.0),
    "a number below its range": _with(3, 1),
    "a number above its range": _with(3, 1001),
    "a negative number": _with(3, -1),
    "a number for a boolean": _with(4, 1),
    "nil for a boolean": _with(4, None),
    "a boolean for a number that may be 1": _with(5, True),
    "text for an optional number": _with(5, "1"),
    "nil for an array": _with(6, None),
    "a long array": _with(6, [1, 2, 3, 4]),
    "an array of something else": _with(6, ["1"]),
    "a map": _with(6, {}),
    "a map with entries": _with(6, {1: 2}),
    "a missing field": msgpack.packb(GOOD[:-1]),
    "a further field": msgpack.packb([*GOOD, 1]),
    "no version": msgpack.packb(GOOD[1:]),
    "a map instead of an array": msgpack.packb({"raw": b"ab"}),
    "a number instead of an array": b"\x01",
    "nothing": b"",
    "bytes behind the end": _with(0, "sample/v1") + b"\xc0",
    "cut short": _with(0, "sample/v1")[:-1],
    "a number in a longer form than needed": _with(3, 2).replace(b"\x02\xc3", b"\xcc\x02\xc3"),
    "bytes in a longer form than needed": _with(1, b"ab").replace(b"\xc4\x02ab", b"\xc5\x00\x02ab"),
    "the array in a longer form than needed": b"\xdc\x00\x07" + _with(0, "sample/v1")[1:],
    "text that is not UTF-8": _with(2, "hi").replace(b"\xa2hi", b"\xa2\xff\xff"),
    "a surrogate in UTF-8": _with(2, "abc").replace(b"abc", b"\xed\xa0\x80"),
    "an extension type": _with(3, msgpack.ExtType(5, b"")),
    "a timestamp": _with(3, msgpack.Timestamp(1)),
    "an empty timestamp": _with(3, 2).replace(b"\x02\xc3", b"\xc7\x00\xff\xc3"),
    "an array that claims four billion items": b"\xdd\xff\xff\xff\xff",
    "bytes that claim four gigabytes": b"\x91\xc6\xff\xff\xff\xff",
    "arrays nested without end": b"\x91" * 100_000,
    "the byte that msgpack never uses": b"\xc1",
}


@pytest.mark.parametrize("data", REFUSED.values(), ids=REFUSED.keys())
def test_refused(data: bytes) -> None:
    assert data != _with(0, "sample/v1")
    with pytest.raises(ProtocolError):
        SAMPLE.unpack(data)


@given(st.binary(max_size=400))
def test_any_bytes_are_refused_or_the_one_encoding(data: bytes) -> None:
    try:
        message = SAMPLE.unpack(data)
    except ProtocolError:
        return
    assert SAMPLE.pack(message) == data


def test_a_sender_cannot_pack_what_a_receiver_would_refuse() -> None:
    with pytest.raises(ProtocolError, match="words"):
        SAMPLE.pack(Sample(raw=b"a", words="\ud800", count=2, on=True, maybe=None, many=()))
    with pytest.raises(ProtocolError, match="count"):
        SAMPLE.pack(Sample(raw=b"a", words="a", count=1, on=True, maybe=None, many=()))


def test_the_largest_encoding_is_exactly_what_the_layout_says() -> None:
    largest = Sample(raw=bytes(300), words="w" * 10, count=1000, on=True, maybe=255, many=(127, 127, 127))
    assert len(SAMPLE.pack(largest)) == SAMPLE.largest


HEADS = [1, 15, 16, 31, 32, 255, 256, 65_535, 65_536]


@pytest.mark.parametrize("most", HEADS)
def test_heads_are_counted_at_every_boundary_of_msgpack(most: int) -> None:
    assert octets_up_to("f", most).largest == len(msgpack.packb(bytes(most)))
    assert octets("f", most).largest == len(msgpack.packb(bytes(most)))
    assert text("f", most).largest == len(msgpack.packb("a" * most))
    assert number("f", most).largest == len(msgpack.packb(most))


def test_errors_never_quote_the_content() -> None:
    for secret in ("geheim-geheim-geheim", b"geheim-geheim-geheim"):
        for data in (_with(2, secret), _with(3, secret), msgpack.packb(secret), msgpack.packb(secret) + b"x"):
            with pytest.raises(ProtocolError) as refused:
                SAMPLE.unpack(data)
            assert "geheim" not in str(refused.value)
            assert refused.value.__cause__ is None
