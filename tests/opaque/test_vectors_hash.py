"""RFC 9380: appendix K.1 and K.2 (expand_message_xmd) and J.1.1 (P256_XMD:SHA-256_SSWU_RO_).

The files write numbers without leading zeros, so they are compared as integers.
"""

from __future__ import annotations

from typing import Any

import pytest

from hsm_app.opaque.group import P, Point, add
from hsm_app.opaque.hash_to_curve import Z, expand_message_xmd, hash_to_curve, hash_to_field, map_to_curve
from tests.opaque.vectors import load

EXPAND = [(one["DST"], test) for one in load("expand-xmd-sha256.json")["files"] for test in one["tests"]]
CURVE: dict[str, Any] = load("h2c-p256.json")
DST = CURVE["dst"].encode()


def point(table: dict[str, str]) -> Point:
    return Point(int(table["x"], 16), int(table["y"], 16))


def test_all_vectors_are_there() -> None:
    assert len(EXPAND) == 20
    assert len(CURVE["vectors"]) == 5
    assert (int(CURVE["Z"], 16) - Z) % P == 0


@pytest.mark.parametrize(("dst", "test"), EXPAND)
def test_expand_message_xmd(dst: str, test: dict[str, str]) -> None:
    length = int(test["len_in_bytes"], 16)
    assert expand_message_xmd(test["msg"].encode(), dst.encode(), length).hex() == test["uniform_bytes"]


@pytest.mark.parametrize("vector", CURVE["vectors"], ids=lambda vector: vector["msg"][:8] or "empty")
def test_hash_to_curve(vector: dict[str, Any]) -> None:
    message = vector["msg"].encode()
    u = hash_to_field(message, DST, 2, P)
    mapped = [map_to_curve(one) for one in u]
    assert u == [int(one, 16) for one in vector["u"]]
    assert mapped == [point(vector["Q0"]), point(vector["Q1"])]
    assert add(*mapped) == hash_to_curve(message, DST) == point(vector["P"])
