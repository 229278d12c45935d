"""Show the vault at its job: a ceremony, an auditor, a lost phone, an operator who cheats, an attacker, an audit.

Everything goes through the command line that a user has, in processes of their own. Nothing outside the temporary
directory is written, and nothing is left running, unless `--keep` is given.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scripts.show.ceremony_room import play as play_ceremony
from scripts.show.ceremony_room import testify, write_plan
from scripts.show.fake_relay import relay_that_hands_out
from scripts.show.parties import REPOSITORY, Parties
from scripts.show.people import guess, new_device, same_tree
from scripts.show.stage import VAULT, Processes, Show, free_ports, say, vault

REPLICAS = 5
FLEET = "demo-fleet"
WAITS = "0,0,0,0,0,1,1,1,2,2"  # growing waits, short enough to watch; a real fleet's are minutes


class Play:
    """The steps, in their order. Everything lies below `root`."""

    def __init__(self, root: Path, module: Path) -> None:
        self.root = root
        self.module = module
        self.fleet = root / "fleet"
        self.show = Show()
        self.processes = Processes(root)
        self.parties = Parties(root / "parties")

    def run(self) -> None:
        self.vouch()
        self.make_fleet()
        self.start()
        self.publish_first()
        code = self.register()
        self.kill()
        self.recover(code)
        self.go_on()
        self.cheat()
        self.attack()
        self.audit()

    def vouch(self) -> None:
        with self.show.step("an auditor, its log, two witnesses, the operator") as shown:
            self.parties.begin(self.processes, self.module)
            shown.append("operator's key in a PKCS#11 token; one document names them all")

    def make_fleet(self) -> None:
        with self.show.step("a rehearsed genesis: nine people, five tokens") as shown:
            people = self.root / "people"
            plan = write_plan(people, FLEET, REPLICAS)
            steps = play_ceremony(plan, self.fleet, self.module)
            testify(self.fleet, people)
            say("   everybody has signed that the script was followed; now the evidence and the manifest:")
            ports = ",".join(map(str, free_ports(2 * REPLICAS + 1)))
            vault("ceremony", "publish", str(self.fleet), "--waits", WAITS, "--ports", ports, "--module",
                  str(self.module), "--root-of-trust", str(self.parties.root_of_trust))  # fmt: skip
            shown.append(f"{steps} steps; root carried; sealed; no custodian opens a token any more")

    def start(self) -> None:
        with self.show.step("start five replicas and a relay") as shown:
            for number in range(1, REPLICAS + 1):
                self.processes.start(f"replica-{number}", "replica", "serve", "--config",
                                     str(self.fleet / f"replica-{number}" / "replica.toml"))  # fmt: skip
            self.processes.start("relay", "relay", "serve", "--config", str(self.fleet / "relay.toml"))
            self.processes.wait_ready()
            shown.append(f"{len(self.processes.running)} processes on loopback")

    def publish_first(self) -> None:
        with self.show.step("the auditor publishes the fleet's keys") as shown:
            self.parties.publish(self.fleet / "manifest.json", self.fleet)
            shown.append("signed, counter-signed, logged, cosigned; replicas verified it too")

    def register(self) -> str:
        with self.show.step("a person backs up and registers the key") as shown:
            phone = self.device("old-phone", "alice")
            code_file, backup = self.root / "old-phone" / "code-on-paper", self.root / "phone.age"
            say("   the app ships a root of trust and no key of the fleet; it learns them from the fleet's answer")
            vault("client", "register", *phone, "--code-out", str(code_file))
            vault("backup", "create", *phone, str(REPOSITORY / "docs"), str(backup))
            with backup.open("rb") as file:
                header = file.readline().decode().strip()
            say(f"   the backup is a plain age file ({header}), {backup.stat().st_size:,} bytes")
            shown.append("keys learned over the air; recovery code made on the device")
        code = code_file.read_text().strip()
        shutil.rmtree(self.root / "old-phone")
        say("   the phone falls into a lake; what is left is the code on paper, and the backup in the cloud")
        return code

    def kill(self) -> None:
        with self.show.step("kill two replicas with SIGKILL") as shown:
            for number in (1, 2):
                self.processes.kill(f"replica-{number}")
                say(f"   replica {number} is dead")
            shown.append("three of five left")

    def recover(self, code: str) -> None:
        with self.show.step("a new phone recovers the key and restores") as shown:
            phone = self.device("new-phone", "alice")
            vault("client", "recover", *phone, code=code)
            restored = self.root / "new-phone" / "restored"
            vault("backup", "restore", *phone, str(self.root / "phone.age"), str(restored))
            files = same_tree(REPOSITORY / "docs", restored)
            say(f"   {files} files, equal byte for byte")
            shown.append(f"{files} files equal byte for byte, two replicas dead")

    def go_on(self) -> None:
        with self.show.step("a new epoch is published, and the client follows") as shown:
            following = self.root / "epoch-2.json"
            vault("namespace", "next", str(self.fleet), "--days", "500", "--out", str(following))
            self.parties.publish(following, self.fleet)
            status = json.loads(vault("client", "status", *self.phone("new-phone"), "--json", quiet=True))
            say(f"   the phone asks for its record's status and is in epoch {status['epoch']} now, by itself")
            if status["epoch"] != 2:
                raise SystemExit("demo: the client did not follow")
            shown.append("no update of the app")

    def cheat(self) -> None:
        with self.show.step("the operator tries a key that is not in the log") as shown:
            evil = self.root / "evil.json"
            evil.write_bytes(self._with_another_key((self.fleet / "epochs" / "manifest-1.json").read_bytes()))
            say("   the operator exchanges the session key, and plays auditor and log itself:")
            forged = self.parties.cheat(evil)
            say("   its own replicas refuse that:")
            vault("namespace", "publish", str(self.fleet), str(forged), expect=10)
            say("   and so do phones, whatever relay they are led to:")
            with relay_that_hands_out(forged.read_bytes()) as address:
                with self._led("new-phone", address):
                    vault("client", "status", *self.phone("new-phone"), expect=10, tries=9)
                fresh = self.device("brand-new-phone", "alice")
                with self._led("brand-new-phone", address):
                    vault("client", "recover", *fresh, code="the code is never used", expect=10, tries=9)
            shown.append("refused by replicas, by a known phone and by a new one")

    def attack(self) -> None:
        with self.show.step("an attacker with the account token guesses") as shown:
            phone = self.device("bobs-phone", "bob")
            code_file = self.root / "bobs-phone" / "code-on-paper"
            vault("client", "register", *phone, "--code-out", str(code_file), quiet=True)
            say("   bob has registered; the attacker has bob's account token, and guesses:")
            attacker = self.device("attacker", "bob")
            for number in range(1, 11):
                guess(attacker, f"wrong guess {number}", 10 - number)
            say("   and now bob himself, with the right code:")
            vault("client", "recover", *phone, code=code_file.read_text().strip(), expect=22)
            say("   the signed attempt log, as bob sees it:")
            vault("client", "status", *phone)
            shown.append("ten refusals, record destroyed, right code useless")

    def audit(self) -> None:
        with self.show.step("a stranger audits how the fleet was made") as shown:
            vault("audit", str(self.fleet / "evidence"), "--root-of-trust", str(self.parties.root_of_trust), expect=11)
            say("   NOT-PROVEN is no failure: SoftHSM has no maker who vouches for it, and a rehearsal is one")
            evidence = self.root / "changed-evidence"
            shutil.copytree(self.fleet / "evidence", evidence)
            record = evidence / "tokens" / "3.json"
            record.write_text(record.read_text().replace('"CKA_EXTRACTABLE": false', '"CKA_EXTRACTABLE": true', 1))
            say("   and after a word of one token's record was changed:")
            vault("audit", str(evidence), expect=10)
            say("   and for people, a page whose reader's browser does the checking:")
            vault("ceremony", "page", str(self.fleet), str(self.root / "page"))
            shown.append("from its evidence alone; a changed word is named")

    def device(self, name: str, account: str) -> list[str]:
        return new_device(self.root, self.fleet, name, account, "backup")

    def phone(self, name: str) -> list[str]:
        return ["--config", str(self.root / name / "client.toml")]

    @contextmanager
    def _led(self, name: str, relay: str) -> Iterator[None]:
        """Let a phone talk to another relay, for a while."""
        config = self.root / name / "client.toml"
        kept = config.read_text()
        lines = [line for line in kept.splitlines() if not line.startswith("relay =")]
        config.write_text("\n".join([f'relay = "{relay}"', "patience_seconds = 2", *lines]) + "\n")
        yield
        config.write_text(kept)

    def _with_another_key(self, manifest: bytes) -> bytes:
        """Return the manifest with a key of the operator's in the place of the fleet's session key."""
        fleet = json.loads(manifest)["fleets"][0]
        mine = fleet["groups"][0]["replicas"][0]["identity_public"]
        return manifest.replace(fleet["kem_public"].encode(), mine.encode())

    def invite(self) -> None:
        """Leave everything running, and say how to go on."""
        pids = " ".join(str(process.pid) for process in self.processes.running.values())
        root, fleet = self.root, self.fleet
        token = f"--key {fleet}/tenant/demo.pem --manifest {fleet}/manifest.json --tenant demo --account alice"
        phone = f"--config {root}/new-phone/client.toml"
        log = f"{self.parties.root}/auditor"
        say(f"\n== The fleet is up. To play with it:\n   hsm-vault is {VAULT}")
        say(f"   hsm-vault tenant token {token} --out {root}/new-phone/account-token # tokens live ten minutes")
        say(f"   hsm-vault client status {phone}")
        say(f"   hsm-vault replica serve --config {fleet}/replica-1/replica.toml   # bring a dead one back")
        say(f"   hsm-vault auditor serve {log} --listen 127.0.0.1:8080   # the public log, for any browser")
        say(f"   python3 -m http.server --bind 127.0.0.1 --directory {root}/page 8081   # how its keys were made")
        say(f"   kill {pids}; rm -r {root}   # when you have seen enough")
        self.processes.running.clear()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--module", type=Path, required=True, help="SoftHSM's PKCS#11 module")
    parser.add_argument("--keep", action="store_true", help="leave the fleet running and say how to use it")
    arguments = parser.parse_args()
    root = Path(tempfile.mkdtemp(prefix="hsm-vault-demo-"))
    play = Play(root, arguments.module)
    try:
        play.run()
        play.show.table()
        if arguments.keep:
            play.invite()
    finally:
        play.processes.stop()
        if not arguments.keep:
            shutil.rmtree(root, ignore_errors=True)


if __name__ == "__main__":
    main()
