"""`hsm-vault tenant`: keys and tokens that a replica takes, and clear errors where it would not."""

from __future__ import annotations

import json
import stat
import time
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat

from hsm_app.cli.main import cli
from hsm_app.errors import ConfigError, Denied
from hsm_app.fleet.account import TOKEN_LIMIT, AccountClaims, Scope, check_account_token
from hsm_app.fleet.manifest import Fleet, TenantKey, TenantKeys
from hsm_app.fleet.manifest_encoding import encode_manifest
from hsm_app.operator.tenant import issue_account_token, make_tenant_key, read_private_key
from tests.fleet.example import example_fleet


def run(*arguments: str | Path) -> str:
    """Run the command; its error, if any, comes out as it is."""
    result = CliRunner().invoke(cli, ["tenant", *map(str, arguments)], standalone_mode=False)
    if result.exception is not None:
        raise result.exception
    return result.stdout


def a_fleet(key: TenantKey, name: str = "fleet-1") -> Fleet:
    return example_fleet(fleet=name, tenant_keys=(TenantKeys(tenant="demo", keys=(key,)),))


def write_manifest(path: Path, *fleets: Fleet, start: int | None = None) -> Path:
    begin = int(time.time()) - 60 if start is None else start
    path.write_bytes(
        encode_manifest(
            namespace="test",
            epoch=1,
            previous_sha256=None,
            issued_at=begin,
            not_before=begin,
            not_after=begin + 3600,
            fleets=fleets,
        )
    )
    return path


@pytest.fixture(params=["ES256", "EdDSA"])
def key_and_fleet(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, Fleet]:
    path = tmp_path / "deep" / "tenant.pem"
    return path, a_fleet(make_tenant_key(path, request.param))


def test_a_key_file_is_for_its_owner_and_its_entry_fits_the_manifest(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    entry = json.loads(run("keygen", "--alg", "EdDSA", "--out", path, "--json"))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert entry["alg"] == "EdDSA"
    assert set(entry) == {"kid", "alg", "public_key"}
    shown = run("keygen", "--out", tmp_path / "other.pem")
    assert "PRIVATE" not in shown
    assert json.loads(shown.splitlines()[-1])["alg"] == "ES256"


def test_a_token_for_a_manifest_is_taken_by_its_fleet(key_and_fleet: tuple[Path, Fleet], tmp_path: Path) -> None:
    key, fleet = key_and_fleet
    manifest = write_manifest(tmp_path / "manifest.json", fleet)
    token = run("token", "--key", key, "--tenant", "demo", "--account", "anna", "--manifest", manifest).strip()
    for scope in Scope.ALL:
        assert check_account_token(token, fleet, scope, int(time.time())) == AccountClaims(
            tenant="demo", account="anna"
        )


def test_scope_lifetime_and_output_as_asked(key_and_fleet: tuple[Path, Fleet], tmp_path: Path) -> None:
    key, fleet = key_and_fleet
    out = tmp_path / "token"
    out.write_text("an older token")
    who = ("--tenant", "demo", "--account", "Anna Ä", "--fleet-id", "fleet-1")
    limits = ("--scope", Scope.STATUS, "--scope", Scope.DELETE, "--lifetime", "60")
    assert run("token", "--key", key, *who, *limits, "--out", out) == ""
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    token, now = out.read_text().strip(), int(time.time())
    assert check_account_token(token, fleet, Scope.DELETE, now).account == "Anna Ä"
    with pytest.raises(Denied, match="does not grant"):
        check_account_token(token, fleet, Scope.RECOVER, now)
    with pytest.raises(Denied, match="expired"):
        check_account_token(token, fleet, Scope.DELETE, now + 61)
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_json_says_when_the_token_expires(key_and_fleet: tuple[Path, Fleet]) -> None:
    key, fleet = key_and_fleet
    told = json.loads(
        run("token", "--key", key, "--tenant", "demo", "--account", "a", "--fleet-id", "fleet-1", "--json")
    )
    check_account_token(told["token"], fleet, Scope.STATUS, told["expires_at"] - 1)
    with pytest.raises(Denied, match="expired"):
        check_account_token(told["token"], fleet, Scope.STATUS, told["expires_at"])


def test_a_key_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    run("keygen", "--out", path)
    before = path.read_bytes()
    with pytest.raises(ConfigError, match="a key is never overwritten"):
        run("keygen", "--out", path)
    assert path.read_bytes() == before


def _pem(key: Any, encryption: Any = None) -> bytes:
    pem: bytes = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption or NoEncryption())
    return pem


P256 = ec.generate_private_key(ec.SECP256R1())
BAD_KEYS: dict[str, tuple[bytes | None, int, str]] = {
    "no file": (None, 0o600, "cannot read .*No such file"),
    "a key that others may read": (_pem(P256), 0o640, "can be read by others .mode 0640.. Run: chmod 600"),
    "a key of another curve": (_pem(ec.generate_private_key(ec.SECP384R1())), 0o600, "another kind of key"),
    "a key under a password": (_pem(P256, BestAvailableEncryption(b"x")), 0o600, "without a password"),
    "no key": (b"hello", 0o600, "no private key in PEM"),
    "nothing": (b"", 0o600, "no private key in PEM"),
}


@pytest.mark.parametrize(("pem", "mode", "names"), BAD_KEYS.values(), ids=BAD_KEYS.keys())
def test_keys_that_are_refused(pem: bytes | None, mode: int, names: str, tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    if pem is not None:
        path.write_bytes(pem)
        path.chmod(mode)
    with pytest.raises(ConfigError, match=names):
        read_private_key(path)


def test_a_manifest_that_does_not_fit_is_named(tmp_path: Path) -> None:
    key = tmp_path / "key.pem"
    mine = a_fleet(make_tenant_key(key, "ES256"))
    other = a_fleet(make_tenant_key(tmp_path / "other.pem", "ES256"))
    now = int(time.time())
    refused: list[tuple[Path, tuple[str, ...], str]] = [
        (tmp_path / "missing.json", ("--tenant", "demo"), "cannot read"),
        (key, ("--tenant", "demo"), "not strict JSON"),
        (write_manifest(tmp_path / "1", other), ("--tenant", "demo"), "does not know this key"),
        (write_manifest(tmp_path / "2", mine), ("--tenant", "other"), "has no tenant 'other'. Its tenants are: demo"),
        (write_manifest(tmp_path / "3", mine), ("--tenant", "demo", "--fleet-id", "f"), "lists no fleet 'f'"),
        (write_manifest(tmp_path / "4", mine, a_fleet(make_tenant_key(tmp_path / "k2", "ES256"), "fleet-2")),
         ("--tenant", "demo", "--fleet-id", "fleet-2"), "fleet-2 does not know this key"),
        (write_manifest(tmp_path / "5", mine, start=now - 7200), ("--tenant", "demo"), "expired"),
        (write_manifest(tmp_path / "6", mine, start=now + 3600), ("--tenant", "demo"), "not valid yet"),
    ]  # fmt: skip
    for manifest, more, names in refused:
        with pytest.raises(ConfigError, match=names):
            run("token", "--key", key, "--account", "a", "--manifest", manifest, *more)


def test_usage_is_checked(tmp_path: Path) -> None:
    key = tmp_path / "key.pem"
    make_tenant_key(key, "ES256")
    who = ("--key", key, "--tenant", "demo", "--account", "a")
    with pytest.raises(click.UsageError, match="Give --manifest or --fleet-id"):
        run("token", *who)
    with pytest.raises(click.UsageError, match="601 is not in the range"):
        run("token", *who, "--fleet-id", "f", "--lifetime", "601")
    with pytest.raises(click.UsageError, match="vault:everything"):
        run("token", *who, "--fleet-id", "f", "--scope", "vault:everything")


NAMES = {
    "no account": ({"account": ""}, "1 to 128 bytes"),
    "an account that is too long": ({"account": "ä" * 65}, "1 to 128 bytes"),
    "an account that is not UTF-8": ({"account": "\udcff"}, "not UTF-8"),
    "a fleet that makes the token too long": ({"fleets": ["f" * TOKEN_LIMIT]}, "more than 2048 characters"),
}


@pytest.mark.parametrize(("names", "why"), NAMES.values(), ids=NAMES.keys())
def test_names_that_no_replica_would_take(names: dict[str, str], why: str) -> None:
    wanted = {"account": "anna", "fleets": ["fleet-1"], **names}
    with pytest.raises(ConfigError, match=why):
        issue_account_token(P256, tenant="demo", scopes=Scope.ALL, now=1, **wanted)


def test_files_that_cannot_be_written_are_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot create"):
        make_tenant_key(tmp_path / "file" / "key.pem", "ES256")
    key = tmp_path / "key.pem"
    make_tenant_key(key, "ES256")
    with pytest.raises(ConfigError, match="cannot write"):
        run("token", "--key", key, "--tenant", "t", "--account", "a", "--fleet-id", "f", "--out", tmp_path)
    assert not list(tmp_path.parent.glob(f".{tmp_path.name}.*"))
    with pytest.raises(ConfigError, match="there is no directory"):
        run("token", "--key", key, "--tenant", "t", "--account", "a", "--fleet-id", "f", "--out", tmp_path / "none/t")
