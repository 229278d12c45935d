"""`hsm-vault client` as a person uses it, against a vault in memory. What a real fleet does is in `tests/system`."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from hsm_app.client import patience
from hsm_app.client.blocking import Vault
from hsm_app.client.results import Receipt
from hsm_app.errors import BackupError, ConfigError, Denied, DenyReason, ProtocolError, QuorumError
from hsm_app.fleet.manifest import AttemptPolicy
from hsm_app.vault.recovery_code import enter_code
from hsm_app.wire import messages
from tests.cli.command import run, told, well
from tests.client.software_vault import SoftwareVault, manifest_now, running, write_client

CODE, WRONG = "correct horse", "wrong horse"
POLICY = AttemptPolicy(
    maximum=10, waits_seconds=(0,), replace_delay_seconds=3600, charges_per_hour=1000, destructions_per_hour=10
)


@pytest.fixture
def software(monkeypatch: pytest.MonkeyPatch) -> Iterator[SoftwareVault]:
    monkeypatch.setattr(patience, "PAUSES", (0.01,))
    monkeypatch.delenv("HSM_VAULT_CONFIG", raising=False)
    with running(SoftwareVault(manifest_now(attempts=POLICY))) as vault:
        yield vault


@pytest.fixture
def home(software: SoftwareVault, tmp_path: Path) -> Path:
    """The home of a device that has registered a fresh key under CODE."""
    config = write_client(tmp_path / "old", software)
    well("client", "register", "--config", config, code_fd=CODE)
    return tmp_path / "old"


@pytest.fixture
def config(home: Path) -> Path:
    return home / "client.toml"


@pytest.fixture
def new_config(software: SoftwareVault, home: Path, tmp_path: Path) -> Path:
    """The configuration of a new device of the same person."""
    return write_client(tmp_path / "new", software)


def held(config: Path, name: str) -> str:
    return (config.parent / "state" / name).read_text().strip()


class TestRegister:
    def test_shows_a_generated_code_once_and_keeps_a_fresh_key(self, software: SoftwareVault, tmp_path: Path) -> None:
        config = write_client(tmp_path, software)
        shown = well("client", "register", "--config", config)
        code = next(line.strip() for line in shown.splitlines() if line.count("-") == 5)
        assert enter_code(code) == code
        assert "Write it on paper" in shown
        assert len(bytes.fromhex(held(config, "key"))) == 32
        assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o700
        assert code not in "".join(file.read_text() for file in (tmp_path / "state").iterdir())
        assert well("client", "recover", "--config", config, "--print-key", code_fd=code).strip() == held(config, "key")

    def test_writes_the_code_into_a_file_for_its_owner(self, software: SoftwareVault, tmp_path: Path) -> None:
        config = write_client(tmp_path, software)
        shown = well("client", "register", "--config", config, "--code-out", tmp_path / "code")
        code = (tmp_path / "code").read_text().strip()
        assert code not in shown
        assert stat.S_IMODE((tmp_path / "code").stat().st_mode) == 0o600
        well("client", "recover", "--config", config, code_fd=code)

    def test_never_overwrites_a_file_with_a_code(self, software: SoftwareVault, tmp_path: Path) -> None:
        config = write_client(tmp_path, software)
        (tmp_path / "code").write_text("older")
        with pytest.raises(ConfigError, match="exists already"):
            well("client", "register", "--config", config, "--code-out", tmp_path / "code")
        assert (tmp_path / "code").read_text() == "older"
        assert software.asked == []

    def test_tells_a_machine(self, software: SoftwareVault, tmp_path: Path) -> None:
        config = write_client(tmp_path, software)
        answer = told("client", "register", "--config", config)
        assert (answer["generation"], answer["due_at"]) == (1, None)
        assert enter_code(answer["code"]) == answer["code"]

    def test_refuses_a_common_code(self, software: SoftwareVault, tmp_path: Path) -> None:
        config = write_client(tmp_path, software)
        with pytest.raises(ConfigError, match="anyone would try"):
            well("client", "register", "--config", config, code_fd="password1")
        assert software.asked == []

    def test_takes_the_key_that_is_given(self, software: SoftwareVault, tmp_path: Path) -> None:
        config = write_client(tmp_path, software)
        well("client", "register", "--config", config, code_fd=CODE, key_fd="ab" * 32)
        assert held(config, "key") == "ab" * 32

    def test_keeps_the_key_that_the_device_holds(self, software: SoftwareVault, config: Path) -> None:
        before = held(config, "key")
        well("client", "delete", "--config", config, "--yes")
        well("client", "register", "--config", config, code_fd=CODE)
        assert held(config, "key") == before

    def test_never_drops_a_key_that_the_device_holds(self, config: Path) -> None:
        before = held(config, "key")
        with pytest.raises(BackupError, match="another backup key"):
            well("client", "register", "--config", config, code_fd=CODE, key_fd="ab" * 32)
        assert held(config, "key") == before

    def test_does_not_replace_a_live_record_unasked(self, new_config: Path) -> None:
        with pytest.raises(Denied) as caught:
            well("client", "register", "--config", new_config, code_fd="another horse")
        assert caught.value.reason is DenyReason.OWNER_REQUIRED

    def test_replaces_it_at_once_on_the_device_of_its_owner(self, config: Path) -> None:
        assert told("client", "register", "--config", config, "--replace", code_fd="another horse")["generation"] == 2
        well("client", "recover", "--config", config, code_fd="another horse")

    def test_says_of_the_code_on_paper_that_it_is_not_in_use(self, new_config: Path) -> None:
        refused = run("client", "register", "--config", new_config)
        assert isinstance(refused.exception, Denied)
        assert ("Write it on paper" in refused.stdout, "the new code is not in use" in refused.stderr) == (True, True)

    def test_calls_no_code_unused_that_an_earlier_delivery_made_live(
        self, software: SoftwareVault, config: Path
    ) -> None:
        """Whoever delivers decides how often and when: the last word on a request is not the word on all of them."""

        def expired(answer: object) -> object:
            if isinstance(answer, messages.Activated):
                raise Denied(DenyReason.BAD_ACCOUNT_TOKEN, "the account token has expired")
            return answer

        software.twist = expired
        ended = run("client", "change", "--config", config)
        assert isinstance(ended.exception, Denied)
        assert ("is not known" in ended.stderr, "throw it away" in ended.stderr) == (True, False)
        software.twist = lambda answer: answer
        code = next(line.strip() for line in ended.stdout.splitlines() if line.count("-") == 5)
        well("client", "recover", "--config", config, "--print-key", code_fd=code)

    def test_says_of_the_code_on_paper_that_nobody_knows(self, config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def lost(*_: object, **__: object) -> Receipt:
            raise QuorumError("the answer was lost", ambiguous=True)

        def refused(*_: object, **__: object) -> Receipt:
            raise Denied(DenyReason.TENANT_LIMIT, "too many")

        monkeypatch.setattr(Vault, "change", lost)
        ended = run("client", "change", "--config", config)
        assert isinstance(ended.exception, QuorumError)
        assert ("Write it on paper" in ended.stdout, "is not known" in ended.stderr) == (True, True)
        for_programs = run("client", "change", "--config", config, "--json")
        said = json.loads(for_programs.stdout)
        assert (enter_code(said["code"]), said["in_use"]) == (said["code"], None)
        with monkeypatch.context() as within:
            within.setattr(Vault, "change", refused)
            assert run("client", "change", "--config", config, "--json").stdout == ""

    def test_replaces_it_after_a_wait_elsewhere(self, software: SoftwareVault, new_config: Path) -> None:
        shown = well("client", "register", "--config", new_config, "--replace", code_fd="another horse")
        assert "waits until" in shown
        assert told("client", "activate", "--config", new_config)["due_at"] is not None
        software.later = 3601
        assert told("client", "activate", "--config", new_config)["generation"] == 2
        well("client", "recover", "--config", new_config, code_fd="another horse")
        with pytest.raises(ConfigError, match="no replacement of this device waits"):
            well("client", "activate", "--config", new_config)


class TestRecover:
    def test_brings_the_key_to_a_new_device(self, config: Path, new_config: Path) -> None:
        shown = well("client", "recover", "--config", new_config, code_fd=CODE)
        assert held(new_config, "key") == held(config, "key")
        assert held(new_config, "owner-key") == held(config, "owner-key")
        assert held(config, "key") not in shown
        assert "failed" not in shown

    def test_prints_the_key_and_nothing_else(self, config: Path, new_config: Path) -> None:
        with pytest.raises(Denied):
            well("client", "recover", "--config", new_config, code_fd=WRONG)
        result = run("client", "recover", "--config", new_config, "--print-key", code_fd=CODE)
        assert result.stdout == held(config, "key") + "\n"
        assert "Attempts that failed lately" in result.stderr
        assert not (new_config.parent / "state" / "key").exists()

    def test_lists_attempts_that_failed(self, new_config: Path) -> None:
        with pytest.raises(Denied):
            well("client", "recover", "--config", new_config, code_fd=WRONG)
        assert "a recovery was tried with a wrong code" in well(
            "client", "recover", "--config", new_config, code_fd=CODE
        )
        assert len(told("client", "recover", "--config", new_config, code_fd=CODE)["failed_attempts"]) == 1

    def test_does_not_drop_another_key(self, software: SoftwareVault, new_config: Path) -> None:
        well("backup", "key", "--import", "--config", new_config, key_fd="cd" * 32)
        with pytest.raises(BackupError, match="another backup key"):
            well("client", "recover", "--config", new_config, code_fd=CODE)
        assert held(new_config, "key") == "cd" * 32

    def test_refuses_a_secret_that_is_no_key(self, software: SoftwareVault, tmp_path: Path) -> None:
        config = write_client(tmp_path, software)
        Vault(software.config).register(CODE, b"a password")
        with pytest.raises(ProtocolError, match="10 bytes, which is no backup key"):
            well("client", "recover", "--config", config, code_fd=CODE)


class TestChange:
    def test_on_a_device_that_holds_both_keys(self, software: SoftwareVault, config: Path) -> None:
        software.asked.clear()
        well("client", "change", "--config", config, new_code_fd="another horse")
        assert not any(type(asked).__name__.startswith("Recover") for asked in software.asked)
        well("client", "recover", "--config", config, code_fd="another horse")

    def test_on_a_new_device_with_the_present_code(self, config: Path, new_config: Path) -> None:
        answer = told("client", "change", "--config", new_config, code_fd=CODE)
        key = well("client", "recover", "--config", new_config, "--print-key", code_fd=answer["code"])
        assert key.strip() == held(config, "key")

    def test_after_another_device_has_changed_it(self, config: Path, new_config: Path) -> None:
        well("client", "change", "--config", new_config, code_fd=CODE, new_code_fd="another horse")
        with pytest.raises(Denied) as caught:
            well("client", "change", "--config", config, new_code_fd="third horse")
        assert caught.value.reason is DenyReason.OWNER_REQUIRED
        well("client", "change", "--config", config, code_fd="another horse", new_code_fd="third horse")
        well("client", "recover", "--config", config, code_fd="third horse")


class TestDeleteAndCancel:
    def test_the_owner_deletes_at_once_and_keeps_the_key(self, config: Path) -> None:
        assert told("client", "delete", "--config", config, "--yes") == {"deleted": True, "due_at": None}
        assert (config.parent / "state" / "key").exists()
        assert not (config.parent / "state" / "owner-key").exists()

    def test_a_new_device_deletes_with_the_code(self, new_config: Path) -> None:
        assert told("client", "delete", "--config", new_config, "--yes", code_fd=CODE)["deleted"]

    def test_nothing_is_deleted_without_a_yes(self, software: SoftwareVault, config: Path) -> None:
        software.asked.clear()
        with pytest.raises(click.Abort):
            well("client", "delete", "--config", config)
        assert software.asked == []

    def test_the_owner_cancels_what_somebody_else_began(self, config: Path, new_config: Path) -> None:
        assert "waits until" in well("client", "delete", "--config", new_config, "--yes")
        assert "a deletion, due" in well("client", "status", "--config", config)
        assert told("client", "cancel", "--config", config) == {"generation": 1}
        assert told("client", "status", "--config", config)["pending"] is None

    def test_the_code_cancels_as_well(self, new_config: Path) -> None:
        well("client", "delete", "--config", new_config, "--yes")
        well("client", "cancel", "--config", new_config, code_fd=CODE)
        assert told("client", "status", "--config", new_config)["pending"] is None


class TestStatus:
    def test_is_a_table_for_people(self, config: Path) -> None:
        with pytest.raises(Denied):
            well("client", "recover", "--config", config, code_fd=WRONG)
        shown = well("client", "status", "--config", config)
        for text in ("active", "9 of 10", "replica 1 of fleet fleet-1", "a recovery was tried with a wrong code"):
            assert text in shown

    def test_is_a_proof_for_machines(self, config: Path) -> None:
        answer = told("client", "status", "--config", config)
        assert (answer["state"], answer["attempts_left"], answer["maximum"], answer["pending"]) == (
            "active",
            10,
            10,
            None,
        )
        assert len(bytes.fromhex(answer["signature"])) == 64
        assert bytes.fromhex(answer["signed"])

    def test_of_nothing(self, software: SoftwareVault, tmp_path: Path) -> None:
        shown = well("client", "status", "--config", write_client(tmp_path, software))
        assert "empty" in shown
        assert "attempts left" not in shown


class TestConfiguration:
    def test_may_be_named_by_the_environment(self, config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HSM_VAULT_CONFIG", str(config))
        assert "active" in well("client", "status")

    def test_lies_in_a_usual_place(self, config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        place = tmp_path / "home" / ".config" / "hsm-vault"
        place.mkdir(parents=True)
        (place / "client.toml").write_text(
            config.read_text().replace('"manifest.json"', f'"{config.parent}/manifest.json"')
        )
        (place / "token").touch(0o600)
        (place / "token").write_text("a.b.c")
        monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
        monkeypatch.setenv("HOME", str(tmp_path / "home"))
        assert "active" in well("client", "status")

    def test_that_is_missing_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match=r"no\.toml"):
            well("client", "status", "--config", tmp_path / "no.toml")

    def test_with_an_older_manifest_than_before_is_refused(self, config: Path) -> None:
        (config.parent / "state" / "manifest").write_text("2 " + "00" * 32)
        with pytest.raises(ConfigError, match="has worked with manifest 2"):
            well("client", "status", "--config", config)


COMMANDS = ["register", "recover", "migrate", "change", "activate", "delete", "cancel", "status"]


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_an_example(command: str) -> None:
    result = run("client", command, "--help")
    assert f"hsm-vault client {command}" in result.stdout
    assert "--config" in result.stdout
