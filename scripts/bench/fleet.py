"""The fleet under test: five replicas and a relay as a user starts them, with limits opened for a load."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType

from counted import MARK, Counted, parse, total
from hsm_app.net.address import Address
from hsm_app.operator.layout import ReplicaFiles

VAULT = str(Path(sys.executable).parent / "hsm-vault")
REPLICAS = 5
READY_SECONDS = 240  # a machine may be slow; only a program that hangs needs them
# One machine plays all clients of the world here, so the limits that guard against one source would only stop the load.
RELAY_LIMITS = "requests_per_second = 1000000\nburst = 1000000\nconnections_per_source = 1000\n"
HOURLY = "1000000000,1000000"
LEAST_ARGON2 = "1,8,1"  # stretching is the devices' work, and all devices run here: measured apart (`measure.argon2`)


class Fleet:
    """Made once in `directory`; started and stopped as often as needed."""

    def __init__(self, directory: Path, module: Path, first_port: int) -> None:
        self.directory = directory / "fleet"
        self.relay = Address(host="127.0.0.1", port=first_port)
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        ports = ",".join(str(first_port + number) for number in range(2 * REPLICAS + 1))
        _run("fleet", "create", str(self.directory), "--replicas", str(REPLICAS), "--module", str(module),
             "--ports", ports, "--hourly", HOURLY, "--argon2", LEAST_ARGON2)  # fmt: skip
        with (self.directory / "relay.toml").open("a") as settings:
            settings.write(RELAY_LIMITS)

    @property
    def manifest(self) -> bytes:
        return (self.directory / "manifest.json").read_bytes()

    @property
    def replica_pids(self) -> list[int]:
        return [process.pid for name, process in self._running.items() if name != "relay"]

    @property
    def relay_pid(self) -> int:
        return self._running["relay"].pid

    def files(self, number: int) -> ReplicaFiles:
        return ReplicaFiles(root=self.directory, number=number)

    def start(self) -> None:
        """Start all programs and wait until each says it is ready."""
        for number in range(1, REPLICAS + 1):
            self._start_replica(number)
        self._start("relay", "relay", "serve", "--config", str(self.directory / "relay.toml"))
        for name in self._running:
            self._wait_ready(name)

    def restart(self, number: int) -> float:
        """Start a replica that was ended; return the seconds until it is ready."""
        began = time.perf_counter()
        self._start_replica(number)
        self._wait_ready(f"replica-{number}")
        return time.perf_counter() - began

    def counted(self) -> Counted:
        """Ask the replicas that run for their counters."""
        told = []
        for name, process in self._running.items():
            if name == "relay":
                continue
            known = self._log(name).stat().st_size
            process.send_signal(signal.SIGUSR1)
            self._wait_for(name, MARK, known)
            told.append(parse(self._log(name).read_text()))
        return total(told)

    def kill(self, number: int) -> None:
        """End a replica as a power cut would."""
        process = self._running.pop(f"replica-{number}")
        process.send_signal(signal.SIGKILL)
        process.wait()

    def end(self, number: int) -> None:
        """End a replica in good order."""
        process = self._running.pop(f"replica-{number}")
        process.terminate()
        process.wait(timeout=READY_SECONDS)

    def stop(self) -> None:
        """End all programs in good order."""
        for process in self._running.values():
            process.terminate()
        for process in self._running.values():
            process.wait(timeout=READY_SECONDS)
        self._running.clear()

    def __enter__(self) -> Fleet:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self._running.values():
            process.kill()
            process.wait()
        shutil.rmtree(self.directory, ignore_errors=True)

    def _start_replica(self, number: int) -> None:
        self._start(f"replica-{number}", "replica", "serve", "--config", str(self.files(number).settings))

    def _wait_ready(self, name: str) -> None:
        self._wait_for(name, "ready on")

    def _wait_for(self, name: str, word: str, start: int = 0) -> None:
        """Wait for a whole line with `word` in a program's log, from byte `start` on."""
        deadline = time.monotonic() + READY_SECONDS
        while word not in (new := self._log(name).read_bytes()[start:].decode()) or not new.endswith("\n"):
            if self._running[name].poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"bench: {name} did not say {word!r}:\n{self._log(name).read_text()}")
            time.sleep(0.01)

    def _start(self, name: str, *words: str) -> None:
        with self._log(name).open("wb") as sink:
            self._running[name] = subprocess.Popen([VAULT, *words], stdout=sink, stderr=subprocess.STDOUT)

    def _log(self, name: str) -> Path:
        return self.directory / f"{name}.log"


def _run(*words: str) -> None:
    done = subprocess.run([VAULT, *words], capture_output=True, text=True, check=False, env=os.environ)
    if done.returncode:
        raise SystemExit(
            f"bench: hsm-vault {' '.join(words)} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
        )
