"""Those who vouch for the fleet's keys: an auditor with a public log, two witnesses, and the operator's own key.

The operator's key is made in a PKCS#11 token and never leaves it. The auditor's is a file here; `hsm-vault namespace
keygen` makes one in a token as well, where the token does Ed25519.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from scripts.show.stage import Processes, free_ports, vault

REPOSITORY = Path(__file__).resolve().parent.parent.parent
NAMESPACE = "demo.example/vault"
ORIGIN = "log.example/demo"


@dataclass(frozen=True)
class Parties:
    """Where everyone keeps their things."""

    root: Path

    @property
    def root_of_trust(self) -> Path:
        return self.root / "root-of-trust.json"

    def begin(self, processes: Processes, module: Path) -> None:
        """Make everyone's keys and the document that names them; start the witnesses."""
        self.root.mkdir()
        auditor = json.loads(vault("auditor", "init", str(self.root / "auditor"), "--origin", ORIGIN, "--json"))
        operator = self._operator_key(module)
        policy = [self._witness(processes, number, auditor["log"]) for number in range(2)]
        (self.root / "policy").write_text("".join([*policy, "group both all w0 w1\n", "quorum both\n"]))
        vault("root-of-trust", "create", "--namespace", NAMESPACE, "--auditor", f"Ed25519:{auditor['auditor']}",
              "--operator", operator, "--log", auditor["log"], "--policy", str(self.root / "policy"),
              "--out", str(self.root_of_trust))  # fmt: skip
        with (self.root / "auditor" / "auditor.toml").open("a") as settings:
            settings.write(f'"{NAMESPACE}" = "{self.root_of_trust}"\n')

    def publish(self, manifest: Path, fleet: Path) -> None:
        """Bring a manifest to the replicas: signed, counter-signed, logged, and handed over as a bundle."""
        bundle = self.bundle(manifest)
        vault("namespace", "publish", str(fleet), str(bundle))

    def bundle(self, manifest: Path, *, quiet: bool = False) -> Path:
        """Have the auditor sign and log a manifest, and the operator stand by it."""
        made = self.root / manifest.stem
        envelope, counter, bundle = (str(made) + end for end in (".dsse.json", ".counter.json", ".bundle"))
        vault("auditor", "sign", str(self.root / "auditor"), str(manifest), "--yes", "--out", envelope, quiet=quiet)
        vault("namespace", "countersign", envelope, "--key", str(self.root / "operator.toml"), "--manifest",
              str(manifest), "--out", counter, quiet=quiet)  # fmt: skip
        vault("auditor", "append", str(self.root / "auditor"), "--envelope", envelope, "--countersignature", counter,
              "--out", bundle, quiet=quiet)  # fmt: skip
        return Path(bundle)

    def cheat(self, manifest: Path) -> Path:
        """Make a bundle without the auditor: the operator plays auditor and log itself, under the same names."""
        shadow = Parties(self.root / "shadow")
        shadow.root.mkdir()
        keys = json.loads(
            vault("auditor", "init", str(shadow.root / "auditor"), "--origin", ORIGIN, "--json", quiet=True)
        )
        (shadow.root / "policy").write_text("quorum none\n")
        operator = json.loads(self.root_of_trust.read_text())["operators"]["keys"][0]
        vault("root-of-trust", "create", "--namespace", NAMESPACE, "--auditor", f"Ed25519:{keys['auditor']}",
              "--operator", f"{operator['alg']}:{operator['public_key']}", "--log", keys["log"], "--policy",
              str(shadow.root / "policy"), "--out", str(shadow.root_of_trust), quiet=True)  # fmt: skip
        with (shadow.root / "auditor" / "auditor.toml").open("a") as settings:
            settings.write(f'"{NAMESPACE}" = "{shadow.root_of_trust}"\n')
        (shadow.root / "operator.toml").write_text((self.root / "operator.toml").read_text())
        return shadow.bundle(manifest, quiet=True)

    def _operator_key(self, module: Path) -> str:
        token = self.root / "operator-token"
        subprocess.run(
            [sys.executable, str(REPOSITORY / "softhsm" / "dev_token.py"), "--module", str(module), str(token)],
            check=True, capture_output=True,
        )  # fmt: skip
        return vault("namespace", "keygen", "--module", str(module), "--token", "dev", "--softhsm2-conf",
                     str(token / "softhsm2.conf"), "--pin-file", str(token / "pin"), "--out",
                     str(self.root / "operator.toml")).splitlines()[-1].strip()  # fmt: skip

    def _witness(self, processes: Processes, number: int, log: str) -> str:
        """Make a witness and start it; return its line of the policy."""
        directory, (port,) = str(self.root / f"witness-{number}"), free_ports(1)
        key = vault("witness", "init", directory, "--name", f"w{number}.example", "--log", log).strip()
        processes.start(f"witness-{number}", "witness", "serve", directory, "--listen", f"127.0.0.1:{port}")
        return f"witness w{number} {key} http://127.0.0.1:{port}\n"
