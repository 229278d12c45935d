"""What every step of the show uses: it says what it does, runs the commands of a user, and keeps their processes."""

from __future__ import annotations

import os
import random
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

VAULT = str(Path(sys.executable).parent / "hsm-vault")
READY_SECONDS = 240  # a machine may be slow; only a program that hangs needs them
PORTS = range(12_000, 32_000)
NO_ANSWER = 7  # as the README has the exit codes
_unused = iter(random.sample(PORTS, len(PORTS)))


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
            say(f"{number:>2}  {title:<49} {seconds:>5.1f} s  {shown}")


def vault(*words: str, code: str | None = None, expect: int = 0, quiet: bool = False, tries: int = 1) -> str:
    """Run one command as a user would and return what it printed.

    A recovery code goes in through a file descriptor, never as an argument. With `tries`, a command that had no answer
    in time is run again, as a user would: repeating it is safe.
    """
    if not quiet:
        say(f"   $ hsm-vault {shlex.join(words)}")
    done = run(*words, code=code)
    while done.returncode == NO_ANSWER and (tries := tries - 1):
        done = run(*words, code=code)
    output = (done.stdout + done.stderr).strip()
    if not quiet or done.returncode != expect:
        for line in output.splitlines():
            say(f"     {line}")
    if done.returncode != expect:
        raise SystemExit(f"demo: the command above ended with {done.returncode}, expected {expect}")
    return done.stdout.strip()


def run(*words: str, code: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run one command; whatever it ends with is the caller's to judge."""
    if code is None:
        return subprocess.run([VAULT, *words], capture_output=True, text=True, check=False)
    read_end, write_end = os.pipe()
    os.write(write_end, code.encode() + b"\n")
    os.close(write_end)
    try:
        return subprocess.run(
            [VAULT, *words, "--code-fd", str(read_end)],
            pass_fds=(read_end,), capture_output=True, text=True, check=False,
        )  # fmt: skip
    finally:
        os.close(read_end)


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
    """Return ports that are free, below those that outgoing connections get: a program takes its own a while later.

    None is given out twice, for the same reason.
    """
    found: list[int] = []
    for port in _unused:
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            found.append(port)
        if len(found) == count:
            return found
    raise SystemExit(f"{count} free ports below {PORTS.stop} are not to be had")
