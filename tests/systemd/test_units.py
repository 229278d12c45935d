"""The systemd units: they start what exists, in a sandbox that none of them leaves out."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from hsm_app.cli.main import cli
from hsm_app.errors import ConfigError, LogError, TokenError
from tests.systemd.unit_file import DIRECTORY, Unit, read_unit, services

PROGRAM = "/opt/hsm-vault/bin/hsm-vault"
WRONG_USAGE = 2
HARDENING = {
    "UMask": "0077",
    "LimitCORE": "0",
    "MemorySwapMax": "0",
    "MemoryDenyWriteExecute": "yes",
    "NoNewPrivileges": "yes",
    "CapabilityBoundingSet": "",
    "AmbientCapabilities": "",
    "RestrictSUIDSGID": "yes",
    "RestrictNamespaces": "yes",
    "RestrictRealtime": "yes",
    "LockPersonality": "yes",
    "PrivateUsers": "yes",
    "KeyringMode": "private",
    "RemoveIPC": "yes",
    "ProtectSystem": "strict",
    "ProtectHome": "yes",
    "PrivateTmp": "yes",
    "PrivateDevices": "yes",
    "DevicePolicy": "closed",
    "ProtectProc": "invisible",
    "ProcSubset": "pid",
    "ProtectKernelTunables": "yes",
    "ProtectKernelModules": "yes",
    "ProtectKernelLogs": "yes",
    "ProtectControlGroups": "yes",
    "ProtectClock": "yes",
    "ProtectHostname": "yes",
    "RestrictAddressFamilies": "AF_INET AF_INET6 AF_UNIX",
    "SystemCallArchitectures": "native",
    "SystemCallErrorNumber": "EPERM",
}
SERVICES = services()
NAMES = [unit.path.name for unit in SERVICES]


def of(name: str) -> Unit:
    return read_unit(DIRECTORY / name)


def test_the_units_are_there() -> None:
    assert NAMES == [
        "hsm-vault-auditor-cosign@.service",
        "hsm-vault-auditor.service",
        "hsm-vault-relay.service",
        "hsm-vault-replica@.service",
        "hsm-vault-witness.service",
    ]


@pytest.mark.parametrize("unit", SERVICES, ids=NAMES)
def test_every_unit_keeps_the_whole_list(unit: Unit) -> None:
    assert {name: unit.one(name) for name in HARDENING} == HARDENING
    assert unit.all("SystemCallFilter") == ["@system-service", "~@privileged @resources"]


@pytest.mark.parametrize("unit", SERVICES, ids=NAMES)
def test_a_directive_stands_once(unit: Unit) -> None:
    for section, lines in unit.sections.items():
        names = [name for name, _ in lines if name != "SystemCallFilter"]
        assert len(names) == len(set(names)), section


@pytest.mark.parametrize("unit", SERVICES, ids=NAMES)
def test_what_it_starts_exists_with_these_options(unit: Unit) -> None:
    program, *words = shlex.split(unit.one("ExecStart").replace("%i", "1"))
    assert program == PROGRAM
    group = cli.get_command(click.Context(cli), words[0])
    assert isinstance(group, click.Group), words
    command = group.commands[words[1]]
    given, left, _ = command.make_parser(click.Context(command)).parse_args(words[2:])
    assert left == []
    assert [param.name for param in command.params if param.required and given.get(param.name or "") is None] == []


def test_the_comparison_with_the_command_line_sees_an_option_that_is_gone() -> None:
    command = cli.get_command(click.Context(cli), "relay")
    assert isinstance(command, click.Group)
    serve = command.commands["serve"]
    with pytest.raises(click.NoSuchOption):
        serve.make_parser(click.Context(serve)).parse_args(["--configuration", "x"])


@pytest.mark.parametrize("unit", SERVICES, ids=NAMES)
def test_a_service_writes_its_own_directory_alone(unit: Unit) -> None:
    own = [f"/var/lib/{directory}" for directory in unit.all("StateDirectory")]
    named = re.findall(r"/var/lib/\S+", unit.one("ExecStart"))
    if own:
        assert [path for path in named if not path.startswith(own[0])] == []
    assert not [
        name for name, _ in unit.sections["Service"] if name in ("ReadWritePaths", "BindPaths", "ReadWriteDirectories")
    ]


def test_who_serves_the_log_cannot_write_it() -> None:
    assert of("hsm-vault-auditor.service").all("StateDirectory") == []


def test_users_are_those_of_the_sysusers_file() -> None:
    made = set(re.findall(r"^u (\S+) - ", (DIRECTORY / "hsm-vault-users.conf").read_text(), re.MULTILINE))
    assert {user for unit in SERVICES for user in unit.all("User")} == made
    for unit in SERVICES:
        assert unit.all("User") == unit.all("Group")
        assert bool(unit.all("User")) != (unit.all("DynamicUser") == ["yes"])
    assert of("hsm-vault-relay.service").one("DynamicUser") == "yes"


def test_a_replica_that_fails_for_good_is_not_tried_again() -> None:
    """A wrong PIN, tried again, may lock the token; a changed store or a database that came back is worth a try."""
    codes = {WRONG_USAGE, ConfigError.exit_code, TokenError.exit_code, LogError.exit_code}
    replica = of("hsm-vault-replica@.service")
    assert {int(code) for code in replica.one("RestartPreventExitStatus").split()} == codes
    assert replica.one("StartLimitBurst", "Unit") == "4"


def test_the_pin_comes_as_a_credential_and_the_guide_says_so() -> None:
    name, _, path = of("hsm-vault-replica@.service").one("LoadCredential").partition(":")
    guide = (DIRECTORY.parents[1] / "docs" / "hardware.md").read_text()
    assert f'pin_credential = "{name}"' in guide
    assert path.replace("%i", "1") in guide


def test_what_answers_a_web_server_talks_to_this_host_alone() -> None:
    for name in ("hsm-vault-auditor.service", "hsm-vault-witness.service"):
        unit = of(name)
        assert (unit.one("IPAddressDeny"), unit.one("IPAddressAllow")) == ("any", "localhost")
        assert "--listen 127.0.0.1:" in unit.one("ExecStart")


def test_a_timer_starts_a_unit_that_exists() -> None:
    for timer in DIRECTORY.glob("*.timer"):
        assert read_unit(timer).all("Unit", "Timer") == []
        assert timer.with_suffix(".service").is_file()


def test_the_drop_in_for_usb_opens_devices_and_nothing_else() -> None:
    assert read_unit(DIRECTORY / "usb-token.conf").sections == {
        "Service": (
            ("PrivateDevices", "no"),
            ("DeviceAllow", "char-usb_device rw"),
            ("RestrictAddressFamilies", "AF_NETLINK"),
        )
    }


BAD = {
    "a line that is nothing": "[Service]\nnonsense\n",
    "a directive before a section": "User=x\n[Service]\n",
    "a section twice": "[Service]\n[Service]\n",
    "a directive in small letters": "[Service]\nuser=x\n",
    "a comment after a directive's name": "[Service]\nUser # x\n",
}


@pytest.mark.parametrize("text", BAD.values(), ids=BAD.keys())
def test_the_reader_refuses(text: str, tmp_path: Path) -> None:
    (tmp_path / "x.service").write_text(text)
    with pytest.raises(ValueError, match=r"x\.service, line"):
        read_unit(tmp_path / "x.service")
