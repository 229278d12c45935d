"""The scripts and dry runs of every ceremony, as golden files: a change of a ceremony is a diff that people read.

After a change on purpose: `python -m tests.ceremony.golden`, then read the diff.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from hsm_app.ceremony.catalogue import script_of
from hsm_app.ceremony.document import digest, markdown, page
from hsm_app.ceremony.example import example_plan
from hsm_app.ceremony.plan import parse_plan
from hsm_app.ceremony.script import Deed
from hsm_app.ceremony.transcript import EntryKind, parse_transcript
from hsm_app.errors import ConfigError
from hsm_app.operator.ceremonies.dry_run import dry_run
from tests.ceremony.golden import GOLDEN, MAINTAINED, PLANS, golden


@pytest.mark.parametrize("name", PLANS)
def test_script_and_dry_run_are_the_golden_ones(name: str, tmp_path: Path) -> None:
    for path, made in golden(name, tmp_path).items():
        assert made == (GOLDEN / path).read_bytes(), f"{path} changed: see this file's first lines"


def test_there_is_no_golden_file_of_nothing() -> None:
    assert {path.stem for path in GOLDEN.iterdir()} == set(PLANS)


@pytest.mark.parametrize("name", PLANS)
def test_a_dry_run_is_a_whole_transcript_of_every_step(name: str, tmp_path: Path) -> None:
    dry_run(PLANS[name].encode(), tmp_path / "transcript")
    entries = parse_transcript((tmp_path / "transcript").read_bytes())
    script = script_of(parse_plan(PLANS[name].encode()))
    assert [entry.step for entry in entries if entry.kind is EntryKind.DONE] == [step.id for step in script.steps]
    assert entries[0].body["kind"] == "dry-run"
    assert entries[-1].kind is EntryKind.END


@pytest.mark.parametrize("name", PLANS)
def test_every_step_and_question_stands_in_both_documents(name: str) -> None:
    script = script_of(parse_plan(PLANS[name].encode()))
    text, shown = markdown(script).decode(), page(script, "the words").decode()
    assert len({step.id for step in script.steps}) == len(script.steps)
    for step in script.steps:
        assert f"({step.id}; {step.roles})" in text
        assert f"<i>{step.id}; {step.roles}</i>" in shown
        for confirmation in step.confirmations:
            assert f"- [ ] {confirmation.asks}" in text
    assert digest(script).hex() in shown
    assert "the words" in shown


def test_every_deed_belongs_to_a_ceremony() -> None:
    used = {step.deed for name in PLANS for step in script_of(parse_plan(PLANS[name].encode())).steps}
    assert used == set(Deed)


def test_a_maintained_fleets_script_says_what_custodians_can_do_and_a_sealed_ones_when_it_ends() -> None:
    sealed = PLANS["genesis"]
    for text, said in ((MAINTAINED, "They can therefore do anything"), (sealed, "as soon as 2 of them are lost")):
        assert said in " ".join(markdown(script_of(parse_plan(text.encode()))).decode().split())


def test_the_scripts_say_what_needs_no_custodian_and_what_is_not_erased() -> None:
    destroyed = PLANS["destroy-fleet"].replace('custody = "sealed"', 'custody = "maintained"')
    pin = "can use the fleet's keys there without counting guesses"
    for text, said in ((MAINTAINED, pin), (PLANS["genesis"], pin), (destroyed, "One that still works holds the fleet")):
        assert said in " ".join(markdown(script_of(parse_plan(text.encode()))).decode().split())


def test_a_dry_run_does_not_write_over_a_transcript(tmp_path: Path) -> None:
    path = tmp_path / "transcript.jsonl"
    path.write_text("something")
    with pytest.raises(ConfigError, match="is there already"):
        dry_run(example_plan("genesis").encode(), path)
    assert path.read_text() == "something"
