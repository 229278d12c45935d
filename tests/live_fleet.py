"""A real fleet for tests: five SoftHSM tokens, five replica processes and a relay, made and run by the command line.

Everything a test does with it goes through the programs that a user has. Argon2id is cheap and waits are zero, since
neither is what these tests are about; both are ordinary policy values of the manifest.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.patience import PATIENCE
from tests.ports import free_ports

VAULT = str(Path(sys.executable).parent / "hsm-vault")
ROOT = Path(__file__).parent.parent
FLEET = "test-fleet"
# PYTHONPATH, so that the programs of the work tree under test run, also where the environment belongs to another one.
SURROUNDINGS = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}


def run(*words: str, code: str | None = None, home: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run `hsm-vault` and return what it did. `code` goes in through a file descriptor."""
    environment = {**SURROUNDINGS, "LANG": "C.UTF-8", "HOME": str(home or "/nonexistent")}
    if code is None:
        return subprocess.run([VAULT, *words], capture_output=True, text=True, check=False, env=environment)
    read_end, write_end = os.pipe()
    os.write(write_end, code.encode() + b"\n")
    os.close(write_end)
    try:
        return subprocess.run(
            [VAULT, *words, "--code-fd", str(read_end)],
            pass_fds=(read_end,), capture_output=True, text=True, check=False, env=environment,
        )  # fmt: skip
    finally:
        os.close(read_end)


def well(*words: str, code: str | None = None) -> str:
    """Run a command that has to succeed and return its standard output."""
    done = run(*words, code=code)
    if done.returncode != 0:
        raise AssertionError(f"hsm-vault {' '.join(words)} ended with {done.returncode}:\n{done.stderr}")
    return done.stdout


@dataclass
class LiveFleet:
    """The processes by name: `replica-1` and so on, and `relay`."""

    root: Path
    count: int = 5
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @classmethod
    def create(cls, root: Path, count: int = 5, *options: str) -> LiveFleet:
        """Make the tokens and the files; start nothing."""
        ports = ",".join(map(str, free_ports(2 * count + 1)))
        well("fleet", "create", str(root), "--replicas", str(count), "--fleet-id", FLEET, "--ports", ports,
             "--argon2", "1,64,1", "--waits", "0", *options)  # fmt: skip
        relay = root / "relay.toml"
        relay.write_text(
            relay.read_text() + "requests_per_second = 100000\nburst = 100000\nconnections_per_source = 1000\n"
        )
        return cls(root, count)

    @property
    def replicas(self) -> list[str]:
        return [f"replica-{number}" for number in range(1, self.count + 1)]

    def start(self, *names: str) -> None:
        """Start the named processes and wait until each says that it is ready.

        Without names: all that are not running; and what an earlier test has stopped and left so goes on.
        """
        if not names:
            for process in self.processes.values():
                process.send_signal(signal.SIGCONT)
        wanted = [name for name in (names or (*self.replicas, "relay")) if not self.is_running(name)]
        for name in wanted:
            self.launch(name)
        for name in wanted:
            self.wait_ready(name)

    def launch(self, name: str, program: Sequence[str] = (VAULT,)) -> None:
        """Start a process and wait for nothing. `program` takes the command line of `hsm-vault`."""
        kind, config = ("relay", self.root / "relay.toml") if name == "relay" else ("replica", self.settings(name))
        with self.log(name).open("wb") as sink:
            self.processes[name] = subprocess.Popen(
                [*program, kind, "serve", "--config", str(config)], stdout=sink, stderr=subprocess.STDOUT, cwd=ROOT
            )

    def wait_ready(self, name: str) -> None:
        self.wait_said(name, " ready on ")

    def wait_said(self, name: str, what: str) -> None:
        """Wait until a process that runs has said this in its log."""
        deadline = time.monotonic() + PATIENCE
        while what not in self.log(name).read_text(errors="replace"):
            if self.processes[name].poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"{name} did not say {what!r}:\n{self.log(name).read_text(errors='replace')}")
            time.sleep(0.02)

    def ended(self, name: str, seconds: float = PATIENCE) -> tuple[int, str]:
        """Wait for a process to end by itself; return its exit code and what it wrote."""
        process = self.processes.pop(name)
        try:
            code = process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            process.kill()  # or it would hold its store and its ports in every test after this one
            process.wait()
            raise AssertionError(f"{name} still runs after {seconds} s:\n{self.log(name).read_text()}") from None
        return code, self.log(name).read_text()

    def is_running(self, name: str) -> bool:
        return name in self.processes and self.processes[name].poll() is None

    def kill(self, replica: int, how: signal.Signals = signal.SIGKILL) -> None:
        """End a replica without a word."""
        process = self.processes.pop(f"replica-{replica}")
        process.send_signal(how)
        process.wait(timeout=PATIENCE)

    def suspend(self, name: str) -> None:
        """Stop a process where it is, and return when it stands. SIGCONT lets it go on."""
        process = self.processes[name]
        process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, process.pid, os.WSTOPPED)

    def stop(self) -> None:
        for process in self.processes.values():
            process.send_signal(signal.SIGCONT)
            process.terminate()
        for process in self.processes.values():
            try:
                process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.processes.clear()

    @property
    def relay_port(self) -> int:
        return int(tomllib.loads((self.root / "relay.toml").read_text())["listen"].rpartition(":")[2])

    def settings(self, name: str) -> Path:
        return self.root / name / "replica.toml"

    def log(self, name: str) -> Path:
        return self.root / f"{name}.log"

    def token(self, account: str, *options: str) -> str:
        """Return a fresh account token."""
        files = ("--key", str(self.root / "tenant" / "demo.pem"), "--manifest", str(self.root / "manifest.json"))
        return well("tenant", "token", *files, "--tenant", "demo", "--account", account, *options).strip()

    def client_config(self, account: str, home: Path, record: str = "backup") -> Path:
        """Make a device's home: a configuration and a fresh account token, and nothing else."""
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        token = home / "account-token"
        token.unlink(missing_ok=True)
        token.touch(mode=0o600)
        token.write_text(self.token(account))
        text = (self.root / "client.toml").read_text()
        for name, value in (("@ACCOUNT@", account), ("@RECORD@", record), ("@HOME@", str(home))):
            text = text.replace(name, value)
        config = home / "client.toml"
        config.write_text(text)
        return config
