"""A whole genesis at a terminal of 80 by 24, by people who only have the screen, on real tokens."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hsm_app.ceremony.custody import combine, parse_custody, recognise
from hsm_app.ceremony.transcript import EntryKind, parse_transcript
from hsm_app.evidence.software import ModuleFile, parse_software
from tests.ceremony.pane import Pane, pane
from tests.ceremony.people import SHOWN, WANTED, People
from tests.ceremony.plans import plan_text
from tests.token.fresh import softhsm

ROOT = Path(__file__).parents[2]


@contextmanager
def terminal(directory: Path, *words: str) -> Iterator[Pane]:
    """Run `hsm-vault ceremony` in a terminal of its own."""
    command = [sys.executable, "-m", "hsm_app.cli.main", "ceremony", *words, "--module", str(softhsm())]
    with pane(directory / "tmux", command, {"PYTHONPATH": str(ROOT), "TERM": "vt100"}) as shown:
        yield shown


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    path = tmp_path / "plan.toml"
    path.write_text(plan_text())
    return path


def kinds(directory: Path) -> list[EntryKind]:
    return [entry.kind for entry in parse_transcript((directory / "transcript.jsonl").read_bytes())]


def in_a_row(words: list[str], text: str) -> bool:
    """Say whether three words of a share stand in a text one after the other."""
    whole = " ".join(text.split())
    return any(" ".join(words[start : start + 3]) in whole for start in range(4, 18))


def test_people_make_a_fleet_by_reading_the_screen(tmp_path: Path, plan: Path) -> None:
    directory = tmp_path / "ceremony"
    with terminal(tmp_path, "run", str(plan), str(directory)) as shown:
        people = People(shown)
        people.play()
        assert shown.exit_code() == 0
        assert "The ceremony has ended." in shown.screen()
        left = shown.everything()
    assert people.steps == list(range(1, people.steps[-1] + 1))
    assert kinds(directory)[-1] is EntryKind.END
    assert EntryKind.EXCEPTION not in kinds(directory)
    runs = parse_software((directory / "software.json").read_bytes())
    digest = hashlib.sha256(softhsm().read_bytes()).digest()
    assert runs.pkcs11_module == ModuleFile(file=softhsm().name, sha256=digest)
    for custodian, words in people.sheets.items():
        public = [screen for screen in people.screens if not SHOWN.search(screen) and not WANTED.search(screen)]
        assert not any(in_a_row(words, screen) for screen in [*public, left]), custodian


def test_a_genesis_that_is_interrupted_over_a_share_is_resumed_with_new_sheets(tmp_path: Path, plan: Path) -> None:
    directory = tmp_path / "ceremony"
    with terminal(tmp_path, "run", str(plan), str(directory)) as shown:
        first = People(shown)
        first.play(leave=lambda screen: "Dan" in SHOWN.findall(screen))
        assert shown.exit_code() == 5
        assert "hsm-vault ceremony resume" in shown.screen()
        assert not in_a_row(first.sheets["Cleo"], shown.everything())
    assert kinds(directory)[-1] is EntryKind.PAUSED
    with terminal(tmp_path, "resume", str(directory)) as shown:
        second = People(shown)
        second.play()
        assert shown.exit_code() == 0
    assert second.steps[0] == first.steps[-1]
    assert second.sheets["Cleo"] != first.sheets["Cleo"]
    custody = parse_custody((directory / "custody.json").read_bytes())
    assert combine(custody, [recognise(custody, name, " ".join(second.sheets[name])) for name in ("Cleo", "Eve")])
