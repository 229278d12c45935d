"""The manifest: what it round-trips, what it refuses, and that no bytes make another error than ConfigError."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hsm_app.errors import ConfigError
from hsm_app.fleet.manifest import Manifest, check_window
from hsm_app.fleet.manifest_encoding import encode_manifest
from hsm_app.fleet.manifest_json import LIMIT, parse_manifest
from tests.fleet.example import NOW, example_bytes, example_fleet, point

RAW = example_bytes(replicas=3, tenants=1)
DOCUMENT: dict[str, Any] = json.loads(RAW)


def test_round_trip_keeps_every_field_and_the_very_bytes() -> None:
    fleet = example_fleet(replicas=5, tenants=2)
    raw = example_bytes(replicas=5, tenants=2)
    manifest = parse_manifest(raw)
    assert manifest.fleets == (fleet,)
    assert manifest.raw is raw
    assert manifest.digest == hashlib.sha256(raw).digest()
    assert (manifest.epoch, manifest.previous_sha256) == (1, None)
    assert (manifest.not_before, manifest.not_after) == (NOW, NOW + 86_400)


def test_the_digest_is_over_the_bytes_and_not_over_their_meaning() -> None:
    manifest, spaced = parse_manifest(RAW), parse_manifest(RAW + b" ")
    assert manifest.fleets == spaced.fleets
    assert manifest.digest != spaced.digest


def test_nine_replicas_and_four_tenants_with_three_left_fleets_fit() -> None:
    old = tuple(example_fleet(replicas=5, tenants=1, fleet=f"fleet-{number}") for number in range(2, 5))
    raw = encode_manifest(
        namespace="vault.example/fleets",
        epoch=7,
        previous_sha256=bytes(32),
        issued_at=NOW,
        not_before=NOW,
        not_after=NOW + 1,
        fleets=(example_fleet(replicas=9, tenants=4), *old),
    )
    assert len(raw) <= LIMIT
    assert len(parse_manifest(raw).fleets) == 4


def test_encoding_refuses_what_reading_would_refuse() -> None:
    with pytest.raises(ConfigError, match="epoch"):
        encode_manifest(
            namespace="n",
            epoch=0,
            previous_sha256=None,
            issued_at=NOW,
            not_before=NOW,
            not_after=NOW + 1,
            fleets=(example_fleet(),),
        )


def _set(*path: Any) -> Callable[[Any], None]:
    """Set the member at `path[:-1]` to `path[-1]`."""

    def change(document: Any) -> None:
        for step in path[:-2]:
            document = document[step]
        document[path[-2]] = path[-1]

    return change


def _drop(*path: Any) -> Callable[[Any], None]:
    def change(document: Any) -> None:
        for step in path[:-1]:
            document = document[step]
        del document[path[-1]]

    return change


def _copy_item(*path: Any) -> Callable[[Any], None]:
    """Append a copy of the first item of the array at `path`."""

    def change(document: Any) -> None:
        for step in path:
            document = document[step]
        document.append(copy.deepcopy(document[0]))

    return change


FLEET = ("fleets", 0)
REPLICA = (*FLEET, "groups", 0, "replicas", 0)
KEY = (*FLEET, "tenants", 0, "keys", 0)
REFUSED: dict[str, tuple[Callable[[Any], None], str]] = {
    "an unknown member": (_set("extra", 1), "unknown member 'extra'"),
    "an unknown member deep inside": (_set(*REPLICA, "note", ""), r"replicas\[0\] has the unknown member"),
    "a missing member": (_drop("namespace"), "lacks the member namespace"),
    "a missing member deep inside": (_drop(*KEY, "alg"), "lacks the member alg"),
    "another schema": (_set("schema", "hsm-vault/fleet-manifest/v2"), "schema"),
    "a namespace with a space": (_set("namespace", "a b"), "namespace"),
    "a namespace that ends in a newline": (_set("namespace", "a\n"), "namespace"),
    "an epoch that is text": (_set("epoch", "1"), "epoch"),
    "an epoch that is a boolean": (_set("epoch", True), "epoch"),
    "epoch zero": (_set("epoch", 0), "epoch"),
    "an epoch beyond exact integers": (_set("epoch", 2**53), "epoch"),
    "a first epoch with a predecessor": (_set("previous_sha256", "00" * 32), "previous_sha256"),
    "a later epoch without a predecessor": (_set("epoch", 2), "previous_sha256"),
    "a digest in capitals": (_set("previous_sha256", "AA" * 32), "previous_sha256"),
    "a time without zone": (_set("issued_at", "2026-01-01T00:00:00"), "issued_at"),
    "a time with an offset": (_set("issued_at", "2026-01-01T00:00:00+00:00"), "issued_at"),
    "a time with a fraction": (_set("issued_at", "2026-01-01T00:00:00.5Z"), "issued_at"),
    "a day that does not exist": (_set("issued_at", "2026-02-30T00:00:00Z"), "time that exists"),
    "a time before 1970": (_set("issued_at", "0999-02-03T00:00:00Z"), "before 1970"),
    "an empty window": (_set("not_after", DOCUMENT["not_before"]), "not_after"),
    "no fleet": (_set("fleets", []), "0 items"),
    "one fleet twice": (_copy_item("fleets"), "fleet id twice"),
    "fleets that are an object": (_set("fleets", {}), "not an array"),
    "a fleet that is no object": (_set("fleets", [1]), "not an object"),
    "an unknown state": (_set(*FLEET, "state", "paused"), "none of active"),
    "an unknown custody": (_set(*FLEET, "custody", ""), "none of sealed"),
    "a state that is a list": (_set(*FLEET, "state", []), "none of active"),
    "a KEM key that is not on the curve": (_set(*FLEET, "kem_public", "02" + "ff" * 32), "not a compressed point"),
    "an uncompressed KEM key": (_set(*FLEET, "kem_public", "04" + "00" * 64), "kem_public"),
    "a short check value": (_set(*FLEET, "seal_check", "00"), "seal_check"),
    "no group": (_set(*FLEET, "groups", []), "0 items"),
    "groups that do not start at 0": (_set(*FLEET, "groups", 0, "group", 1), "numbered 0"),
    "one replica id twice": (_set(*FLEET, "groups", 0, "replicas", 1, "replica", 1), "replica id twice"),
    "replica 0": (_set(*REPLICA, "replica", 0), "from 1 to 255"),
    "replica 256": (_set(*REPLICA, "replica", 256), "from 1 to 255"),
    "incarnation 0": (_set(*REPLICA, "incarnation", 0), "incarnation"),
    "one public key at two replicas": (_set(*REPLICA, "link_public", point(3).hex()), "public key twice"),
    "a lone replica": (
        _set(*FLEET, "groups", 0, "replicas", [DOCUMENT["fleets"][0]["groups"][0]["replicas"][0]]),
        "1 i",
    ),
    "no tenant": (_set(*FLEET, "tenants", []), "0 items"),
    "one tenant twice": (_copy_item(*FLEET, "tenants"), "tenant twice"),
    "one kid twice": (_copy_item(*FLEET, "tenants", 0, "keys"), "kid twice"),
    "an RSA key": (_set(*KEY, "alg", "RS256"), "none of ES256"),
    "no algorithm": (_set(*KEY, "alg", "none"), "none of ES256"),
    "an EdDSA key with the bytes of an ES256 key": (_set(*KEY, "alg", "EdDSA"), "public_key"),
    "no lanes": (_set(*FLEET, "argon2", "lanes", 0), "lanes"),
    "less memory than the lanes need": (_set(*FLEET, "argon2", "memory_kib", 7), "memory_kib"),
    "more memory than a phone has": (_set(*FLEET, "argon2", "memory_kib", 2**22), "memory_kib"),
    "no attempts": (_set(*FLEET, "attempts", "maximum", 0), "maximum"),
    "eleven attempts": (_set(*FLEET, "attempts", "maximum", 11), "maximum"),
    "no waits": (_set(*FLEET, "attempts", "waits_seconds", []), "waits_seconds"),
    "a negative wait": (_set(*FLEET, "attempts", "waits_seconds", [-1]), "waits_seconds"),
    "no delay before a replacement": (_set(*FLEET, "attempts", "replace_delay_seconds", 0), "replace_delay_seconds"),
    "evidence that is no digest": (_set(*FLEET, "evidence_sha256", "x"), "evidence_sha256"),
    "an unknown assurance": (_set(*FLEET, "assurance", "key_custody", "sworn"), "none of none, self-asserted"),
}


@pytest.mark.parametrize(("change", "names"), REFUSED.values(), ids=REFUSED.keys())
def test_refused(change: Callable[[Any], None], names: str) -> None:
    document = copy.deepcopy(DOCUMENT)
    change(document)
    with pytest.raises(ConfigError, match=names):
        parse_manifest(json.dumps(document).encode())


BAD_BYTES = {
    "nothing": b"",
    "a bare number": b"1",
    "a list": b"[]",
    "null": b"null",
    "no UTF-8": RAW.replace(b"vault", b"v\xffult", 1),
    "a byte order mark": b"\xef\xbb\xbf" + RAW,
    "UTF-16": RAW.decode().encode("utf-16"),
    "text behind the end": RAW + b"{}",
    "cut short": RAW[:-3],
    "one member twice": RAW.replace(b'"epoch": 1,', b'"epoch": 1, "epoch": 1,', 1),
    "a float": RAW.replace(b'"epoch": 1,', b'"epoch": 1.0,', 1),
    "an exponent": RAW.replace(b'"epoch": 1,', b'"epoch": 1e0,', 1),
    "NaN": RAW.replace(b'"epoch": 1,', b'"epoch": NaN,', 1),
    "Infinity": RAW.replace(b'"epoch": 1,', b'"epoch": -Infinity,', 1),
    "an integer of 5000 digits": RAW.replace(b'"epoch": 1,', b'"epoch": ' + b"1" * 5000 + b",", 1),
    "nesting beyond the parser": b"[" * LIMIT,
    "nested objects beyond the parser": b'{"a":' * (LIMIT // 5),
    "a lone surrogate as member name": RAW.replace(b'"epoch"', b'"\\ud800"', 1),
    "a lone surrogate as value": RAW.replace(b"vault.example", b"\\ud800", 1),
    "one byte more than the limit": RAW + b" " * (LIMIT + 1 - len(RAW)),
}


@pytest.mark.parametrize("raw", BAD_BYTES.values(), ids=BAD_BYTES.keys())
def test_refused_bytes(raw: bytes) -> None:
    assert raw != RAW
    with pytest.raises(ConfigError) as refused:
        parse_manifest(raw)
    str(refused.value).encode()  # can be shown and logged, whatever the bytes held


def test_a_manifest_of_exactly_the_limit_is_read() -> None:
    assert parse_manifest(RAW + b" " * (LIMIT - len(RAW))).epoch == 1


@given(st.binary(max_size=300))
def test_any_bytes_are_refused_with_a_config_error(raw: bytes) -> None:
    with pytest.raises(ConfigError):
        parse_manifest(raw)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for step, item in inner for place in _places(item, (*path, step)))]


@given(st.sampled_from(_places(DOCUMENT)[1:]), json_values)
def test_any_value_in_any_place_gives_a_manifest_or_a_config_error(place: tuple[Any, ...], value: object) -> None:
    document = copy.deepcopy(DOCUMENT)
    _set(*place, value)(document)
    try:
        manifest = parse_manifest(json.dumps(document).encode())
    except ConfigError:
        return
    assert isinstance(manifest, Manifest)


@given(st.integers(0, len(RAW) - 1), st.integers(0, 255))
def test_any_changed_byte_gives_another_digest_or_a_config_error(at: int, byte: int) -> None:
    raw = RAW[:at] + bytes([byte]) + RAW[at + 1 :]
    try:
        manifest = parse_manifest(raw)
    except ConfigError:
        return
    assert (manifest.digest == parse_manifest(RAW).digest) == (raw == RAW)


WINDOW = {
    "just before it begins": (NOW - 1, "not valid yet"),
    "at its end": (NOW + 86_400, "expired"),
}


@pytest.mark.parametrize(("now", "names"), WINDOW.values(), ids=WINDOW.keys())
def test_outside_the_window(now: int, names: str) -> None:
    with pytest.raises(ConfigError, match=names):
        check_window(parse_manifest(RAW), now)


@pytest.mark.parametrize("now", [NOW, NOW + 86_399])
def test_inside_the_window(now: int) -> None:
    check_window(parse_manifest(RAW), now)


def test_an_unlisted_fleet_or_replica_is_named() -> None:
    manifest = parse_manifest(RAW)
    with pytest.raises(ConfigError, match="lists no fleet 'fleet-9'"):
        manifest.fleet("fleet-9")
    group = manifest.fleet("fleet-1").groups[0]
    assert group.find(3).replica == 3
    with pytest.raises(ConfigError, match="no replica 4"):
        group.find(4)


@pytest.mark.parametrize(("replicas", "majority"), [(2, 2), (3, 2), (4, 3), (5, 3), (7, 4), (9, 5)])
def test_two_majorities_always_meet(replicas: int, majority: int) -> None:
    assert example_fleet(replicas=replicas).groups[0].majority == majority
