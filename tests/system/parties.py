"""Everyone around a log, on the command line: auditor, operator, two witnesses."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.fleet import trust
from tests.live_fleet import VAULT, run, well
from tests.patience import PATIENCE
from tests.ports import free_ports

NAMESPACE = trust.NAMESPACE
ORIGIN = "log.example/fleets"


@contextmanager
def serving(log: Path, *words: str) -> Iterator[None]:
    """Run a program until the block ends."""
    with log.open("wb") as sink:
        process = subprocess.Popen([VAULT, *words], stdout=sink, stderr=subprocess.STDOUT)
    try:
        deadline = time.monotonic() + PATIENCE
        while b" ready on " not in log.read_bytes():
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.02)
        yield
    finally:
        process.terminate()
        process.wait(timeout=PATIENCE)


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


def made_parties(root: Path, namespace: str = NAMESPACE) -> Parties:
    """Make everyone's keys, the root of trust and the auditor's settings; nothing is served yet."""
    ports = free_ports(3)
    made = Parties(root, f"http://127.0.0.1:{ports[0]}", ports[1:])
    keys = json.loads(well("auditor", "init", made.path("auditor"), "--origin", ORIGIN, "--json"))
    operator = well("namespace", "keygen", "--out", made.path("operator.pem")).strip()
    policy = []
    for number, port in enumerate(made.witness_ports):
        name = ("--name", f"w{number}.example", "--log", keys["log"])
        vkey = well("witness", "init", made.path(f"w{number}"), *name).strip()
        policy.append(f"witness w{number} {vkey} http://127.0.0.1:{port}\n")
    (root / "policy").write_text("".join(policy) + "group both all w0 w1\nquorum both\n")
    well("root-of-trust", "create", "--namespace", namespace, "--auditor", f"Ed25519:{keys['auditor']}", "--operator",
         operator, "--log", keys["log"], "--policy", made.path("policy"), "--out", made.path("root.json"))  # fmt: skip
    with (root / "auditor" / "auditor.toml").open("a") as settings:
        settings.write(f'"{namespace}" = "../root.json"\n')
    return made


@contextmanager
def witness(parties: Parties, number: int) -> Iterator[None]:
    listen = f"127.0.0.1:{parties.witness_ports[number]}"
    with serving(parties.root / f"w{number}.log", "witness", "serve", parties.path(f"w{number}"), "--listen", listen):
        yield
