"""The main job, as a person would do it, on a real fleet: register, lose the device, recover."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from tests.live_fleet import LiveFleet, run, well
from tests.patience import PATIENCE


def register(fleet: LiveFleet, account: str, home: Path, record: str = "backup") -> tuple[Path, str, str]:
    """Register a fresh key on a device; return its configuration, the code, and the key."""
    config = fleet.client_config(account, home, record)
    code_file = home / "code"
    well("client", "register", "--config", str(config), "--code-out", str(code_file))
    code = code_file.read_text().strip()
    return config, code, well("client", "recover", "--config", str(config), "--print-key", code=code).strip()


def guess(config: Path, code: str) -> tuple[int, str]:
    done = run("client", "recover", "--config", str(config), code=code)
    return done.returncode, done.stderr.strip()


def test_a_new_device_with_account_and_code_alone_gets_the_key_back(fleet: LiveFleet, tmp_path: Path) -> None:
    _, code, key = register(fleet, "anna", tmp_path / "old")
    new = fleet.client_config("anna", tmp_path / "new")
    assert well("client", "recover", "--config", str(new), "--print-key", code=code).strip() == key
    assert len(bytes.fromhex(key)) == 32


def test_two_dead_replicas_cost_nothing_and_three_stop_everything_in_bounded_time(
    fleet: LiveFleet, tmp_path: Path
) -> None:
    config, code, key = register(fleet, "berta", tmp_path / "berta")
    fleet.kill(2)
    fleet.kill(4)
    assert well("client", "recover", "--config", str(config), "--print-key", code=code).strip() == key
    fleet.kill(5)
    began = time.monotonic()
    status, message = guess(config, code)
    assert (status, time.monotonic() - began < PATIENCE) == (7, True), message
    assert "try again" in message.lower()
    fleet.start()
    assert json.loads(well("client", "status", "--config", str(config), "--json"))["attempts_left"] == 10


def test_ten_wrong_codes_destroy_the_record_and_the_right_one_is_useless(fleet: LiveFleet, tmp_path: Path) -> None:
    config, code, _ = register(fleet, "carla", tmp_path / "carla")
    for left in range(9, -1, -1):
        status, message = guess(config, f"wrong {left}")
        assert status == 21
        assert f"[attempts left: {left}]" in message
    assert guess(config, code)[0] == 22
    log = json.loads(well("client", "status", "--config", str(config), "--json"))
    assert log["state"] == "destroyed"


def test_a_right_code_gives_the_wrong_ones_before_it_back(fleet: LiveFleet, tmp_path: Path) -> None:
    config, code, key = register(fleet, "dora", tmp_path / "dora")
    for _ in range(2):
        for left in range(9, 0, -1):
            assert f"[attempts left: {left}]" in guess(config, "wrong")[1]
        assert well("client", "recover", "--config", str(config), "--print-key", code=code).strip() == key


def test_another_account_and_another_record_name_find_no_record(fleet: LiveFleet, tmp_path: Path) -> None:
    _, code, _ = register(fleet, "emma", tmp_path / "emma")
    assert guess(fleet.client_config("not-emma", tmp_path / "other"), code)[0] == 23
    assert guess(fleet.client_config("emma", tmp_path / "name", "photos"), code)[0] == 23


def test_a_changed_code_kills_the_old_one(fleet: LiveFleet, tmp_path: Path) -> None:
    config, code, key = register(fleet, "frida", tmp_path / "frida")
    new_code = tmp_path / "new-code"
    well("client", "change", "--config", str(config), "--code-out", str(new_code))
    assert guess(config, code)[0] == 21
    fresh = fleet.client_config("frida", tmp_path / "fresh")
    assert (
        well("client", "recover", "--config", str(fresh), "--print-key", code=new_code.read_text().strip())
        == key + "\n"
    )


def test_a_thief_of_the_account_token_cannot_delete_at_once_and_the_owner_can_cancel(
    fleet: LiveFleet, tmp_path: Path
) -> None:
    owner, code, key = register(fleet, "gerda", tmp_path / "gerda")
    thief = fleet.client_config("gerda", tmp_path / "thief")
    run("client", "delete", "--config", str(thief), "--yes")
    assert json.loads(well("client", "status", "--config", str(owner), "--json"))["pending"] is not None
    well("client", "cancel", "--config", str(owner))
    assert json.loads(well("client", "status", "--config", str(owner), "--json"))["pending"] is None
    assert well("client", "recover", "--config", str(thief), "--print-key", code=code).strip() == key


def test_the_owner_deletes_at_once(fleet: LiveFleet, tmp_path: Path) -> None:
    owner, code, _ = register(fleet, "hanna", tmp_path / "hanna")
    well("client", "delete", "--config", str(owner), "--yes")
    assert guess(owner, code)[0] == 23


@pytest.mark.parametrize("scope", ["vault:status", "vault:register"])
def test_an_account_token_without_the_scope_recovers_nothing(fleet: LiveFleet, tmp_path: Path, scope: str) -> None:
    config, code, _ = register(fleet, "ida", tmp_path / "ida", record=scope)
    (tmp_path / "ida" / "account-token").write_text(fleet.token("ida", "--scope", scope))
    assert guess(config, code)[0] == 25
