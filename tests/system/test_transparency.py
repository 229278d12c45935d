"""A manifest's whole way on the command line: auditor, operator, two witnesses, log over HTTP, verifier, monitor."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from hsm_app.fleet.manifest_json import parse_manifest
from tests.auditor.world import following, manifest
from tests.fleet import trust
from tests.live_fleet import VAULT, free_ports, run, well

NAMESPACE = trust.NAMESPACE
ORIGIN = "log.example/fleets"
READY_SECONDS = 30


@contextmanager
def serving(log: Path, *words: str) -> Iterator[None]:
    """Run a program until the block ends."""
    with log.open("wb") as sink:
        process = subprocess.Popen([VAULT, *words], stdout=sink, stderr=subprocess.STDOUT)
    try:
        deadline = time.monotonic() + READY_SECONDS
        while b" ready on " not in log.read_bytes():
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.02)
        yield
    finally:
        process.terminate()
        process.wait(timeout=10)


@dataclass
class Parties:
    """The directories and addresses of everyone."""

    root: Path
    log_url: str
    witness_ports: list[int]

    def path(self, name: str) -> str:
        return str(self.root / name)

    def sign(self, raw: bytes, name: str) -> subprocess.CompletedProcess[str]:
        Path(self.path(f"{name}.json")).write_bytes(raw)
        return run("auditor", "sign", self.path("auditor"), self.path(f"{name}.json"), "--yes", "--out",
                   self.path(f"{name}.dsse"))  # fmt: skip

    def countersign(self, name: str) -> subprocess.CompletedProcess[str]:
        return run("namespace", "countersign", self.path(f"{name}.dsse"), "--key", self.path("operator.pem"),
                   "--manifest", self.path(f"{name}.json"), "--out", self.path(f"{name}.counter"))  # fmt: skip

    def append(self, name: str) -> subprocess.CompletedProcess[str]:
        files = ("--envelope", self.path(f"{name}.dsse"), "--countersignature", self.path(f"{name}.counter"))
        return run("auditor", "append", self.path("auditor"), *files, "--out", self.path(f"{name}.bundle"))

    def publish(self, raw: bytes, name: str) -> None:
        for done in (self.sign(raw, name), self.countersign(name), self.append(name)):
            assert done.returncode == 0, done.stderr

    def verify(self, *words: str) -> subprocess.CompletedProcess[str]:
        return run("log", "verify", self.log_url, "--root-of-trust", self.path("root.json"), *words)

    def monitor(self) -> subprocess.CompletedProcess[str]:
        return run("log", "monitor", self.log_url, "--root-of-trust", self.path("root.json"), "--state",
                   self.path("seen.json"))  # fmt: skip


@pytest.fixture
def parties(tmp_path: Path) -> Iterator[Parties]:
    ports = free_ports(3)
    made = Parties(tmp_path, f"http://127.0.0.1:{ports[0]}", ports[1:])
    keys = json.loads(well("auditor", "init", made.path("auditor"), "--origin", ORIGIN, "--json"))
    operator = well("namespace", "keygen", "--out", made.path("operator.pem")).strip()
    policy = []
    for number, port in enumerate(made.witness_ports):
        name = ("--name", f"w{number}.example", "--log", keys["log"])
        vkey = well("witness", "init", made.path(f"w{number}"), *name).strip()
        policy.append(f"witness w{number} {vkey} http://127.0.0.1:{port}\n")
    (tmp_path / "policy").write_text("".join(policy) + "group both all w0 w1\nquorum both\n")
    well("root-of-trust", "create", "--namespace", NAMESPACE, "--auditor", f"Ed25519:{keys['auditor']}", "--operator",
         operator, "--log", keys["log"], "--policy", made.path("policy"), "--out", made.path("root.json"))  # fmt: skip
    with (tmp_path / "auditor" / "auditor.toml").open("a") as settings:
        settings.write(f'"{NAMESPACE}" = "../root.json"\n')
    with serving(tmp_path / "log.log", "auditor", "serve", made.path("auditor"), "--listen", f"127.0.0.1:{ports[0]}"):
        yield made


@contextmanager
def witness(parties: Parties, number: int) -> Iterator[None]:
    listen = f"127.0.0.1:{parties.witness_ports[number]}"
    with serving(parties.root / f"w{number}.log", "witness", "serve", parties.path(f"w{number}"), "--listen", listen):
        yield


def test_a_manifest_s_whole_way(parties: Parties) -> None:
    raw = manifest()
    with witness(parties, 0), witness(parties, 1):
        parties.publish(raw, "one")
        second = following(raw, fleets=(trust.other_fleet(),))
        first_look = parties.monitor()
        parties.publish(second, "two")
        new_look = parties.monitor()
        whole = run("auditor", "verify", parties.path("auditor"))
    assert "epoch 1" in first_look.stdout
    assert "1 new epochs" in first_look.stdout
    assert "~ fleet fleet-1 session key" in new_look.stdout
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
