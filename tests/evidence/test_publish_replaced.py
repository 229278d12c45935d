"""What the operator's commands refuse about a replaced token's evidence, and what they leave as it was published."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from hsm_app.ceremony.script import Deed
from hsm_app.durable import owning
from hsm_app.errors import ConfigError, LogError, StoreError, TokenError
from hsm_app.evidence.dossier import CUSTODY, MANIFEST, TRANSCRIPT
from hsm_app.evidence.statement import STATEMENT, read_envelope, sign_statement
from hsm_app.fleet.manifest import FleetState, Manifest
from hsm_app.fleet.manifest_json import parse_manifest
from hsm_app.model import FleetId
from hsm_app.monitor.evidence_source import read_evidence
from hsm_app.operator.ceremonies.hall import Hall, Place
from hsm_app.operator.ceremonies.publish import check_publishable
from hsm_app.operator.ceremonies.publish_replacement import publish_replacement
from hsm_app.operator.ceremonies.upkeep_deeds import UpkeepDeeds
from hsm_app.operator.fleet_directory import FleetDirectory
from hsm_app.operator.layout import ReplicaFiles
from hsm_app.operator.publication import next_manifest
from hsm_app.operator.replace import Replacement
from hsm_app.operator.replace_evidence import complete_evidence, evidence_of, note_evidence, prove_evidence
from hsm_app.operator.replace_token import fresh_member
from tests.cli.command import run
from tests.evidence.deployment import Files, with_fleet
from tests.evidence.replacement import Replaced
from tests.evidence.tampering import put
from tests.fleet import trust
from tests.token.fresh import softhsm

RECORD = "tokens/2.json"
MALLORY = trust.operator(99)


def test_evidence_that_the_manifest_names_is_not_published_again(replaced: Replaced) -> None:
    assert "was published already" in str(run("ceremony", "publish", replaced.rehearsal.root).exception)
    assert (
        read_envelope((replaced.evidence / STATEMENT).read_bytes()).raw == read_envelope(replaced.files[STATEMENT]).raw
    )


def test_commitments_of_others_than_the_plan_s_custodians_are_not_published(replaced: Replaced, tmp_path: Path) -> None:
    """That too few have signed is published as it is; this would fail for good, whoever signs."""
    files = put(replaced.files, CUSTODY, b'"Dan"', b'"Zoe"')
    with pytest.raises(LogError, match=r"custody\.json is of other custodians") as refused:
        check_publishable(replaced.remade(files), tmp_path)
    assert "publish again" in refused.value.todo


def test_options_of_a_genesis_are_refused_for_a_fleet_that_is_there(replaced: Replaced) -> None:
    done = run("ceremony", "publish", replaced.rehearsal.root, "--days", "30")
    assert "leave out --days" in str(done.exception)


@pytest.fixture
def place(replaced: Replaced, tmp_path: Path) -> Place:
    """The ceremony and the fleet before the manifest named the evidence; no token is there."""
    ceremony, home = tmp_path / "ceremony", tmp_path / "fleet"
    for root in (ceremony, home / "replica-1"):
        root.mkdir(parents=True)
    shutil.copy(replaced.rehearsal.root / TRANSCRIPT, ceremony)
    shutil.copy(replaced.old.root / "replica-1/replica.toml", home / "replica-1")
    return Place(root=ceremony, home=home, module=softhsm())


def refused(replaced: Replaced, place: Place, *epochs: Manifest, current: Manifest) -> ConfigError:
    """Return what `publish` says of a fleet with these epochs."""
    (place.home / "manifest.json").write_bytes(current.raw)
    for epoch in epochs:
        FleetDirectory(root=place.home, fleet_id=FleetId(replaced.old.fleet), trusted=None).epochs.record(epoch)
    with pytest.raises(ConfigError) as raised:
        publish_replacement(place, replaced.rehearsal.ceremony.plan)
    assert not (place.root / "evidence").exists()
    return raised.value


def test_evidence_is_not_published_anew_once_the_next_manifest_is_issued(replaced: Replaced, place: Place) -> None:
    """The command that issued it may have died before the evidence had it; another statement would be named by none."""
    genesis, grown = (parse_manifest(files[MANIFEST]) for files in (replaced.old.files, replaced.files))
    error = refused(replaced, place, genesis, grown, current=replaced.without)
    assert error.what == f"the manifest of epoch {grown.epoch} names this evidence already"
    assert "hsm-vault fleet replace-replica" in error.todo


def test_a_token_that_the_next_manifest_lists_is_not_set_aside(replaced: Replaced, place: Place) -> None:
    """Another ceremony for the same replica would remove its PIN, and nobody could ever enter that epoch with it."""
    directory = FleetDirectory(root=place.home, fleet_id=FleetId(replaced.old.fleet), trusted=None)
    directory.epochs.record(parse_manifest(replaced.old.files[MANIFEST]))
    directory.epochs.record(grown := parse_manifest(replaced.files[MANIFEST]))
    (place.home / "manifest.json").write_bytes(replaced.without.raw)
    for name in ("replica-2", "retired/replica-2-incarnation-1"):
        (place.home / name).mkdir(parents=True)
    (place.home / "replica-2/pin").touch()
    plan = replaced.rehearsal.ceremony.plan
    hall = cast(Hall, SimpleNamespace(fleet=lambda: directory, place=place, plan=plan))
    step = next(step for step in replaced.rehearsal.ceremony.script.steps if step.deed is Deed.RETIRE_TOKEN)
    with pytest.raises(ConfigError, match=f"epoch {grown.epoch}, which lists replica 2, is under way"):
        UpkeepDeeds(hall).retire(step)
    assert (place.home / "replica-2/pin").exists()


def test_nothing_is_moved_when_no_token_can_give_the_root(replaced: Replaced, place: Place) -> None:
    """Somebody ran `replace-replica` while the ceremony was paused: what it has made of the new token stays."""
    fleet = replaced.directory.fleet(replaced.without)
    (place.home / "retired/replica-2-incarnation-1").mkdir(parents=True)
    (place.home / "replica-2").mkdir()
    (place.home / "replica-2/pin").touch()
    old = parse_manifest(replaced.old.files[MANIFEST]).fleets[0].groups[0].find(2)
    with pytest.raises(TokenError, match="no living replica's so-pin"):
        fresh_member(place.home, fleet, old, fleet.groups[0], say=lambda _: None)
    assert (place.home / "replica-2/pin").exists()


def test_evidence_is_not_published_for_a_token_whose_place_is_taken(replaced: Replaced, place: Place) -> None:
    error = refused(replaced, place, current=parse_manifest(replaced.files[MANIFEST]))
    assert error.what == "the fleet's manifest has incarnation 2 of replica 2, and the ceremony made incarnation 2"


def test_evidence_goes_on_from_evidence_only(replaced: Replaced, place: Place) -> None:
    bare = changed(parse_manifest(replaced.old.files[MANIFEST]), evidence_sha256=None)
    assert "names no evidence that this could go on from" in refused(replaced, place, current=bare).what


def test_a_ceremony_that_has_not_ended_has_no_evidence(replaced: Replaced, place: Place) -> None:
    lines = (place.root / TRANSCRIPT).read_bytes().splitlines(keepends=True)
    (place.root / TRANSCRIPT).write_bytes(b"".join(lines[:-1]))
    error = refused(replaced, place, current=parse_manifest(replaced.old.files[MANIFEST]))
    assert error.what == "this is no replaced token whose ceremony has ended"


@pytest.mark.parametrize("which", ["root", "home"])
def test_evidence_is_not_published_while_something_else_works_there(
    replaced: Replaced, place: Place, which: str
) -> None:
    """Or the statement that `replace-replica` has read, and is about to name, could be exchanged under its hands."""
    with owning(getattr(place, which)), pytest.raises(StoreError, match="another process works in"):
        publish_replacement(place, replaced.rehearsal.ceremony.plan)


def test_a_replica_is_not_replaced_while_its_evidence_is_published(replaced: Replaced, place: Place) -> None:
    directory = FleetDirectory(root=place.home, fleet_id=FleetId(replaced.old.fleet), trusted=None)
    work = Replacement(directory=directory, replica=2, is_same_token=False, now=0, say=lambda _: None)
    with owning(place.home), pytest.raises(StoreError, match="another process works in"):
        work.run()


def test_evidence_keeps_the_manifest_that_it_was_published_with(replaced: Replaced) -> None:
    """Later epochs name the same evidence, as long as no other token is replaced."""
    grown = parse_manifest(replaced.files[MANIFEST])
    later = next_manifest(grown, now=grown.issued_at, not_after=grown.not_after, states={})
    said: list[str] = []
    complete_evidence(replaced.directory, later, said.append)
    prove_evidence(replaced.directory, later, b"a bundle of the later epoch")
    assert said == []
    assert read_evidence(str(replaced.evidence)) == replaced.files


@dataclass(frozen=True)
class Noted:
    """A fleet's directory that holds nothing but a note of where copied evidence is."""

    replaced: Replaced
    root: Path

    def evidence(self, manifest: Manifest, files: Files | None = None) -> bytes | None:
        where = self.root / "evidence"
        for path, content in (files or self.replaced.files).items():
            (where / path).parent.mkdir(parents=True, exist_ok=True)
            (where / path).write_bytes(content)
        noted = ReplicaFiles(root=self.root, number=2)
        noted.directory.mkdir(exist_ok=True)
        note_evidence(noted, where)
        return self.named(manifest)

    def named(self, manifest: Manifest) -> bytes | None:
        directory = FleetDirectory(root=self.root, fleet_id=self.replaced.directory.fleet_id, trusted=None)
        return evidence_of(directory, manifest, 0, self.replaced.member)


@pytest.fixture
def noted(replaced: Replaced, tmp_path: Path) -> Noted:
    return Noted(replaced, tmp_path)


def changed(manifest: Manifest, **changes: object) -> Manifest:
    entry = replace(manifest.fleets[0], **changes)  # type: ignore[arg-type]
    return parse_manifest(with_fleet(manifest.raw, entry))


def test_the_next_manifest_names_evidence_that_is_whole_and_goes_on(noted: Noted) -> None:
    """VAULT-MEMBER-EVIDENCED"""
    statement = read_envelope(noted.replaced.files[STATEMENT])
    assert noted.evidence(noted.replaced.without) == statement.digest
    assert noted.named(changed(noted.replaced.without, evidence_sha256=None)) is None


def test_a_fleet_with_evidence_gets_no_member_without(noted: Noted) -> None:
    """VAULT-MEMBER-EVIDENCED: whoever forgot to publish is told what to run."""
    with pytest.raises(ConfigError, match="is not published") as refused:
        noted.named(noted.replaced.without)
    assert "hsm-vault ceremony publish" in refused.value.todo


def test_evidence_that_does_not_fit_the_next_manifest_is_refused(noted: Noted) -> None:
    """VAULT-MEMBER-EVIDENCED: another replacement came first, or the fleet changed meanwhile."""
    with pytest.raises(ConfigError, match="does not go on from the evidence that the manifest names"):
        noted.evidence(changed(noted.replaced.without, evidence_sha256=bytes(32)))
    with pytest.raises(ConfigError, match=r"fleet\.json is not the fleet as the next manifest lists it"):
        noted.evidence(changed(noted.replaced.without, state=FleetState.RECOVER_ONLY))


@pytest.mark.parametrize("path", [RECORD, STATEMENT])
def test_evidence_that_is_not_whole_is_refused(noted: Noted, path: str) -> None:
    files = noted.replaced.files
    strange = {RECORD: b"{}", STATEMENT: sign_statement(read_envelope(files[STATEMENT]).raw, MALLORY)}
    with pytest.raises(LogError, match=r"is not the file that the statement names|is not signed by the new token"):
        noted.evidence(noted.replaced.without, {**files, path: strange[path]})
