"""A manifest's whole way on the command line: auditor, operator, two witnesses, log over HTTP, verifier, monitor."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from hsm_app.fleet.manifest_json import parse_manifest
from tests.auditor.world import following, manifest
from tests.fleet import trust
from tests.live_fleet import run
from tests.system.parties import Parties, made_parties, serving, witness


@pytest.fixture
def parties(tmp_path: Path) -> Iterator[Parties]:
    made = made_parties(tmp_path)
    listen = made.log_url.removeprefix("http://")
    with serving(tmp_path / "log.log", "auditor", "serve", made.path("auditor"), "--listen", listen):
        yield made


def test_a_manifest_s_whole_way(parties: Parties) -> None:
    raw = manifest()
    with witness(parties, 0), witness(parties, 1):
        parties.publish(raw, "one")
        second = following(raw, fleets=(trust.next_members(),))
        first_look = parties.monitor()
        parties.publish(second, "two")
        new_look = parties.monitor()
        whole = run("auditor", "verify", parties.path("auditor"))
    assert "epoch 1" in first_look.stdout
    assert "1 new epochs" in first_look.stdout
    assert "~ fleet fleet-1 group 0 replica 1 identity key" in new_look.stdout
    assert "epoch 1," not in new_look.stdout
    assert "2 entries and 1 tiles" in whole.stdout
    shown = json.loads(parties.verify("--json").stdout)
    assert [epoch["epoch"] for epoch in shown["epochs"]] == [1, 2]
    assert not shown["failed"]
    assert parties.verify("--limit", "1").stdout.count("PASS") == 9  # all but the consistency of a first look
    again = parties.monitor()  # the witnesses are gone, which is no alarm as long as what they said is fresh
    assert (again.returncode, again.stdout.count("could not be asked")) == (0, 2)


def test_what_is_refused_says_what_to_do(parties: Parties) -> None:
    raw = manifest()
    with witness(parties, 0):
        assert parties.sign(raw, "one").returncode == 0
        twin = parties.sign(manifest(fleets=(trust.other_fleet(),)), "twin")
        assert (twin.returncode, "signed before, with other content" in twin.stderr) == (10, True)
        skipped = parties.sign(following(following(raw)), "three")
        assert (skipped.returncode, "the next epoch" in skipped.stderr) == (10, True)
        foreign = parties.sign(manifest(namespace="vault.example/others"), "foreign")
        assert (foreign.returncode, "no namespace of this auditor" in foreign.stderr) == (3, True)
        (parties.root / "one.json").write_bytes(raw.replace(b'"epoch": 1', b'"epoch":  1'))
        changed = parties.countersign("one")
        assert (changed.returncode, "another manifest" in changed.stderr) == (10, True)
        (parties.root / "one.json").write_bytes(raw)
        assert parties.countersign("one").returncode == 0
        alone = parties.append("one")
        assert (alone.returncode, "w1" in alone.stderr, "same command again" in alone.stderr) == (10, True, True)
        with witness(parties, 1):
            assert parties.append("one").returncode == 0
    assert parse_manifest(raw).epoch == 1
    second_one = run("auditor", "verify", parties.path("nowhere"))
    assert second_one.returncode == 2


def test_a_log_that_was_tampered_with_fails(parties: Parties) -> None:
    with witness(parties, 0), witness(parties, 1):
        parties.publish(manifest(), "one")
    tile = parties.root / "auditor/public/tile/0/000.p/1"
    tile.write_bytes(bytes(32))
    done = parties.verify()
    assert (done.returncode, "FAIL        the log's tiles do not make" in done.stdout) == (10, True)
    assert parties.monitor().returncode == 10
    assert not (parties.root / "seen.json").exists()
    opened = run("auditor", "verify", parties.path("auditor"))
    assert (opened.returncode, "not those of the checkpoint" in opened.stderr) == (10, True)
