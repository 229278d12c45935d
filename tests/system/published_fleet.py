"""A fleet with a root of trust, and everyone who vouches for its manifests, by the programs that people have."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from hsm_app.epochs import read_manifest
from hsm_app.fleet.manifest import Manifest
from hsm_app.fleet.manifest_json import parse_manifest
from hsm_app.signers import read_signer
from tests.fleet import trust
from tests.live_fleet import LiveFleet, run, well
from tests.system.parties import Parties, made_parties, witness

NAMESPACE = "vault.example/delivery"
CODE = "a code of some length"


class World:
    """A fleet, and everyone who vouches for it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.parties: Parties = made_parties(root, NAMESPACE)
        self.fleet = LiveFleet.create(root / "fleet", 3, "--root-of-trust", self.parties.path("root.json"))

    @property
    def manifest(self) -> Manifest:
        return read_manifest(self.fleet.root / "manifest.json")

    def bundle_of(self, raw: bytes) -> Path:
        """Have a manifest signed, counter-signed and logged."""
        name = f"epoch-{parse_manifest(raw).epoch}"
        self.parties.publish(raw, name)
        return self.root / f"{name}.bundle"

    def publish(self, bundle: Path, fleet: LiveFleet | None = None) -> subprocess.CompletedProcess[str]:
        return run("namespace", "publish", str((fleet or self.fleet).root), str(bundle))

    def propose(self, *options: str) -> bytes:
        path = self.root / "proposed.json"
        path.unlink(missing_ok=True)
        well("namespace", "next", str(self.fleet.root), "--out", str(path), *options)
        return path.read_bytes()

    def go_on(self) -> Path:
        """Publish one more epoch, in which nothing changes but its validity."""
        bundle = self.bundle_of(self.propose("--days", "100"))
        done = self.publish(bundle)
        assert done.returncode == 0, done.stderr
        return bundle

    def forged(self, raw: bytes) -> bytes:
        """Sign a manifest as another auditor would, with the real operator, and log it in another log."""
        operator = read_signer(self.root / "operator.pem")
        return trust.Log().bundle(trust.entry_of(raw, signed_by=trust.auditor(9), countersigned_by=operator))


@contextmanager
def published_world(root: Path) -> Iterator[World]:
    """Make a world, start its witnesses and its replicas; end them all."""
    made = World(root)
    with ExitStack() as stack:
        stack.enter_context(witness(made.parties, 0))
        stack.enter_context(witness(made.parties, 1))
        stack.callback(made.fleet.stop)
        made.fleet.start()
        yield made


def client(command: str, config: Path, *words: str, code: str | None = None) -> subprocess.CompletedProcess[str]:
    return run("client", command, "--config", str(config), *words, code=code)


def kept(config: Path, name: str) -> bytes:
    return (config.parent / "state" / name).read_bytes()
