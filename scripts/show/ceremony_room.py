"""The people of a rehearsal: they sit at the real command's terminal, answer as the script says, and sign afterwards.

The command has a terminal of its own here, and is answered only after it has asked, as people do. What custodians write
down is on paper, in this program's memory.
"""

from __future__ import annotations

import os
import pty
import re
import subprocess
import time
from pathlib import Path

from scripts.show.stage import VAULT, say, vault

PEOPLE = (
    ("Ada", "administrator"), ("Ben", "operator"), ("Cleo", "auditor"), ("Dan", "custodian"), ("Eve", "custodian"),
    ("Finn", "custodian"), ("Gus", "custodian"), ("Hana", "custodian"), ("Ines", "witness"),
)  # fmt: skip
THRESHOLD = 3
SECONDS = 900  # for the whole ceremony, on a machine that is slow
SHARE = re.compile(r"THE SHARE OF (\w+): 20 words")
TYPES = re.compile(r"TYPE THE SHARE OF (\w+)")
WORD = re.compile(r"\d+\. ([a-z]+)")
CLEAR = "\x1b[H\x1b[2J\x1b[3J"
STEP = re.compile(r"STEP (\d+) of (\d+): ([^\x1b\r\n]+)")


def write_plan(directory: Path, fleet: str, replicas: int) -> Path:
    """Make everybody's key and the plan that names them; return the plan."""
    directory.mkdir()
    lines = [
        'ceremony = "genesis"', 'kind = "rehearsal"', f'fleet = "{fleet}"', 'custody = "sealed"',
        f"threshold = {THRESHOLD}", f"replicas = {replicas}",
    ]  # fmt: skip
    for number, (name, role) in enumerate(PEOPLE, 1):
        made = vault("namespace", "keygen", "--out", str(directory / f"{number}.pem"), quiet=True)
        key = made.split()[-1]
        lines += ["[[participant]]", f'name = "{name}"', f'role = "{role}"', f'key = "{key}"']
    plan = directory / "plan.toml"
    plan.write_text("\n".join(lines) + "\n")
    return plan


def play(plan: Path, ceremony: Path, module: Path) -> int:
    """Play the ceremony at its terminal; return how many steps it had."""
    words = [VAULT, "ceremony", "run", str(plan), str(ceremony), "--module", str(module)]
    say(f"   $ hsm-vault {' '.join(words[1:])}")
    ours, theirs = pty.openpty()
    os.set_blocking(ours, False)
    environment = {**os.environ, "TERM": "vt100"}
    process = subprocess.Popen(words, stdin=theirs, stdout=theirs, stderr=theirs, env=environment)
    os.close(theirs)
    try:
        return _Room(ours).answer(process)
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def testify(ceremony: Path, keys: Path) -> None:
    """Have everybody sign that the script was followed."""
    for number in range(1, len(PEOPLE) + 1):
        vault("ceremony", "testimony", str(ceremony), str(number), "--key", str(keys / f"{number}.pem"), quiet=True)


class _Room:
    """One terminal. `screen` is what was written since it was cleared."""

    def __init__(self, terminal: int) -> None:
        self._terminal = terminal
        self._screen = ""
        self._all = ""
        self._paper: dict[str, str] = {}
        self._shown = 0

    def answer(self, process: subprocess.Popen[bytes]) -> int:
        deadline = time.monotonic() + SECONDS
        while process.poll() is None:
            if time.monotonic() > deadline:
                raise SystemExit(f"demo: the ceremony waits for something:\n{self._screen}")
            if not self._read():
                time.sleep(0.01)
            elif (reply := self._reply()) is not None:
                self._screen = ""
                os.write(self._terminal, reply.encode() + b"\n")
        self._read()
        if process.returncode:
            raise SystemExit(f"demo: the ceremony ended with {process.returncode}:\n{self._all[-2000:]}")
        return self._shown

    def _read(self) -> bool:
        try:
            piece = os.read(self._terminal, 65536).decode(errors="replace")
        except (BlockingIOError, OSError):
            return False
        self._all += piece
        self._screen = (self._screen + piece).rpartition(CLEAR)[2]
        for number, of, title in STEP.findall(piece):
            if int(number) > self._shown:
                self._shown = int(number)
                say(f"     step {number:>2} of {of}: {title.strip()}")
        return bool(piece)

    def _reply(self) -> str | None:
        """Return the answer to what the screen asks, None while it asks nothing."""
        text = re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", self._screen).replace("\r", "")
        if found := SHARE.search(text):
            self._paper[found[1]] = " ".join(WORD.findall(text))
        if re.search(r"Press Enter [^\n]*$", text):
            return ""
        if (found := TYPES.search(text)) and re.search(r"from word +\d+: $", text):
            return self._paper[found[1]]
        if found := re.search(r"type (\S+): $", text):
            return found[1]
        return None
