"""`hsm-vault log` as scripts use it: exit codes, JSON, and what the log's being away must not look like."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from hsm_app.auditor.site import serving
from hsm_app.auditor.witnesses import gather
from hsm_app.errors import ConfigError, LogError, QuorumError
from hsm_app.net.address import Address
from hsm_app.net.http import HttpServer
from tests.auditor.world import World, manifest, world
from tests.cli.command import run
from tests.fleet import trust
from tests.ports import free_ports


@pytest.fixture(scope="module")
def audited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A log of somebody else's, cosigned, until the first test that needs one has logged an epoch."""
    with world(tmp_path_factory.mktemp("log")) as made:
        opened = made.open()
        note = opened.log.append([b"an entry of somebody else"])
        opened.log.publish(gather(note, opened.log.prove_growth, made.root.policy.witnesses).note)
        opened.close()
        yield made


@pytest.fixture
def logged(audited: World) -> World:
    """The same with an epoch."""
    opened = audited.open()
    last = opened.namespaces.last(trust.NAMESPACE)
    opened.close()
    if last is None:
        audited.whole(manifest())
    return audited


def log(command: str, audited: World, *words: str | Path, location: str = "") -> Result:
    where = location or str(audited.auditor / "public")
    return run("log", command, where, "--root-of-trust", audited.directory / "root-of-trust.json", *words)


def outcome(result: Result) -> tuple[int, dict[str, Any]]:
    return result.exit_code, json.loads(result.stdout)


def test_a_log_without_the_namespace_is_not_proven(audited: World) -> None:
    code, said = outcome(log("verify", audited, "--json"))
    assert (code, said["outcome"], said["epochs"]) == (11, "NOT-PROVEN", [])
    assert "NOT-PROVEN  the log has no entry of" in log("verify", audited).stdout


def test_consistency_is_proved_to_who_gives_what_a_monitor_kept(logged: World, tmp_path: Path) -> None:
    state = tmp_path / "seen.json"
    with pytest.raises(ConfigError, match="does not exist"):
        raise log("verify", logged, "--state", state).exception or AssertionError
    assert log("monitor", logged, "--state", state).exception is None
    kept = state.read_bytes()
    code, said = outcome(log("verify", logged, "--state", state, "--json"))
    assert (code, said["epochs"][0]["checks"]["consistency"]["outcome"]) == (0, "PASS")
    assert state.read_bytes() == kept
    document = json.loads(kept)
    state.write_text(json.dumps({**document, "root": "00" * 32}))
    failed = log("verify", logged, "--state", state)
    assert isinstance(failed.exception, LogError)
    assert failed.exception.check == "consistency"
    assert log("verify", logged).exit_code == 0


def test_an_alarm_is_said_in_json_and_nothing_is_kept(logged: World, tmp_path: Path) -> None:
    state = tmp_path / "seen.json"
    assert log("monitor", logged, "--state", state).exception is None
    forged = json.loads(state.read_bytes()) | {"size": 99}
    state.write_text(json.dumps(forged))
    alarmed = log("monitor", logged, "--state", state, "--json")
    assert isinstance(alarmed.exception, LogError)
    assert json.loads(alarmed.stdout)["alarm"]["check"] == "consistency"
    assert json.loads(state.read_bytes()) == forged


def test_a_log_that_is_away_proves_nothing(logged: World, tmp_path: Path) -> None:
    state, away = tmp_path / "seen.json", "http://127.0.0.1:9"
    for command in ("verify", "monitor"):
        words = ("--state", state) if command == "monitor" else ()
        ended = log(command, logged, *words, location=away)
        assert isinstance(ended.exception, QuorumError)
        assert ended.stdout == ""
    assert not state.exists()


def test_a_monitor_that_runs_on_waits_for_a_log_that_is_away(
    logged: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says so, looks again, and finds the log there; the third look is stopped by hand."""
    address = Address(host="127.0.0.1", port=free_ports(1)[0])
    servers: list[HttpServer] = []
    waits: list[float] = []

    def wait(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 2:
            raise KeyboardInterrupt
        servers.append(HttpServer(address, serving(logged.auditor / "public")))

    monkeypatch.setattr(time, "sleep", wait)
    ended = log("monitor", logged, "--state", tmp_path / "s", "--every", "5", location=f"http://{address}")
    servers[0].close()
    assert waits == [5, 5]
    assert ended.stderr.count("does not answer") == 1
    assert "1 new epochs" in ended.stdout


def test_the_place_of_the_state_is_asked_first(logged: World, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no directory"):
        raise log("monitor", logged, "--state", tmp_path / "no" / "s").exception or AssertionError
