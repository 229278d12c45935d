"""Show the vault at its job: five tokens, five replicas, a relay, a person who loses a phone, and an attacker.

Everything goes through the command line that a user has, in processes of their own. Nothing outside the temporary
directory is written, and nothing is left running, unless `--keep` is given.
"""

from __future__ import annotations

import argparse
import filecmp
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
VAULT = str(Path(sys.executable).parent / "hsm-vault")
REPLICAS = 5
READY_SECONDS = 60
WAITS = "0,0,0,0,0,1,1,1,2,2"  # growing waits, short enough to watch; a real fleet's are minutes


def say(text: str = "") -> None:
    print(text, flush=True)


class Show:
    """The steps shown so far, with the time each took."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, str, float]] = []

    @contextmanager
    def step(self, title: str) -> Iterator[list[str]]:
        say(f"\n== {len(self.rows) + 1}. {title}")
        shown: list[str] = []
        begin = time.monotonic()
        yield shown
        self.rows.append((title, "; ".join(shown), time.monotonic() - begin))

    def table(self) -> None:
        say("\n== What was shown")
        for number, (title, shown, seconds) in enumerate(self.rows, start=1):
            say(f"{number:>2}  {title:<44} {seconds:>6.1f} s  {shown}")


def vault(*words: str, code: str | None = None, expect: int = 0, quiet: bool = False) -> str:
    """Run one command as a user would; a recovery code goes in through a file descriptor, never as an argument."""
    arguments = [VAULT, *words]
    descriptors: tuple[int, ...] = ()
    if code is not None:
        read_end, write_end = os.pipe()
        os.write(write_end, code.encode() + b"\n")
        os.close(write_end)
        arguments += ["--code-fd", str(read_end)]
        descriptors = (read_end,)
    if not quiet:
        say(f"   $ hsm-vault {shlex.join(words)}")
    done = subprocess.run(arguments, pass_fds=descriptors, capture_output=True, text=True, check=False)
    for descriptor in descriptors:
        os.close(descriptor)
    output = (done.stdout + done.stderr).strip()
    if not quiet or done.returncode != expect:
        for line in output.splitlines():
            say(f"     {line}")
    if done.returncode != expect:
        raise SystemExit(f"demo: the command above ended with {done.returncode}, expected {expect}")
    return output


class Processes:
    """The processes of the demo, ended by id."""

    def __init__(self, logs: Path) -> None:
        self.logs = logs
        self.running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, *words: str) -> None:
        log = self.logs / f"{name}.log"
        with log.open("wb") as sink:
            self.running[name] = subprocess.Popen([VAULT, *words], stdout=sink, stderr=subprocess.STDOUT)

    def wait_ready(self) -> None:
        deadline = time.monotonic() + READY_SECONDS
        for name, process in self.running.items():
            while b"ready" not in (self.logs / f"{name}.log").read_bytes():
                if process.poll() is not None or time.monotonic() > deadline:
                    raise SystemExit(f"demo: {name} did not start:\n{(self.logs / f'{name}.log').read_text()}")
                time.sleep(0.05)

    def kill(self, name: str) -> None:
        process = self.running.pop(name)
        process.send_signal(signal.SIGKILL)
        process.wait()

    def stop(self) -> None:
        for process in self.running.values():
            process.terminate()
        for process in self.running.values():
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [int(each.getsockname()[1]) for each in sockets]
    for each in sockets:
        each.close()
    return ports


def new_device(root: Path, fleet: Path, device: str, account: str, record: str) -> list[str]:
    """An empty home that holds only what the app ships (the configuration) and a fresh account token."""
    home = root / device
    home.mkdir(mode=0o700)
    token = home / "account-token"
    vault("tenant", "token", "--key", str(fleet / "tenant" / "demo.pem"), "--manifest", str(fleet / "manifest.json"),
          "--tenant", "demo", "--account", account, "--out", str(token), quiet=True)  # fmt: skip
    config = home / "client.toml"
    template = (fleet / "client.toml").read_text()
    config.write_text(
        template.replace("@ACCOUNT@", account).replace("@RECORD@", record).replace("@HOME@", str(home)),
        encoding="utf-8",
    )
    return ["--config", str(config)]


def same_tree(left: Path, right: Path) -> int:
    """Compare two directories byte for byte and return the number of files; ends the demo on a difference."""
    files = sorted(path.relative_to(left) for path in left.rglob("*") if path.is_file())
    others = sorted(path.relative_to(right) for path in right.rglob("*") if path.is_file())
    if files != others or not all(filecmp.cmp(left / name, right / name, shallow=False) for name in files):
        raise SystemExit("demo: the restored directory differs from the original")
    return len(files)


def run(root: Path, keep: bool) -> None:
    show, fleet = Show(), root / "fleet"
    processes = Processes(root)
    try:
        play(show, processes, root, fleet)
        show.table()
        if keep:
            invite(root, fleet, processes)
            processes.running.clear()
    finally:
        processes.stop()


def play(show: Show, processes: Processes, root: Path, fleet: Path) -> None:
    make_fleet(show, fleet)
    with show.step("start five replicas and a relay") as shown:
        for number in range(1, REPLICAS + 1):
            processes.start(f"replica-{number}", "replica", "serve", "--config",
                            str(fleet / f"replica-{number}" / "replica.toml"))  # fmt: skip
        processes.start("relay", "relay", "serve", "--config", str(fleet / "relay.toml"))
        processes.wait_ready()
        shown.append(f"{len(processes.running)} processes on loopback")
    backup, original = root / "phone.age", REPOSITORY / "docs"
    code = register(show, root, fleet, backup, original)
    with show.step("kill two replicas with SIGKILL") as shown:
        for number in (1, 2):
            processes.kill(f"replica-{number}")
            say(f"   replica {number} is dead")
        shown.append("three of five left")
    recover(show, root, fleet, backup, original, code)
    attack(show, root, fleet)


def make_fleet(show: Show, fleet: Path) -> None:
    with show.step("make five tokens, keys inside, root carried") as shown:
        client_ports = free_ports(2 * REPLICAS + 1)
        vault("fleet", "create", str(fleet), "--replicas", str(REPLICAS), "--sealed", "--waits", WAITS,
              "--ports", ",".join(map(str, client_ports)))  # fmt: skip
        shown.append("real PKCS#11 key transport; sealed")


def register(show: Show, root: Path, fleet: Path, backup: Path, original: Path) -> str:
    with show.step("a person backs up and registers the key") as shown:
        phone = new_device(root, fleet, "old-phone", "alice", "backup")
        code_file = root / "old-phone" / "code-on-paper"
        vault("client", "register", *phone, "--code-out", str(code_file))
        vault("backup", "create", *phone, str(original), str(backup))
        with backup.open("rb") as file:
            header = file.readline().decode().strip()
        say(f"   the backup is a plain age file ({header}), {backup.stat().st_size:,} bytes")
        shown.append("recovery code made on the device; backup is an age file")
    code = code_file.read_text().strip()
    shutil.rmtree(root / "old-phone")
    say("   the phone falls into a lake; what is left is the code on paper, and the backup in the cloud")
    return code


def recover(show: Show, root: Path, fleet: Path, backup: Path, original: Path, code: str) -> None:
    with show.step("a new phone recovers the key and restores") as shown:
        phone = new_device(root, fleet, "new-phone", "alice", "backup")
        vault("client", "recover", *phone, code=code)
        restored = root / "new-phone" / "restored"
        vault("backup", "restore", *phone, str(backup), str(restored))
        files = same_tree(original, restored)
        say(f"   {files} files, equal byte for byte")
        shown.append(f"{files} files equal byte for byte, two replicas dead")


def guess(device: list[str], code: str, left: int) -> None:
    """One wrong guess; waits first when the vault says so, as a patient attacker would."""
    while True:
        done = vault_try(device, code)
        if done.returncode != 24:
            break
        time.sleep(1)
    message = done.stderr.strip().splitlines()[-1]
    say(f"     exit {done.returncode}: {message}")
    if done.returncode != 21 or f"[attempts left: {left}]" not in message:
        raise SystemExit(f"demo: expected a refusal with {left} attempts left")


def vault_try(device: list[str], code: str) -> subprocess.CompletedProcess[str]:
    read_end, write_end = os.pipe()
    os.write(write_end, code.encode() + b"\n")
    os.close(write_end)
    try:
        return subprocess.run(
            [VAULT, "client", "recover", *device, "--code-fd", str(read_end)],
            pass_fds=(read_end,), capture_output=True, text=True, check=False,
        )  # fmt: skip
    finally:
        os.close(read_end)


def attack(show: Show, root: Path, fleet: Path) -> None:
    with show.step("an attacker with the account token guesses") as shown:
        phone = new_device(root, fleet, "bobs-phone", "bob", "backup")
        code_file = root / "bobs-phone" / "code-on-paper"
        vault("client", "register", *phone, "--code-out", str(code_file), quiet=True)
        say("   bob has registered; the attacker has bob's account token, and guesses:")
        attacker = new_device(root, fleet, "attacker", "bob", "backup")
        for number in range(1, 11):
            guess(attacker, f"wrong guess {number}", 10 - number)
        say("   and now bob himself, with the right code:")
        vault("client", "recover", *phone, code=code_file.read_text().strip(), expect=22)
        say("   the signed attempt log, as bob sees it:")
        vault("client", "status", *phone)
        shown.append("ten refusals, record destroyed, right code useless")


def invite(root: Path, fleet: Path, processes: Processes) -> None:
    pids = " ".join(str(process.pid) for process in processes.running.values())
    phone = f"--config {root}/new-phone/client.toml"
    token = f"--key {fleet}/tenant/demo.pem --manifest {fleet}/manifest.json --tenant demo --account alice"
    say(f"\n== The fleet is up. To play with it:\n   hsm-vault is {VAULT}")
    say(f"   hsm-vault tenant token {token} --out {root}/new-phone/account-token # tokens live ten minutes")
    say(f"   hsm-vault client status {phone}")
    say(f"   hsm-vault replica serve --config {fleet}/replica-1/replica.toml   # bring a dead one back")
    say(f"   kill {pids}; rm -r {root}   # when you have seen enough")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keep", action="store_true", help="leave the fleet running and say how to use it")
    arguments = parser.parse_args()
    root = Path(tempfile.mkdtemp(prefix="hsm-vault-demo-"))
    try:
        run(root, arguments.keep)
    finally:
        if not arguments.keep:
            shutil.rmtree(root, ignore_errors=True)


if __name__ == "__main__":
    main()
