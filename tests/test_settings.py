"""Settings files: what is read, and what each fault is answered with."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import pytest

from hsm_app.errors import ConfigError
from hsm_app.net.address import Address, parse_address
from hsm_app.settings import (
    SIZE_LIMIT,
    Between,
    ExistingDirectory,
    ExistingFile,
    Parsed,
    Seconds,
    read_settings,
    sha256_digest,
)

DIGEST = "ab" * 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    wait: Seconds = 5
    share: Annotated[int, Between(0, 100)] = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    name: str
    relay: Annotated[Address, Parsed(parse_address)]
    manifest: ExistingFile
    digest: Annotated[bytes, Parsed(sha256_digest)] = b""
    home: ExistingDirectory | None = None
    state: Path = Path("nowhere")
    loud: bool = False
    limits: Limits = field(default_factory=Limits)
    groups: tuple[tuple[str, ...], ...] = ()
    peers: dict[int, Annotated[Address, Parsed(parse_address)]] = field(default_factory=dict)


GOOD = f"""
name = "me"
relay = "[::1]:7"
manifest = "m.json"
digest = "{DIGEST}"
home = "."
state = "sub/state"
loud = true
groups = [["a", "b"], ["c"]]
[limits]
wait = 9
[peers]
2 = "host:2"
3 = "unix:/run/3"
"""


def write(tmp_path: Path, text: str) -> Path:
    (tmp_path / "m.json").write_text("{}")
    path = tmp_path / "app.toml"
    path.write_text(text)
    return path


def test_every_kind_of_value_is_read(tmp_path: Path) -> None:
    settings = read_settings(write(tmp_path, GOOD), Example)
    assert settings == Example(
        name="me",
        relay=Address(host="::1", port=7),
        manifest=tmp_path / "m.json",
        digest=bytes.fromhex(DIGEST),
        home=tmp_path,
        state=tmp_path / "sub/state",
        loud=True,
        limits=Limits(wait=9, share=50),
        groups=(("a", "b"), ("c",)),
        peers={2: Address(host="host", port=2), 3: Address(path="/run/3")},
    )


def test_what_has_a_default_may_be_left_out(tmp_path: Path) -> None:
    settings = read_settings(write(tmp_path, 'name = "me"\nrelay = "h:1"\nmanifest = "m.json"'), Example)
    assert (settings.home, settings.limits.wait, settings.state) == (None, 5, Path("nowhere"))


def test_a_path_may_begin_at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert read_settings(write(tmp_path, GOOD.replace("sub/state", "~/s")), Example).state == tmp_path / "s"


FAULTS = {
    "an unknown key, near a known one": ('name = "me"', 'nam = "me"', ["nam is an unknown key", "mean name?"]),
    "an unknown key, near none": ("loud", "zzzzzz", ["zzzzzz is an unknown key", "known keys are name"]),
    "an unknown key in a table": ("wait = 9", "wat = 9", ["limits.wat is an unknown key", "mean wait?"]),
    "a missing key": ('name = "me"', "", ["name is missing", "Add name"]),
    "a number for a text": ('name = "me"', "name = 7", ["name is not a text in quotes"]),
    "an empty text": ('name = "me"', 'name = ""', ["name is empty"]),
    "a boolean for a number": ("wait = 9", "wait = true", ["limits.wait is not a whole number"]),
    "a fraction for a duration": ("wait = 9", "wait = 9.5", ["limits.wait is not a whole number"]),
    "a duration that is too long": ("wait = 9", "wait = 90000", ["limits.wait is 90000, not 1 to 86400"]),
    "a text for a boolean": ("loud = true", 'loud = "yes"', ["loud is not true or false"]),
    "a value for a table": ("[limits]\nwait = 9", "limits = 3", ["limits is not a table"]),
    "a text for an array": ('[["a", "b"], ["c"]]', '"a"', ["groups is not an array"]),
    "a wrong item": ('["c"]]', "[3]]", ["groups[1][0] is not a text"]),
    "a file that is missing": ('"m.json"', '"n.json"', ["manifest names no file", "n.json", "Create that file"]),
    "a directory that is a file": ('home = "."', 'home = "m.json"', ["home names no directory"]),
    "a path with a NUL": ("sub/state", "sub\\u0000state", ["state holds a NUL"]),
    "an address without a port": ("[::1]:7", "localhost", ["relay: 'localhost' is not an address"]),
    "an address among the peers": ("host:2", "host", ["peers.2: 'host' is not an address"]),
    "a peer that is no number": ("3 =", "three =", ["peers.three is not a whole number"]),
    "a peer with a leading zero": ("3 =", "03 =", ["peers.03 is not a whole number"]),
    "a digest that is too short": (DIGEST, "abcd", ["digest: this is no SHA-256 digest"]),
    "broken TOML": ("loud = true", "loud = ", ["is not TOML", "line"]),
    "a key twice": ("loud = true", "loud = true\nloud = true", ["is not TOML"]),
}


@pytest.mark.parametrize(("right", "wrong", "said"), FAULTS.values(), ids=FAULTS.keys())
def test_a_fault_names_the_file_the_key_and_what_to_do(tmp_path: Path, right: str, wrong: str, said: list[str]) -> None:
    assert right in GOOD
    path = write(tmp_path, GOOD.replace(right, wrong, 1))
    with pytest.raises(ConfigError) as caught:
        read_settings(path, Example)
    for text in ["app.toml", *said]:
        assert text in str(caught.value)
    assert caught.value.todo


def test_a_file_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.toml: No such file"):
        read_settings(tmp_path / "none.toml", Example)


def test_a_file_that_may_not_be_looked_at_is_named(tmp_path: Path) -> None:
    """Here a name that no file can have; a directory without rights ends in the same way, but not for root."""
    path = write(tmp_path, GOOD.replace("m.json", "a" * 300))
    with pytest.raises(ConfigError, match="File name too long"):
        read_settings(path, Example)


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path, "")
    path.write_bytes(b"name = '\xff'")
    with pytest.raises(ConfigError, match="not UTF-8"):
        read_settings(path, Example)


def test_a_huge_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="too long"):
        read_settings(write(tmp_path, "#" * (SIZE_LIMIT + 1)), Example)
