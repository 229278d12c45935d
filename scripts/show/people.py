"""The people of the show: somebody who loses a phone, and an attacker who guesses."""

from __future__ import annotations

import filecmp
import time
from pathlib import Path

from scripts.show.stage import run, say, vault


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


def guess(device: list[str], code: str, left: int) -> None:
    """One wrong guess; waits first when the vault says so, as a patient attacker would."""
    while True:
        done = run("client", "recover", *device, code=code)
        if done.returncode != 24:
            break
        time.sleep(1)
    message = done.stderr.strip().splitlines()[-1]
    say(f"     exit {done.returncode}: {message}")
    if done.returncode != 21 or f"[attempts left: {left}]" not in message:
        raise SystemExit(f"demo: expected a refusal with {left} attempts left")
