"""The client's file, the pinned manifest and the account token: what each fault is answered with."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from hsm_app.client import config
from hsm_app.client.check import check_client as check
from hsm_app.client.config import VaultConfig, read_client_settings
from hsm_app.client.device import Device
from hsm_app.errors import ConfigError
from hsm_app.fleet.manifest import Fleet, FleetState
from hsm_app.model import Subject
from hsm_app.net.address import Address
from tests.fleet import trust
from tests.fleet.example import NOW, example_bytes, example_fleet

MANIFEST = example_bytes()
GOOD = f"""
relay = "127.0.0.1:7700"
manifest = "manifest.json"
manifest_sha256 = "{hashlib.sha256(MANIFEST).hexdigest()}"
fleet = "fleet-1"
policy = "development"
tenant = "tenant-1"
account = "anna@example.org"
token_file = "token"
state_directory = "state"
"""


@pytest.fixture(autouse=True)
def _today(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config.time, "time", lambda: float(NOW))


def write(home: Path, text: str = GOOD) -> Path:
    (home / "manifest.json").write_bytes(MANIFEST)
    (home / "token").touch(0o600)
    (home / "token").write_text("header.claims.signature\n")
    path = home / "client.toml"
    path.write_text(text)
    return path


def opened(path: Path) -> VaultConfig:
    return Device(read_client_settings(path), lambda _: None).config("fleet-1")


def test_a_good_file_is_all_that_a_client_needs(tmp_path: Path) -> None:
    made = opened(write(tmp_path))
    assert made.relay == Address(host="127.0.0.1", port=7700)
    assert made.fleet == "fleet-1"
    assert made.subject == Subject(tenant="tenant-1", account="anna@example.org", name="backup")
    assert made.account_token() == "header.claims.signature"


def test_the_token_is_read_anew_each_time(tmp_path: Path) -> None:
    made = opened(write(tmp_path))
    (tmp_path / "token").write_text("newer.claims.signature")
    assert made.account_token() == "newer.claims.signature"


def test_check_says_what_was_found(tmp_path: Path) -> None:
    said = "\n".join(check(write(tmp_path)))
    for text in ("127.0.0.1:7700", "fleet-1, active", "anna@example.org with tenant-1"):
        assert text in said
    assert "header.claims" not in said


FAULTS = {
    "another digest": (hashlib.sha256(MANIFEST).hexdigest(), "00" * 32, "manifest_sha256 pins 0000"),
    "a digest that is none": (hashlib.sha256(MANIFEST).hexdigest(), "00", "manifest_sha256: this is no SHA-256"),
    "a manifest that is missing": ('"manifest.json"', '"no.json"', "manifest names no file"),
    "a fleet that is not listed": ('"fleet-1"', '"fleet-2"', "lists no fleet 'fleet-2'"),
    "a tenant that the fleet does not know": ('"tenant-1"', '"tenant-9"', "knows no tenant 'tenant-9'"),
    "a tenant with a name that is too long": ('"tenant-1"', f'"{"t" * 65}"', "tenant: this is no name"),
    "an account with a line break": ("anna@example.org", "anna\\nbob", "account: this is no name"),
    "no token file": ('"token"', '"no-token"', "token_file: cannot read"),
    "a relay without a port": ("127.0.0.1:7700", "127.0.0.1", "relay: '127.0.0.1' is not an address"),
    "a misspelt key": ("account =", "acount =", "acount is an unknown key"),
    "a missing key": ('relay = "127.0.0.1:7700"', "", "relay is missing"),
    "patience without end": ('relay = "', 'patience_seconds = 0\nrelay = "', "patience_seconds is 0, not 1 to"),
}


@pytest.mark.parametrize(("right", "wrong", "said"), FAULTS.values(), ids=FAULTS.keys())
def test_a_fault_is_named(tmp_path: Path, right: str, wrong: str, said: str) -> None:
    assert right in GOOD
    with pytest.raises(ConfigError) as caught:
        check(write(tmp_path, GOOD.replace(right, wrong, 1)))
    assert said in str(caught.value)
    assert caught.value.todo


PINNED = f'manifest = "manifest.json"\nmanifest_sha256 = "{hashlib.sha256(MANIFEST).hexdigest()}"\n'
NOBODY = {
    "nobody": ("", "either a manifest or a root_of_trust"),
    "a manifest without its digest": ('manifest = "manifest.json"\n', "manifest and manifest_sha256 go together"),
    "both ways at once": (PINNED + 'root_of_trust = "root.json"\n', "either a manifest or a root_of_trust"),
    "successors of no root": (PINNED + 'root_successors = ["root.json"]\n', "root_successors without root_of_trust"),
    "a root that is none": ('root_of_trust = "root.json"\n', "root of trust"),
    "an unknown policy": (PINNED + 'policy = "lax"\n', "there is no policy 'lax'"),
}


@pytest.mark.parametrize(("whom", "said"), NOBODY.values(), ids=NOBODY.keys())
def test_it_has_to_be_clear_whom_to_believe(tmp_path: Path, whom: str, said: str) -> None:
    (tmp_path / "root.json").write_text("{}")
    text = GOOD.replace(PINNED, whom)
    assert text != GOOD
    with pytest.raises(ConfigError, match=said):
        check(write(tmp_path, text.replace('policy = "development"\n', "") if "policy" in whom else text))


def test_the_policy_is_production_when_nothing_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="this device demands vendor-rooted"):
        check(write(tmp_path, GOOD.replace('policy = "development"\n', "")))


def test_with_a_root_of_trust_the_manifest_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "root.json").write_bytes(trust.root_of_trust().raw)
    path = write(tmp_path, GOOD.replace(PINNED, 'root_of_trust = "root.json"\n'))
    assert any("none yet" in line for line in check(path))
    (tmp_path / "state").mkdir(mode=0o700)
    bundle = tmp_path / "state" / "bundle"
    bundle.write_bytes(trust.Log().bundle(trust.entry_of(trust.manifest_bytes())))
    bundle.chmod(0o600)
    said = check(path)
    assert "manifest  vault.example/fleets, epoch 1" in said
    assert "fleet     fleet-1, active" in said
    bundle.write_bytes(b"half a bund")
    with pytest.raises(ConfigError, match=r"is damaged.*Move it away"):
        check(path)


FLEETS = {
    "two active ones": ((example_fleet(), example_fleet(fleet="fleet-2")), "2 active fleets"),
    "none that is active": ((replace(example_fleet(), state=FleetState.RECOVER_ONLY),), "0 active fleets"),
}


@pytest.mark.parametrize(("fleets", "said"), FLEETS.values(), ids=FLEETS.keys())
def test_where_to_register_has_to_be_clear(tmp_path: Path, fleets: tuple[Fleet, ...], said: str) -> None:
    device = a_device(tmp_path, fleets)
    with pytest.raises(ConfigError, match=said):
        device.new_home()


def test_a_device_asks_no_fleet_that_is_revoked(tmp_path: Path) -> None:
    device = a_device(tmp_path, (replace(example_fleet(), state=FleetState.REVOKED),))
    with pytest.raises(ConfigError, match="every fleet of the manifest is revoked"):
        device.recover("a code")


def a_device(home: Path, fleets: tuple[Fleet, ...]) -> Device:
    raw = trust.manifest_bytes(fleets=fleets)
    text = GOOD.replace(hashlib.sha256(MANIFEST).hexdigest(), hashlib.sha256(raw).hexdigest())
    path = write(home, text.replace('fleet = "fleet-1"\n', ""))
    (home / "manifest.json").write_bytes(raw)
    return Device(read_client_settings(path), lambda _: None)


WINDOW = {"before its window": (-1, "not valid yet"), "after its window": (86_400, "has expired")}


@pytest.mark.parametrize(("shift", "said"), WINDOW.values(), ids=WINDOW.keys())
def test_a_manifest_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shift: int, said: str) -> None:
    monkeypatch.setattr(config.time, "time", lambda: float(NOW + shift))
    with pytest.raises(ConfigError, match=said):
        check(write(tmp_path))


TOKENS = {
    "empty": b"",
    "too long": b"x" * 3000,
    "two lines": b"a.b.c\nd.e.f",
    "not text": b"\xff\xfe",
}


@pytest.mark.parametrize("token", TOKENS.values(), ids=TOKENS.keys())
def test_a_token_file_is_refused_that_is(tmp_path: Path, token: bytes) -> None:
    path = write(tmp_path)
    (tmp_path / "token").write_bytes(token)
    with pytest.raises(ConfigError, match="holds no account token"):
        check(path)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o622])
def test_a_token_file_that_others_may_use_is_refused(tmp_path: Path, mode: int) -> None:
    """Whoever reads it can spend the account's guesses; whoever writes it has this device speak for another account."""
    path = write(tmp_path)
    (tmp_path / "token").chmod(mode)
    with pytest.raises(ConfigError, match=rf"token_file: others may use {tmp_path}/token.*chmod 600 {tmp_path}/token"):
        check(path)
    made = opened(path)
    with pytest.raises(ConfigError, match="others may use"):
        made.account_token()


def jwt(claims: bytes) -> bytes:
    return b"e30." + base64.urlsafe_b64encode(claims).rstrip(b"=") + b".c2ln"


FOREIGN = {
    "another account": b'{"iss": "tenant-1", "sub": "bob"}',
    "another tenant": b'{"iss": "tenant-2", "sub": "anna@example.org"}',
    "an account that is a number": b'{"iss": "tenant-1", "sub": 7}',
}
OWN_OR_UNREADABLE = {
    "this account": b'{"iss": "tenant-1", "sub": "anna@example.org"}',
    "nobody": b"{}",
    "a list": b"[]",
    "no JSON": b"\xff",
    "endless JSON": b"[" * 1000,
}


@pytest.mark.parametrize("claims", FOREIGN.values(), ids=FOREIGN.keys())
def test_a_token_is_noticed_that_names(tmp_path: Path, claims: bytes) -> None:
    path = write(tmp_path)
    (tmp_path / "token").write_bytes(jwt(claims))
    with pytest.raises(ConfigError, match="the account token is for account"):
        check(path)


@pytest.mark.parametrize("claims", OWN_OR_UNREADABLE.values(), ids=OWN_OR_UNREADABLE.keys())
def test_the_fleet_decides_about_a_token_that_names(tmp_path: Path, claims: bytes) -> None:
    path = write(tmp_path)
    (tmp_path / "token").write_bytes(jwt(claims))
    check(path)
