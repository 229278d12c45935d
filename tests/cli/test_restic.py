"""restic takes its password from the vault: the example of the README, with Debian's restic and a real fleet."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.client.trees import plant
from tests.live_fleet import SURROUNDINGS, VAULT, LiveFleet, well

# The README's lines; the shell opens descriptor 3 on a file with the code, and restic hands it on.
PASSWORD = f"{VAULT} client recover --print-key --code-fd 3"


def restic(arguments: str, config: Path, code: Path) -> subprocess.CompletedProcess[str]:
    environment = {
        **SURROUNDINGS,
        "HOME": str(config.parent),
        "HSM_VAULT_CONFIG": str(config),
        "RESTIC_REPOSITORY": str(config.parent / "repository"),
        "RESTIC_PASSWORD_COMMAND": PASSWORD,
    }
    command = f'restic --no-cache {arguments} 3< "$1"'
    return subprocess.run(
        ["sh", "-c", command, "sh", str(code)], env=environment, capture_output=True, text=True, check=False
    )


@pytest.fixture
def config(fleet: LiveFleet, tmp_path: Path) -> Path:
    path = fleet.client_config("restic-rita", tmp_path / "rita", tmp_path.name)
    well("client", "register", "--config", str(path), "--code-out", str(tmp_path / "code"))
    return path


def test_restic_backs_up_and_restores_with_the_code_alone(fleet: LiveFleet, config: Path, tmp_path: Path) -> None:
    tree, code = plant(tmp_path / "tree"), tmp_path / "code"
    made = restic("init", config, code)
    assert made.returncode == 0, made.stderr
    saved = restic(f"backup {tree}", config, code)
    assert saved.returncode == 0, saved.stderr
    for file in (config.parent / "state").iterdir():  # a new device: account token and code are all there is
        file.unlink()
    got = restic(f"restore latest --target {tmp_path / 'new'}", config, code)
    assert got.returncode == 0, got.stderr
    restored = tmp_path / "new" / tree.relative_to("/")
    assert (restored / "letter.txt").read_text() == "dear me\n"
    assert not (config.parent / "state" / "key").exists()


def test_restic_stops_at_a_wrong_code(config: Path, tmp_path: Path) -> None:
    assert restic("init", config, tmp_path / "code").returncode == 0
    (tmp_path / "wrong").write_text("wrong horse\n")
    refused = restic("snapshots", config, tmp_path / "wrong")
    assert refused.returncode != 0
    assert "the recovery code is wrong" in refused.stderr
    assert "[attempts left: 9]" in refused.stderr
