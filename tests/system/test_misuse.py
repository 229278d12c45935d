"""What an operator or an accident does to a replica: each is one clear error with its exit code, and the fleet goes on.

Covered: wrong PIN, open PIN file, foreign and expired manifest, foreign fleet keys, port in use, store in use, store
in an unusable directory, damaged store, full disk, stopped process, junk on every port, replayed requests. Not covered
here: a clock that jumps (`tests/replica/test_clock.py`), rolled-back disks (`test_anchored_stores.py`).
"""

from __future__ import annotations

import hashlib
import json
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.live_fleet import VAULT, LiveFleet, run, well
from tests.patience import PATIENCE
from tests.system.tap import Tap
from tests.system.test_main_job import guess, register

Damage = Callable[
    [LiveFleet, Path, str], str
]  # the fleet, a scratch directory, replica.toml's text; returns the new text


def wrong_pin(_: LiveFleet, scratch: Path, text: str) -> str:
    return with_pin(scratch, text, 0o600)


def open_pin_file(_: LiveFleet, scratch: Path, text: str) -> str:
    return with_pin(scratch, text, 0o644)


def with_pin(scratch: Path, text: str, mode: int) -> str:
    pin = scratch / "pin"
    pin.write_text("not-the-pin-of-this-token\n")
    pin.chmod(mode)
    return replaced(text, "pin_file", str(pin))


def replaced(text: str, key: str, value: str) -> str:
    lines = [f'{key} = "{value}"' if line.startswith(f"{key} = ") else line for line in text.splitlines()]
    return "\n".join(lines) + "\n"


def foreign_manifest(fleet: LiveFleet, scratch: Path, text: str) -> str:
    return with_manifest(fleet, scratch, text, lambda document: document["fleets"][0].update(fleet="another-fleet"))


def expired_manifest(fleet: LiveFleet, scratch: Path, text: str) -> str:
    def expire(document: dict[str, object]) -> None:
        document.update(
            issued_at="2020-01-01T00:00:00Z", not_before="2020-01-01T00:00:00Z", not_after="2021-01-01T00:00:00Z"
        )

    return with_manifest(fleet, scratch, text, expire)


def other_keys_manifest(fleet: LiveFleet, scratch: Path, text: str) -> str:
    def exchange(document: dict[str, list[dict[str, str]]]) -> None:
        of_fleet = document["fleets"][0]
        of_fleet["kem_public"], of_fleet["opaque_public"] = of_fleet["opaque_public"], of_fleet["kem_public"]

    return with_manifest(fleet, scratch, text, exchange)


def with_manifest(fleet: LiveFleet, scratch: Path, text: str, change: Callable[..., None]) -> str:
    document = json.loads((fleet.root / "manifest.json").read_text())
    change(document)
    path = scratch / "manifest.json"
    path.write_text(json.dumps(document))
    return replaced(text, "manifest", str(path))


def damaged_fleet_keys(fleet: LiveFleet, scratch: Path, text: str) -> str:
    data = bytearray((fleet.root / "fleet-keys.bin").read_bytes())
    data[len(data) // 2] ^= 1
    path = scratch / "fleet-keys.bin"
    path.write_bytes(data)
    return replaced(text, "fleet_keys", str(path))


def another_replicas_token(_: LiveFleet, __: Path, text: str) -> str:
    text = text.replace("replica-1/softhsm2.conf", "replica-2/softhsm2.conf").replace("replica-1/pin", "replica-2/pin")
    return replaced(text, "label", "test-fleet-2")


def unusable_directory(_: LiveFleet, __: Path, text: str) -> str:
    return replaced(text, "store", "/proc/store.sqlite")


def foreign_store(_: LiveFleet, scratch: Path, text: str) -> str:
    (scratch / "store.sqlite").write_bytes(b"this is no database" * 100)
    return replaced(text, "store", str(scratch / "store.sqlite"))


def store_of_another_replica(fleet: LiveFleet, scratch: Path, text: str) -> str:
    shutil.copy(fleet.root / "replica-2" / "store.sqlite", scratch / "store.sqlite")
    return replaced(text, "store", str(scratch / "store.sqlite"))


def missing_module(_: LiveFleet, __: Path, text: str) -> str:
    return replaced(text, "module", "/nonexistent/module.so")


def unknown_key(_: LiveFleet, __: Path, text: str) -> str:
    return "stroe = 1\n" + text


DAMAGES: list[tuple[Damage, int, str]] = [
    (wrong_pin, 6, "PIN"),
    (open_pin_file, 3, "chmod 600"),
    (foreign_manifest, 3, "lists no fleet"),
    (expired_manifest, 3, "has expired"),
    (other_keys_manifest, 6, "manifest"),
    (damaged_fleet_keys, 6, ""),
    (another_replicas_token, 6, "manifest names"),
    (unusable_directory, 8, "cannot be opened"),
    (foreign_store, 8, "no database"),
    (store_of_another_replica, 8, "belongs to replica 2"),
    (missing_module, 3, "names no file"),
    (unknown_key, 3, "unknown key"),
]


@pytest.mark.parametrize(("damage", "code", "says"), DAMAGES, ids=[damage.__name__ for damage, _, _ in DAMAGES])
def test_a_replica_that_cannot_work_says_why_and_does_not_start(
    fleet: LiveFleet, tmp_path: Path, damage: Damage, code: int, says: str
) -> None:
    fleet.kill(1)
    if damage is store_of_another_replica:
        fleet.kill(2, signal.SIGTERM)
    config = tmp_path / "replica.toml"
    config.write_text(damage(fleet, tmp_path, fleet.settings("replica-1").read_text()))
    done = run("replica", "serve", "--config", str(config))
    assert (done.returncode, done.stdout) == (code, "")
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert "not-the-pin" not in done.stderr


def test_a_second_process_of_one_replica_and_a_taken_port_are_refused(fleet: LiveFleet, tmp_path: Path) -> None:
    second = run("replica", "serve", "--config", str(fleet.settings("replica-1")))
    assert second.returncode == 8
    assert "another process has it open" in second.stderr
    relay = run("relay", "serve", "--config", str(fleet.root / "relay.toml"))
    assert relay.returncode == 3
    assert "is in use" in relay.stderr


def test_a_full_disk_ends_that_replica_before_it_loses_a_vote_and_the_fleet_goes_on(
    fleet: LiveFleet, tmp_path: Path
) -> None:
    config, code, key = register(fleet, "full", tmp_path / "full")
    fleet.kill(3, signal.SIGTERM)
    store = fleet.root / "replica-3" / "store.sqlite"
    blocks = store.stat().st_size // 512 + 24  # of 512 bytes: room to start, and for a few votes
    with fleet.log("replica-3").open("wb") as sink:
        limited = ["sh", "-c", f"ulimit -f {blocks}; exec {VAULT} replica serve --config {fleet.settings('replica-3')}"]
        fleet.processes["replica-3"] = subprocess.Popen(limited, stdout=sink, stderr=subprocess.STDOUT)
    fleet.wait_ready("replica-3")
    began = time.monotonic()
    while fleet.is_running("replica-3") and time.monotonic() - began < PATIENCE:
        well("client", "recover", "--config", str(config), "--print-key", code=code)
    status, log = fleet.ended("replica-3")
    assert status == 8, log
    assert "store.sqlite" in log
    fleet.start()
    assert well("client", "recover", "--config", str(config), "--print-key", code=code).strip() == key


def test_a_stopped_replica_holds_nobody_up_for_long(fleet: LiveFleet, tmp_path: Path) -> None:
    config, code, key = register(fleet, "stopped", tmp_path / "stopped")
    for number in (1, 3):
        fleet.suspend(f"replica-{number}")
    try:  # for as long as one operation may go on retrying, which is less than the two stand still
        assert well("client", "recover", "--config", str(config), "--print-key", code=code).strip() == key
    finally:
        for number in (1, 3):
            fleet.processes[f"replica-{number}"].send_signal(signal.SIGCONT)


@pytest.mark.parametrize("junk", [b"\0" * 64, b"\xff" * 64, b"GET / HTTP/1.1\r\n\r\n", bytes(range(256)) * 40])
def test_junk_on_any_port_is_hung_up_on_and_changes_nothing(fleet: LiveFleet, tmp_path: Path, junk: bytes) -> None:
    text = fleet.settings("replica-1").read_text().split("[listen]")[1].split("[peers]")[0]
    ports = [int(line.rpartition(":")[2].strip('"')) for line in text.strip().splitlines() if "unix:" not in line]
    for port in (*ports, fleet.relay_port):
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.settimeout(PATIENCE)
            connection.sendall(junk)
            assert hung_up(connection)
    assert fleet.is_running("replica-1")
    assert fleet.is_running("relay")


def hung_up(connection: socket.socket) -> bool:
    try:
        while connection.recv(4096):
            pass
    except ConnectionResetError:
        return True
    return True


def test_replaying_everything_that_a_client_ever_sent_changes_nothing(fleet: LiveFleet, tmp_path: Path) -> None:
    with Tap(("127.0.0.1", fleet.relay_port)) as tap:
        config = fleet.client_config("replay", tmp_path / "replay")
        direct = config.read_text()
        config.write_text(direct.replace(f"127.0.0.1:{fleet.relay_port}", f"127.0.0.1:{tap.port}"))
        well("client", "register", "--config", str(config), "--code-out", str(tmp_path / "code"))
        code = (tmp_path / "code").read_text().strip()
        key = well("client", "recover", "--config", str(config), "--print-key", code=code).strip()
        for _ in range(9):
            assert guess(config, "wrong")[0] == 21
    config.write_text(direct)
    before = json.loads(well("client", "status", "--config", str(config), "--json"))
    assert before["attempts_left"] == 1
    for tapped in tap.connections * 2:
        with socket.create_connection(("127.0.0.1", fleet.relay_port)) as connection:
            connection.sendall(tapped.sent)
            connection.shutdown(socket.SHUT_WR)
            connection.settimeout(PATIENCE)
            while connection.recv(65536):
                pass
    after = json.loads(well("client", "status", "--config", str(config), "--json"))
    for name in ("state", "generation", "attempts_left", "events"):
        assert after[name] == before[name]
    assert well("client", "recover", "--config", str(config), "--print-key", code=code).strip() == key


def test_a_client_with_another_manifest_is_told_so_at_each_step(fleet: LiveFleet, tmp_path: Path) -> None:
    config, code, _ = register(fleet, "pinned", tmp_path / "pinned")
    manifest = tmp_path / "manifest.json"
    manifest.write_bytes((fleet.root / "manifest.json").read_bytes() + b" ")
    config.write_text(replaced(config.read_text(), "manifest", str(manifest)))
    status, message = guess(config, code)
    assert (status, "digest" in message or "pinned" in message) == (3, True), message
    digest = hashlib.sha256(manifest.read_bytes()).hexdigest()
    config.write_text(replaced(config.read_text(), "manifest_sha256", digest))
    status, message = guess(config, code)
    assert (status, "has worked with manifest" in message) == (3, True), message
    fresh = fleet.client_config("pinned", tmp_path / "fresh")
    text = replaced(fresh.read_text(), "manifest", str(manifest))
    fresh.write_text(replaced(text, "manifest_sha256", digest))
    status, message = guess(fresh, code)
    assert status in (4, 7), message
    assert "manifest" in message


def test_a_forged_or_expired_account_token_is_refused_by_the_hsm_application(fleet: LiveFleet, tmp_path: Path) -> None:
    config, code, _ = register(fleet, "forged", tmp_path / "forged")
    token = tmp_path / "forged" / "account-token"
    head, body, signature = token.read_text().strip().split(".")
    token.write_text(f"{head}.{body}.{signature[:-8]}AAAAAAAA\n")
    assert guess(config, code)[0] == 25
    token.write_text(fleet.token("forged", "--lifetime", "1"))
    time.sleep(2.1)
    status, message = guess(config, code)
    assert status == 25
    assert "token" in message
