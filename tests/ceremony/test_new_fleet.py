"""A new fleet takes over from an old one: its ceremony is killed and taken up, it is published, and audited."""

from __future__ import annotations

import json
from pathlib import Path

from hsm_app.ceremony.transcript import EntryKind
from hsm_app.epochs import read_manifest
from hsm_app.fleet.manifest import FleetState
from hsm_app.key_files import make_key_file
from tests.ceremony.plans import PEOPLE, plan_text
from tests.ceremony.stage import Rehearsal
from tests.cli.command import run, well
from tests.fleet import trust
from tests.token.fresh import softhsm


def signed_by_all(root: Path, keys: list[Path]) -> None:
    for number, key in enumerate(keys, 1):
        well("ceremony", "testimony", root, str(number), "--key", key)


def test_a_new_fleet_takes_over_from_an_old_one(tmp_path: Path) -> None:
    (tmp_path / "root.json").write_bytes(trust.root_of_trust().raw)
    old, new = tmp_path / "old", tmp_path / "new"
    made = ("--replicas", "3", "--module", softhsm(), "--fleet-id", "fleet-0")
    well("fleet", "create", old, *made, "--root-of-trust", tmp_path / "root.json")

    keys = [tmp_path / f"{name}.pem" for name, _ in PEOPLE]
    public = [make_key_file(path).key for path in keys]
    text = plan_text("new-fleet", keys=[f"{key.algorithm}:{key.public.hex()}" for key in public])
    rehearsal = Rehearsal(new, text)
    assert rehearsal.killed_to_the_end(seed=11, lines=(30, 90)) > 2
    steps = [step.id for step in rehearsal.ceremony.script.steps]
    assert [entry.step for entry in rehearsal.of(EntryKind.DONE)] == steps
    assert "leave" in steps

    signed_by_all(new, keys)
    well("ceremony", "publish", new, "--module", softhsm(), "--after", old)
    manifest = read_manifest(new / "manifest.json")
    assert [manifest.fleet(name).state for name in ("fleet-0", "fleet-1")] == [
        FleetState.RECOVER_ONLY, FleetState.ACTIVE,
    ]  # fmt: skip
    assert manifest.epoch == read_manifest(old / "manifest.json").epoch + 1
    audited = run("audit", new / "evidence", "--json")
    outcomes = {each["check"]: each["outcome"] for each in json.loads(audited.stdout)["checks"]}
    assert {name for name, outcome in outcomes.items() if outcome == "FAIL"} == set()
    assert outcomes["manifest"] == outcomes["sealed"] == outcomes["custodian-threshold"] == "PASS"
    assert audited.exit_code == 11
