"""What the command line says of a ceremony that has ended or was interrupted, and what its people sign."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pytest

from hsm_app.ceremony.catalogue import script_of
from hsm_app.ceremony.plan import parse_plan
from hsm_app.ceremony.transcript import LIMIT, EntryKind
from hsm_app.errors import ConfigError, LogError, VaultError
from hsm_app.operator.ceremonies.journal import Journal
from hsm_app.operator.ceremonies.run import begin
from hsm_app.operator.ceremonies.standing import standing
from tests.ceremony.plans import plan_text
from tests.ceremony.stage import Rehearsal
from tests.cli.command import well
from tests.token.fresh import softhsm


@pytest.fixture
def ended(sealed: Rehearsal, tmp_path: Path) -> Path:
    """The public files of a genesis that has ended."""
    for name in ("plan.toml", "script.md", "transcript.jsonl"):
        shutil.copy(sealed.root / name, tmp_path)
    return tmp_path


def test_a_ceremony_that_has_ended_says_what_comes_next(ended: Path) -> None:
    said = well("ceremony", "status", ended)
    assert "29 of 29 steps are done, with 0 exception sheets" in said
    assert "token fleet-1-2: sealed; listed, and holds nothing else" in said
    assert f"next: each participant signs: hsm-vault ceremony testimony {ended} NUMBER" in said
    (ended / "evidence").mkdir()
    (ended / "evidence" / "manifest.json").touch()
    said = well("ceremony", "status", ended)
    assert ("evidence is published" in said, "testimony" in said) == (True, False), "who signs now comes too late"


def test_who_has_not_signed_yet_may_change_the_mind(ended: Path) -> None:
    well("ceremony", "testimony", ended, "3")
    well("ceremony", "testimony", ended, "3", "--object", "I saw Dan's words")
    written = ended / "testimonies/3.json"
    assert json.loads(written.read_text())["objection"] == "I saw Dan's words"
    written.with_name("3.json.sig").write_text("signed")
    well("ceremony", "testimony", ended, "3", "--object", "I saw Dan's words")
    with pytest.raises(ConfigError, match=r"3\.json is signed, and says something else"):
        well("ceremony", "testimony", ended, "3")


def test_people_sign_about_a_transcript_as_long_as_one_may_be(tmp_path: Path) -> None:
    """A ceremony of many days with many exception sheets: what an audit reads, a participant can sign."""
    (tmp_path / "plan.toml").write_text(plan_text())
    (tmp_path / "script.md").touch()
    long = bytes(LIMIT)
    (tmp_path / "transcript.jsonl").write_bytes(long)
    well("ceremony", "testimony", tmp_path, "3")
    said = json.loads((tmp_path / "testimonies/3.json").read_text())
    assert said["transcript_sha256"] == hashlib.sha256(long).hexdigest()
    (tmp_path / "transcript.jsonl").write_bytes(long + b"x")
    with pytest.raises(ConfigError, match=rf"transcript\.jsonl has more than {LIMIT} bytes"):
        well("ceremony", "testimony", tmp_path, "3")


INTERRUPTED = {
    ("genesis", "initialise-1"): "it is half initialised: with or without a user PIN",
    ("genesis", "inventory-1"): "it is as before",
    ("genesis", "seal-1"): "it may be sealed already",
    ("destroy-fleet", "erase-1"): "it may be erased in part",
}


@pytest.mark.parametrize(("ceremony", "step"), INTERRUPTED)
def test_what_an_interruption_left_of_a_token_is_a_sentence(tmp_path: Path, ceremony: str, step: str) -> None:
    more = 'fleet_directory = "fleet"' if ceremony == "destroy-fleet" else ""
    script = script_of(parse_plan(plan_text(ceremony, more=more).encode()))
    path = tmp_path / "transcript.jsonl"
    Journal.create(path, lambda: 1_800_000_000, {}).write(EntryKind.STARTED, step)
    said = standing(script, Journal.read(path, lambda: 1_800_000_000)).tokens["fleet-1-1"]
    assert said == f"not touched by this ceremony; then {step} was interrupted: {INTERRUPTED[ceremony, step]}"


CHANGED = {
    "the script": ("script.md", "script.md is not the one that the transcript begins with"),
    "the commitments": ("custody.json", "custody.json is not the one of the ceremony"),
    "a token's record": ("tokens/2.json", "tokens/2.json is not the record that the ceremony made"),
}


def test_who_begins_a_ceremony_twice_is_told_how_to_go_on(tmp_path: Path) -> None:
    rehearsal = Rehearsal(tmp_path / "ceremony")
    rehearsal.root.mkdir()
    (rehearsal.root / "transcript.jsonl").touch()
    with pytest.raises(ConfigError, match=f"Go on with it: hsm-vault ceremony resume {rehearsal.root}"):
        begin(rehearsal.ceremony, rehearsal.room)


def test_nothing_is_named_for_good_that_an_audit_would_refuse(tmp_path: Path) -> None:
    rehearsal = Rehearsal(tmp_path / "ceremony")
    rehearsal.play()
    root = rehearsal.root
    for name, why in CHANGED.values():
        kept = (root / name).read_bytes()
        (root / name).write_bytes(kept + b"\n")
        with pytest.raises(LogError, match=why):
            well("ceremony", "publish", root, "--module", softhsm())
        assert not (root / "manifest.json").exists()
        (root / name).write_bytes(kept)
    interrupt_publishing(root)
    said = well("ceremony", "publish", root, "--module", softhsm())
    assert "0 of 3 custodians have signed, and 2 have to agree: every audit of this fleet will say FAIL" in said
    assert (root / "evidence/manifest.json").exists()
    assert (root / "evidence/manifest.json").read_bytes() == (root / "manifest.json").read_bytes()
    assert not (root / "evidence/attestations").exists()


def interrupt_publishing(root: Path) -> None:
    """Let it stop when one token has anchored the manifest: that one stays, whatever comes later."""
    pin = (root / "replica-2/pin").rename(root / "pin")
    with pytest.raises(VaultError):
        well("ceremony", "publish", root, "--module", softhsm())
    pin.rename(root / "replica-2/pin")
    anchored = (root / "manifest.json").read_bytes()
    (root / "attestations/1").mkdir(parents=True)
    (root / "attestations/1/late.pem").write_text("late")
    with pytest.raises(ConfigError, match="Give the options of the run that was interrupted"):
        well("ceremony", "publish", root, "--module", softhsm(), "--days", "30")
    assert (root / "manifest.json").read_bytes() == anchored
