"""The library against a real fleet: five SoftHSM tokens, five replicas, a relay."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from hsm_app.client.blocking import Vault
from hsm_app.client.check import check_client as check
from hsm_app.client.config import read_client_settings
from hsm_app.client.device import Device
from hsm_app.client.randomness import random_bytes
from hsm_app.client.vault import AsyncVault
from hsm_app.errors import ConfigError, Denied, DenyReason
from hsm_app.vault.recovery_code import RANDOM_BYTES, generate_code
from tests.live_fleet import FLEET, LiveFleet

CODE = "a code of some length"


def opened(config: Path) -> Device:
    return Device(read_client_settings(config), lambda _: None)


def vault_for(fleet: LiveFleet, account: str, home: Path) -> Vault:
    return opened(fleet.client_config(account, home)).vault(FLEET)


def test_a_new_device_gets_the_key_with_account_and_code_alone(fleet: LiveFleet, tmp_path: Path) -> None:
    key, code = os.urandom(32), generate_code(random_bytes(RANDOM_BYTES))
    receipt = vault_for(fleet, "lib-anna", tmp_path / "old").register(code, key)
    fleet.kill(1)
    fleet.kill(3)
    recovery = vault_for(fleet, "lib-anna", tmp_path / "new").recover(code)
    assert (recovery.secret, recovery.owner_key, recovery.generation) == (key, receipt.owner_key, 1)


def test_a_status_is_signed_by_a_token_of_the_manifest(fleet: LiveFleet, tmp_path: Path) -> None:
    vault = vault_for(fleet, "lib-berta", tmp_path / "berta")
    assert vault.status().body.state == "empty"
    vault.register(CODE, bytes(32))
    with pytest.raises(Denied) as caught:
        vault.recover("another code")
    assert (caught.value.reason, caught.value.attempts_left) == (DenyReason.WRONG_CODE, 9)
    status = vault.status()
    assert (status.body.state, status.body.attempts_left) == ("active", 9)
    assert 1 <= status.report.replica <= 5


def test_the_owner_changes_cancels_and_deletes(fleet: LiveFleet, tmp_path: Path) -> None:
    vault = vault_for(fleet, "lib-carla", tmp_path / "carla")
    first = vault.register(CODE, bytes(32))
    second = vault.change("quite another code", secret=b"\x01" * 32, owner_key=first.owner_key)
    assert second.generation == 2
    assert vault.delete().due_at is not None
    assert vault.status().body.pending is not None
    assert vault.cancel(second.owner_key) == 2
    assert vault.recover("quite another code").secret == b"\x01" * 32
    assert vault.delete(second.owner_key).generation == 3
    with pytest.raises(Denied) as caught:
        vault.recover("quite another code")
    assert caught.value.reason is DenyReason.NO_RECORD


async def test_many_operations_share_a_connection(fleet: LiveFleet, tmp_path: Path) -> None:
    config = await asyncio.to_thread(fleet.client_config, "lib-dora", tmp_path / "dora")
    async with AsyncVault(opened(config).config(FLEET)) as vault:
        await vault.register(CODE, bytes(32))
        recoveries = await asyncio.gather(*(vault.recover(CODE) for _ in range(4)))
        assert {recovery.secret for recovery in recoveries} == {bytes(32)}
        assert (await vault.status()).body.attempts_left == 10


def test_a_token_of_another_account_is_noticed(fleet: LiveFleet, tmp_path: Path) -> None:
    config = fleet.client_config("lib-emma", tmp_path / "emma")
    (tmp_path / "emma" / "account-token").write_text(fleet.token("somebody-else"))
    with pytest.raises(ConfigError, match="for account 'somebody-else' of tenant 'demo'"):
        opened(config).vault(FLEET).status()


def test_a_damaged_token_is_refused(fleet: LiveFleet, tmp_path: Path) -> None:
    config = fleet.client_config("lib-emma", tmp_path / "emma")
    token = fleet.token("lib-emma")
    (tmp_path / "emma" / "account-token").write_text(token[:-8] + "AAAAAAAA")
    with pytest.raises(Denied) as caught:
        opened(config).vault(FLEET).status()
    assert caught.value.reason is DenyReason.BAD_ACCOUNT_TOKEN


def test_a_ready_configuration_checks_well(fleet: LiveFleet, tmp_path: Path) -> None:
    assert any("test-fleet, active" in line for line in check(fleet.client_config("lib-frida", tmp_path / "frida")))
