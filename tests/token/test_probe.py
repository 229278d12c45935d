"""The probe and its command: on SoftHSM, behind p11-kit's proxy, and on a device that lacks or grants too much."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from pkcs11 import Attribute

from hsm_app.cli.token import token as command
from hsm_app.errors import ConfigError, TokenError
from hsm_app.token.location import TokenLocation
from hsm_app.token.probe import ABILITIES, lacking, probe
from tests.token.answers import answering
from tests.token.fresh import USER_PIN, ReplicaToken, user

CREATE, SET_ATTRIBUTE, SIGN_INIT, UNWRAP, DERIVE, RANDOM = 20, 25, 42, 61, 62, 64  # positions in CK_FUNCTION_LIST
OK, MECHANISM_INVALID, FUNCTION_NOT_SUPPORTED = 0, 0x70, 0x54
PROXIES = sorted(Path("/usr/lib").glob("*/p11-kit-proxy.so"))


@pytest.fixture
def pin_file(tmp_path: Path) -> Path:
    path = tmp_path / "pin"
    path.write_text(USER_PIN + "\n")
    path.chmod(0o600)
    return path


def invoke(location: TokenLocation, *options: object, module: Path | None = None) -> Result:
    arguments = ["probe", "--module", module or location.module, "--token", location.label]
    arguments += ["--softhsm2-conf", location.softhsm2_conf, *options]
    return CliRunner().invoke(command, [str(argument) for argument in arguments])


def test_softhsm_has_every_ability(location: TokenLocation) -> None:
    with user(location) as session:
        findings = probe(session)
    assert [finding.ability for finding in findings if not finding.ok] == []
    assert len(findings) == len(ABILITIES)
    assert lacking(findings) == []


def test_a_probe_leaves_nothing_behind(replica: ReplicaToken) -> None:
    """SoftHSM keeps a torso of an object whose creation it refused, so what counts is what outlives the session."""
    with user(replica.location) as session:
        before = sorted(thing[Attribute.LABEL] for thing in session.get_objects())
        probe(session)
    with user(replica.location) as session:
        assert sorted(thing[Attribute.LABEL] for thing in session.get_objects()) == before
    replica.open().close()


LACKS: dict[str, tuple[int, int, str, str]] = {
    "no derive": (DERIVE, MECHANISM_INVALID, "ECDH with NULL KDF to a readable value", "CKR_MECHANISM_INVALID"),
    "no signatures": (SIGN_INIT, MECHANISM_INVALID, "HMAC-SHA256", "CKR_MECHANISM_INVALID"),
    "no data objects": (CREATE, FUNCTION_NOT_SUPPORTED, "keep a private data object", "CKR_FUNCTION_NOT_SUPPORTED"),
    "no randomness": (RANDOM, FUNCTION_NOT_SUPPORTED, "random bytes", "CKR_FUNCTION_NOT_SUPPORTED"),
    "an unwrap that refuses everything": (
        UNWRAP,
        MECHANISM_INVALID,
        "refuse to unwrap into a readable key",
        "CKR_MECHANISM_INVALID",
    ),
    "a root that takes CKA_DECRYPT": (
        SET_ATTRIBUTE,
        OK,
        "refuse to copy the root, or give it CKA_DECRYPT",
        "the device did switch CKA_DECRYPT on",
    ),
}


@pytest.mark.parametrize(("position", "answer", "ability", "detail"), LACKS.values(), ids=LACKS.keys())
def test_the_probe_finds(location: TokenLocation, position: int, answer: int, ability: str, detail: str) -> None:
    with user(location) as session, answering(location.module, position, answer):
        findings = {finding.ability: finding for finding in probe(session)}
    assert not findings[ability].ok
    assert findings[ability].detail == detail
    assert ability in lacking(list(findings.values()))


def test_only_peoples_keys_are_dispensable(location: TokenLocation) -> None:
    assert [ability.name for ability in ABILITIES if not ability.needed] == ["Ed25519 signatures"]
    with user(location) as session:
        findings = probe(session)
    without = [replace(finding, ok=finding.ability != "Ed25519 signatures") for finding in findings]
    assert lacking(without) == []


def test_the_command_prints_a_table_and_a_verdict(location: TokenLocation, pin_file: Path) -> None:
    result = invoke(location, "--pin-file", pin_file)
    assert result.exit_code == 0
    assert "Token: SoftHSM project, SoftHSM v2" in result.output
    assert all(ability.name in result.output for ability in ABILITIES)
    assert result.output.endswith("The vault can run on this token.\n")
    assert USER_PIN not in result.output


def test_the_command_says_no_with_the_token_exit_code(location: TokenLocation, pin_file: Path) -> None:
    with answering(location.module, DERIVE, MECHANISM_INVALID):
        result = invoke(location, "--pin-file", pin_file)
    assert "  NO  ECDH with NULL KDF" in result.output
    assert "CKR_MECHANISM_INVALID" in result.output
    assert "can run" not in result.output
    assert isinstance(result.exception, TokenError)
    assert result.exception.exit_code == 6
    assert "it lacks" in str(result.exception)


def test_the_command_prints_json(location: TokenLocation, pin_file: Path) -> None:
    good = invoke(location, "--pin-file", pin_file, "--json")
    assert json.loads(good.output)["suitable"] is True
    with answering(location.module, DERIVE, MECHANISM_INVALID):
        bad = invoke(location, "--pin-file", pin_file, "--json")
    report = json.loads(bad.output)
    assert report["suitable"] is False
    assert isinstance(bad.exception, TokenError)
    row = next(row for row in report["findings"] if not row["ok"])
    assert row.keys() == {"ability", "purpose", "needed", "ok", "detail"}


def test_a_pin_from_each_source(location: TokenLocation, pin_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(pin_file.parent))
    monkeypatch.setenv("THE_PIN", USER_PIN)
    for options in (("--pin-file", pin_file), ("--pin-credential", "pin"), ("--pin-env", "THE_PIN")):
        assert invoke(location, *options).exit_code == 0
    two = invoke(location, "--pin-file", pin_file, "--pin-env", "THE_PIN")
    assert isinstance(two.exception, ConfigError)
    nowhere = invoke(location)
    assert isinstance(nowhere.exception, ConfigError)
    assert "there is no terminal" in str(nowhere.exception)


def test_a_pin_from_the_terminal(location: TokenLocation) -> None:
    ours, theirs = pty.openpty()
    program = [sys.executable, "-c", "from hsm_app.cli.main import main; main()", "token", "probe"]
    options = ["--module", location.module, "--token", location.label, "--softhsm2-conf", location.softhsm2_conf]
    child = subprocess.Popen(
        [*program, *map(str, options)], stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
    )
    os.close(theirs)
    seen = b""
    while b"User PIN of token test: " not in seen:
        seen += os.read(ours, 4096)
    os.write(ours, USER_PIN.encode() + b"\n")
    while b"The vault can run on this token." not in seen:
        seen += os.read(ours, 4096)
    assert child.wait(60) == 0
    os.close(ours)
    assert USER_PIN.encode() not in seen


def test_there_is_no_option_for_the_pin_itself() -> None:
    assert {option for parameter in command.commands["probe"].params for option in parameter.opts} == {
        "--module",
        "--token",
        "--softhsm2-conf",
        "--pin-file",
        "--pin-credential",
        "--pin-env",
        "--json",
    }


def test_through_p11_kits_proxy(location: TokenLocation, pin_file: Path) -> None:
    """The same device behind another module, in a process of its own: the proxy loads SoftHSM a second time."""
    assert PROXIES, "p11-kit's proxy is not installed: apt-get install p11-kit-modules"
    program = [sys.executable, "-c", "from hsm_app.cli.main import main; main()", "token", "probe", "--json"]
    options = ["--module", PROXIES[0], "--token", location.label, "--pin-file", pin_file]
    environment = {**os.environ, "SOFTHSM2_CONF": str(location.softhsm2_conf)}
    done = subprocess.run([*program, *map(str, options)], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["suitable"] is True
