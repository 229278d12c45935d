"""Repair on real processes: replicas that were down are brought level, and then the ones that were up may die."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from tests.live_fleet import LiveFleet, run, well
from tests.patience import PATIENCE
from tests.system.test_main_job import guess, register


def standing(fleet: LiveFleet) -> dict[int, dict[str, Any]]:
    shown = json.loads(run("fleet", "status", str(fleet.root), "--json").stdout)
    return {each["replica"]: each for each in shown["replicas"]}


def wait_level(fleet: LiveFleet, *replicas: int) -> dict[int, dict[str, Any]]:
    deadline = time.monotonic() + PATIENCE
    while True:
        seen = standing(fleet)
        if all(seen[replica].get("is_level") for replica in replicas):
            return seen
        assert time.monotonic() < deadline, seen
        time.sleep(0.3)


def test_replicas_that_were_down_are_brought_level(fleet: LiveFleet, tmp_path: Path) -> None:
    wait_level(fleet, 1, 2, 3, 4, 5)
    destroyed, right, _ = register(fleet, "repair-gone", tmp_path / "gone")
    fleet.kill(1)
    fleet.kill(2)
    people = [register(fleet, f"repair-{number}", tmp_path / str(number)) for number in range(4)]
    for number in range(10):
        assert guess(destroyed, f"wrong {number}")[0] == 21
    away = standing(fleet)
    assert "is away" in away[1]["error"]
    fleet.start()
    seen = wait_level(fleet, 1, 2, 3, 4, 5)
    assert seen[1]["installed"] >= 5  # four people and the destroyed record
    assert len({each["records"] for each in seen.values()}) == 1
    fleet.kill(3)
    fleet.kill(4)
    for config, code, key in people:
        assert well("client", "recover", "--config", str(config), "--print-key", code=code).strip() == key
    assert guess(destroyed, right)[0] == 22
    wait_level(fleet, 1, 2, 5)
    assert well("fleet", "status", str(fleet.root)).count("away") == 2
    fleet.kill(5)
    assert run("fleet", "status", str(fleet.root)).returncode == 7
    fleet.start()
