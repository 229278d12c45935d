"""`hsm-vault auditor`, `witness` and `namespace` with wrong words: what is refused leaves nothing behind."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from hsm_app.cli.main import cli
from hsm_app.errors import ConfigError, LogError, QuorumError
from hsm_app.fleet.countersignature import COUNTERSIGNATURE_TYPE
from hsm_app.fleet.dsse import parse_envelope
from hsm_app.key_files import read_key_file
from hsm_app.tlog.note import COSIGNATURE
from tests.auditor.world import World, manifest, world
from tests.cli.command import well
from tests.tlog.keys import LOG, WITNESSES


@pytest.mark.parametrize("origin", ["", "two words", "a+b", 'a"b', "a\\b", "a\nb", "https://ö.example"])
def test_an_origin_that_cannot_be_one_leaves_no_directory(tmp_path: Path, origin: str) -> None:
    with pytest.raises(ConfigError, match="no log's origin"):
        well("auditor", "init", tmp_path / "auditor", "--origin", origin)
    assert "log key" in well("auditor", "init", tmp_path / "auditor", "--origin", "log.example/fleets")


@pytest.mark.parametrize(
    ("name", "logs"),
    {
        "a space in the name": ("two words", [LOG.text]),
        "a quote in the name": ('w"1', [LOG.text]),
        "a witness's key for a log's": ("w1", [WITNESSES[1].text]),
        "one log twice": ("w1", [LOG.text, LOG.text]),
    }.values(),
)
def test_a_witness_that_could_not_serve_is_not_made(tmp_path: Path, name: str, logs: list[str]) -> None:
    with pytest.raises(ConfigError):
        well("witness", "init", tmp_path / "w", "--name", name, *(word for log in logs for word in ("--log", log)))
    vkey = well("witness", "init", tmp_path / "w", "--name", "w1.example", "--log", LOG.text)
    assert (vkey.startswith("w1.example+"), WITNESSES[1].kind) == (True, COSIGNATURE)


@pytest.fixture
def audited(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path) as made:
        (tmp_path / "manifest.json").write_bytes(manifest())
        yield made


def sign(audited: World, out: Path, answer: str) -> Result:
    words = ["auditor", "sign", str(audited.auditor), str(audited.directory / "manifest.json"), "--out", str(out)]
    return CliRunner().invoke(cli, words, standalone_mode=False, input=answer)


@pytest.mark.parametrize("answer", ["", "\n", "n\n", "maybe\n", "yesno\n"])
def test_nothing_is_signed_without_a_yes(audited: World, tmp_path: Path, answer: str) -> None:
    asked = sign(audited, tmp_path / "out", answer)
    assert isinstance(asked.exception, click.Abort)
    assert "Nothing was signed" in asked.stderr
    assert not (tmp_path / "out").exists()
    assert not (audited.auditor / "signed").exists()


def test_what_is_signed_was_shown_and_agreed_to(audited: World, tmp_path: Path) -> None:
    agreed = sign(audited, tmp_path / "out", "y\n")
    assert agreed.exception is None
    assert "+ fleet fleet-1 session key: " in agreed.stdout.split("Sign this?")[0]
    assert (tmp_path / "out").exists()


def test_a_place_that_is_none_is_refused_before_anything_is_signed_or_logged(audited: World, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no directory"):
        raise sign(audited, tmp_path / "nowhere/out", "y\n").exception or AssertionError
    assert not (audited.auditor / "signed").exists()
    (tmp_path / "one").write_bytes(audited.sign(manifest()))
    (tmp_path / "two").write_bytes(audited.countersign((tmp_path / "one").read_bytes()))
    files = ("--envelope", tmp_path / "one", "--countersignature", tmp_path / "two", "--out", tmp_path / "nowhere/b")
    with pytest.raises(ConfigError, match="no directory"):
        well("auditor", "append", audited.auditor, *files)
    assert "0 entries" in well("auditor", "verify", audited.auditor)


def test_no_key_is_made_for_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    """The PIN file is missing too, and nobody came so far as to ask for it."""
    token = ("--module", "/usr/lib/softhsm/libsofthsm2.so", "--token", "operator", "--pin-file", tmp_path / "pin")
    with pytest.raises(ConfigError, match="no directory"):
        well("namespace", "keygen", *token, "--out", tmp_path / "nowhere" / "key.toml")


def test_parties_who_sign_at_home_reach_a_threshold_together(tmp_path: Path) -> None:
    """A successor of the root of trust wants two operators and the auditor; none of them has another's key."""
    people = {name: tmp_path / f"{name}.pem" for name in ("auditor", "first", "second")}
    keys = {name: well("namespace", "keygen", "--out", path).strip() for name, path in people.items()}
    (tmp_path / "policy").write_text("quorum none\n")
    for version in ("1", "2"):
        well("root-of-trust", "create", "--namespace", "vault.example", "--auditor", keys["auditor"],
             "--operator", keys["first"], "--operator", keys["second"], "--operator-threshold", "2", "--log", LOG.text,
             "--policy", tmp_path / "policy", "--version", version, "--out", tmp_path / f"{version}.json")  # fmt: skip
    signed = [tmp_path / f"{name}.dsse" for name in people]
    for path, out in zip(people.values(), signed, strict=True):
        well("root-of-trust", "sign", tmp_path / "2.json", "--key", path, "--out", out)
    well("namespace", "combine", *signed[:2], "--out", tmp_path / "few.dsse")
    with pytest.raises(LogError, match="too few of the old document's operators"):
        well("root-of-trust", "check", tmp_path / "1.json", tmp_path / "few.dsse")
    well("namespace", "combine", *signed, "--out", tmp_path / "all.dsse")
    assert "version 2" in well("root-of-trust", "check", tmp_path / "1.json", tmp_path / "all.dsse")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("\n# ours\n\nwitnes w1 x\nquorum none\n", "policy: line 4 of the policy is none of log, witness"),
        ("# ours\n\n", "policy: the policy has no quorum line"),
        (f"quorum none\nlog {LOG.text}\n", "policy has the key of --log already"),
    ],
)
def test_a_fault_in_a_policy_is_found_in_the_file_that_was_given(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "policy").write_text(text)
    keys = [well("namespace", "keygen", "--out", tmp_path / f"{name}.pem").strip() for name in ("a", "b")]
    with pytest.raises(LogError, match=re.escape(f"{tmp_path}/{said}")):
        well("root-of-trust", "create", "--namespace", "vault.example", "--auditor", keys[0], "--operator", keys[1],
             "--log", LOG.text, "--policy", tmp_path / "policy", "--out", tmp_path / "root.json")  # fmt: skip


def test_counter_signatures_of_two_operators_are_one_envelope(audited: World, tmp_path: Path) -> None:
    (tmp_path / "one").write_bytes(audited.sign(manifest()))
    for name in ("a", "b"):
        well("namespace", "keygen", "--out", tmp_path / f"{name}.pem")
        well("namespace", "countersign", tmp_path / "one", "--key", tmp_path / f"{name}.pem", "--manifest",
             tmp_path / "manifest.json", "--out", tmp_path / f"{name}.dsse")  # fmt: skip
    well("namespace", "combine", tmp_path / "a.dsse", tmp_path / "b.dsse", "--out", tmp_path / "both")
    both = parse_envelope((tmp_path / "both").read_bytes().strip(), COUNTERSIGNATURE_TYPE)
    keys = [read_key_file(tmp_path / f"{name}.pem").key for name in ("a", "b")]
    assert both.signers(keys) == {key.id for key in keys}


def test_a_timer_notices_that_too_few_witnesses_cosigned_anew(audited: World, tmp_path: Path) -> None:
    envelope, counter, bundle = (tmp_path / name for name in ("manifest.dsse.json", "counter.dsse.json", "bundle"))
    envelope.write_bytes(audited.sign(manifest()))
    counter.write_bytes(audited.countersign(envelope.read_bytes()))
    words = ["--envelope", envelope, "--countersignature", counter, "--out", bundle]
    assert "did not cosign" not in well("auditor", "append", audited.auditor, *words)
    bundle.unlink()
    audited.servers[1].close()
    with pytest.raises(QuorumError, match="too few witnesses cosigned anew"):
        well("auditor", "append", audited.auditor, *words)
    assert bundle.exists()
