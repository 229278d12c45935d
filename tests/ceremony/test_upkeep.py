"""The ceremonies after genesis, on a fleet that a genesis made: real tokens and replicas, a scripted room."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import pytest

from hsm_app.ceremony.plan import parse_plan
from hsm_app.ceremony.room import RoomClosed
from hsm_app.ceremony.transcript import EntryKind
from hsm_app.epochs import read_manifest
from hsm_app.errors import ConfigError, VaultError
from hsm_app.fleet.manifest import FleetState
from hsm_app.fleet.role_keys import RoleKey
from hsm_app.fleet.root_of_trust import Role, encode_root_of_trust, parse_root_of_trust, successor
from hsm_app.key_files import make_key_file
from hsm_app.operator.publication import next_manifest
from hsm_app.signers import read_signer
from hsm_app.token.location import TokenLocation
from hsm_app.token.station import TokenStation
from tests.ceremony.plans import plan_text
from tests.ceremony.stage import Rehearsal
from tests.fleet import trust
from tests.live_fleet import FLEET, LiveFleet, run, well
from tests.ports import free_ports
from tests.system.test_replace import killed_after
from tests.token.fresh import softhsm

COUNT = 3


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[LiveFleet]:
    """A maintained fleet that a genesis made; its custodians' sheets are kept beside it."""
    genesis = Rehearsal(tmp_path / "f", plan_text(fleet=FLEET, custody="maintained"))
    genesis.play()
    ports = ",".join(map(str, free_ports(2 * COUNT + 1)))
    well("ceremony", "publish", str(genesis.root), "--ports", ports, "--argon2", "1,64,1", "--waits", "0")
    (tmp_path / "sheets.json").write_text(json.dumps(genesis.room.sheets))
    fleet = LiveFleet(genesis.root, COUNT)
    yield fleet
    fleet.stop()


def upkeep(fleet: LiveFleet, ceremony: str, place: str = "", **more: object) -> Rehearsal:
    """Return a ceremony about a fleet, with its custodians and their sheets, in a directory of its own."""
    lines = [f'fleet_directory = "{fleet.root}"', *(f"{name} = {value}" for name, value in more.items())]
    text = plan_text(ceremony, fleet=FLEET, custody="maintained", more="\n".join(lines))
    rehearsal = Rehearsal(fleet.root.parent / (place or ceremony), text, home=fleet.root)
    rehearsal.room.sheets = json.loads((fleet.root.parent / "sheets.json").read_text())
    return rehearsal


def leave(fleet: LiveFleet) -> None:
    """Have the fleet's manifest say that it recovers only."""
    current = read_manifest(fleet.root / "manifest.json")
    left = next_manifest(
        current, now=int(time.time()), not_after=current.not_after, states={FLEET: FleetState.RECOVER_ONLY}
    )
    (fleet.root / "manifest.json").write_bytes(left.raw)


@contextmanager
def opened(fleet: LiveFleet, number: int) -> Iterator[TokenStation]:
    """A replica's token, its user logged in."""
    conf = fleet.root / f"replica-{number}/softhsm2.conf"
    with TokenStation(TokenLocation(module=softhsm(), label=f"{FLEET}-{number}", softhsm2_conf=conf)) as station:
        station.open((fleet.root / f"replica-{number}/pin").read_text().strip())
        yield station


def audited(evidence: Path, before: Path) -> dict[str, str]:
    """Return the outcome of each check; nobody has signed here, so the whole is no PASS."""
    told = json.loads(run("audit", str(evidence), "--before", str(before), "--json").stdout)
    return {each["check"]: each["outcome"] for each in told["checks"]}


# -- a token is replaced


def test_a_token_that_died_is_replaced_by_the_custodians_and_no_record_is_lost(
    fleet: LiveFleet, tmp_path: Path
) -> None:
    fleet.start()
    config = fleet.client_config("anna", tmp_path / "phone")
    code = json.loads(well("client", "register", "--config", str(config), "--json"))["code"]
    fleet.kill(2)
    shutil.rmtree(fleet.root / "replica-2/tokens")
    rehearsal = upkeep(fleet, "replace-token", replica=2)
    rehearsal.play()
    assert rehearsal.entries()[-1].kind is EntryKind.END
    done = {entry.step: entry.body for entry in rehearsal.of(EntryKind.DONE)}
    assert done["carry-2"]["same_root"] is True
    assert done["inventory-2"]["objects"] == ["fleet-root", "replica-identity", "replica-link"]
    replace_replica = ("fleet", "replace-replica", str(fleet.root), "--replica", "2")
    forgotten = run(*replace_replica)
    assert forgotten.returncode == ConfigError.exit_code
    assert "hsm-vault ceremony publish" in forgotten.stderr
    assert len(read_manifest(fleet.root / "manifest.json").fleet(FLEET).groups[0].replicas) == COUNT - 1
    well("ceremony", "publish", str(rehearsal.root), "--module", str(softhsm()))
    well(*replace_replica)
    member = read_manifest(fleet.root / "manifest.json").fleet(FLEET).groups[0].find(2)
    assert member.identity_public.hex() == done["keys-2"]["identity_public"]
    verdicts = audited(rehearsal.root / "evidence", fleet.root / "evidence")
    assert (rehearsal.root / "evidence/manifest.json").read_bytes() == (fleet.root / "manifest.json").read_bytes()
    assert [verdicts[name] for name in ("manifest", "key-binding", "key-attributes")] == ["PASS"] * 3
    fleet.start("replica-2")
    fleet.kill(1)  # the new one is needed now
    again = fleet.client_config("anna", tmp_path / "new-phone")
    assert run("client", "recover", "--config", str(again), "--print-key", code=code).returncode == 0


def test_a_new_token_that_dies_once_it_is_listed_is_replaced_by_another_ceremony(fleet: LiveFleet) -> None:
    """VAULT-MEMBERSHIP-ISSUED-STAYS, VAULT-MEMBER-EVIDENCED: and the evidence of all three goes on from each other."""
    fleet.start("replica-1", "replica-3")
    command = ("fleet", "replace-replica", str(fleet.root), "--replica", "2")
    made = [fleet.root]
    for place in ("second", "third"):
        shutil.rmtree(fleet.root / "replica-2/tokens")
        rehearsal = upkeep(fleet, "replace-token", place, replica=2)
        if place == "third":
            with pytest.raises(ConfigError, match="--new-token-died"):
                rehearsal.play()
            assert (fleet.root / "replica-2/pin").exists()
            well(*command, "--new-token-died")
            assert (made[-1] / "evidence/manifest.json").read_bytes() == (fleet.root / "manifest.json").read_bytes()
        rehearsal.play()
        well("ceremony", "publish", str(rehearsal.root), "--module", str(softhsm()))
        made.append(rehearsal.root)
        if place == "second":
            assert killed_after(fleet, 2, "replica 2 is a member again")
    well(*command)
    assert read_manifest(fleet.root / "manifest.json").fleet(FLEET).groups[0].find(2).incarnation == 3
    for root, before in pairwise(reversed(made)):
        verdicts = audited(root / "evidence", before / "evidence")
        assert [verdicts[name] for name in ("manifest", "key-binding", "key-attributes")] == ["PASS"] * 3, root


def test_a_token_is_replaced_although_another_one_is_lost_too(fleet: LiveFleet) -> None:
    for number in (1, 2):
        shutil.rmtree(fleet.root / f"replica-{number}/tokens")
    rehearsal = upkeep(fleet, "replace-token", replica=2, lost=[1])
    rehearsal.play()
    done = {entry.step: entry.body for entry in rehearsal.of(EntryKind.DONE)}
    assert done["carry-2"] == {"from": 3, "same_root": True}
    well("ceremony", "publish", str(rehearsal.root), "--module", str(softhsm()))
    assert audited(rehearsal.root / "evidence", fleet.root / "evidence")["key-binding"] == "PASS"


def test_every_pause_of_a_replacement_is_taken_up(fleet: LiveFleet) -> None:
    shutil.rmtree(fleet.root / "replica-2/tokens")
    rehearsal = upkeep(fleet, "replace-token", replica=2)
    for step in rehearsal.ceremony.script.steps:
        rehearsal.room.leave_at = step.id
        with pytest.raises(RoomClosed):
            rehearsal.play()
    rehearsal.room.leave_at = ""
    rehearsal.play()
    assert rehearsal.entries()[-1].kind is EntryKind.END


def test_no_file_is_moved_before_people_say_that_the_old_replica_is_stopped(fleet: LiveFleet) -> None:
    rehearsal = upkeep(fleet, "replace-token", replica=2)
    rehearsal.room.answers = [("does not run any more", "not yet")]
    with pytest.raises(RoomClosed):
        rehearsal.play()
    assert (fleet.root / "replica-2/replica.toml").exists()
    assert not (fleet.root / "retired").exists()


def test_a_replacement_and_a_destruction_are_killed_and_taken_up(fleet: LiveFleet) -> None:
    """One after the other on one fleet, which only its manifest says was left."""
    shutil.rmtree(fleet.root / "replica-2/tokens")
    replacement = upkeep(fleet, "replace-token", replica=2)
    assert replacement.killed_to_the_end(seed=3, lines=(14, 40)) > 2
    leave(fleet)
    destruction = upkeep(fleet, "destroy-fleet")
    assert destruction.killed_to_the_end(seed=4, lines=(10, 24)) > 1
    for rehearsal in (replacement, destruction):
        assert rehearsal.entries()[-1].kind is EntryKind.END
        steps = [step.id for step in rehearsal.ceremony.script.steps]
        assert [entry.step for entry in rehearsal.of(EntryKind.DONE)] == steps
    for number in range(1, COUNT + 1):
        with opened(fleet, number) as station:
            assert station.objects(sealed=False) == []


def test_without_the_fleets_custody_file_nobody_replaces_a_token(fleet: LiveFleet) -> None:
    (fleet.root / "custody.json").unlink()
    with pytest.raises(ConfigError, match=r"custody\.json"):
        upkeep(fleet, "replace-token", replica=2).play()
    assert (fleet.root / "replica-2/tokens").exists()


# -- a fleet is destroyed


def test_an_active_fleet_is_not_destroyed(fleet: LiveFleet) -> None:
    with pytest.raises(ConfigError, match="is active: people put records into it"):
        upkeep(fleet, "destroy-fleet").play()
    with opened(fleet, 1) as station:
        assert station.roots()["fleet-root"] == 1


def test_a_fleet_that_was_left_and_lost_a_token_is_destroyed_token_by_token(fleet: LiveFleet) -> None:
    leave(fleet)
    shutil.rmtree(fleet.root / "replica-2/tokens")
    rehearsal = upkeep(fleet, "destroy-fleet", lost=[2])
    rehearsal.play()
    for number in (1, 3):
        with opened(fleet, number) as station:
            assert station.objects(sealed=False) == []
    done = [entry.step for entry in rehearsal.of(EntryKind.DONE)]
    assert done[-5:] == ["erase-1", "erase-3", "lost-2", "replaced", "end"]


LOST = {
    "all tokens": ("destroy-fleet", "[1, 2, 3]", "lost names all tokens"),
    "a token that the fleet does not have": ("destroy-fleet", "[8, 9]", "lost names all tokens, or one that"),
    "a token twice": ("destroy-fleet", "[2, 2]", "names a replica twice"),
    "no number": ("destroy-fleet", '["2"]', "no list of replicas' numbers"),
    "a token of a fleet that is made here": ("genesis", "[2]", "is for ceremonies about a fleet that exists"),
    "the token that is replaced": ("replace-token", "[2]", "is named as lost"),
    "every token that could give the root": ("replace-token", "[1, 3]", "lost names all tokens"),
}


@pytest.mark.parametrize(("ceremony", "lost", "says"), LOST.values(), ids=LOST)
def test_no_plan_loses(ceremony: str, lost: str, says: str) -> None:
    text = plan_text(ceremony, custody="maintained", more=f'fleet_directory = "f"\nreplica = 2\nlost = {lost}')
    with pytest.raises(ConfigError, match=says):
        parse_plan(text.encode())


# -- operator and auditor get new keys


@pytest.fixture
def roles(tmp_path: Path) -> Path:
    """Operator's and auditor's present keys, and the root of trust that names them."""
    for role in ("operator", "auditor"):
        make_key_file(tmp_path / f"{role}.pem")
    name_roles(tmp_path)
    return tmp_path


def name_roles(place: Path, *, threshold: int = 1, others: Sequence[RoleKey] = ()) -> None:
    """Write the root of trust; the auditor's key is the first of several when there are others."""
    keys = {role: read_signer(place / f"{role}.pem").key for role in ("operator", "auditor")}
    base = trust.root_of_trust()
    (place / "root.json").write_bytes(
        encode_root_of_trust(
            namespace=base.namespace,
            version=base.version,
            issued_at=base.issued_at,
            expires_at=base.expires_at,
            auditors=Role(threshold, (keys["auditor"], *others)),
            operators=Role(1, (keys["operator"],)),
            origin=base.origin,
            policy=base.policy_lines,
            minimum_epoch=base.minimum_epoch,
            maximum_age=base.maximum_age,
        )
    )


def rotation(place: Path) -> Rehearsal:
    text = plan_text("rotate-keys").replace("threshold = 2\n", "").replace("replicas = 3\n", "")
    text += f'[roles]\nroot_of_trust = "{place}/root.json"\noperator = "{place}/operator.pem"\n'
    return Rehearsal(place / "rotation", text + f'auditor = "{place}/auditor.pem"\n')


def test_new_keys_are_believed_by_who_believed_the_old_ones(roles: Path) -> None:
    rehearsal = rotation(roles)
    rehearsal.play()
    old = parse_root_of_trust((roles / "root.json").read_bytes())
    new = successor(old, (rehearsal.root / "root-of-trust.dsse.json").read_bytes().strip())
    assert (new.version, new.operators.keys, new.auditors.keys) == (
        old.version + 1,
        (read_signer(rehearsal.root / "operator.toml").key,),
        (read_signer(rehearsal.root / "auditor.toml").key,),
    )
    assert not set(new.operators.keys + new.auditors.keys) & set(old.operators.keys + old.auditors.keys)


def test_what_the_roles_tokens_were_asked_for_is_recorded(roles: Path) -> None:
    rehearsal = rotation(roles)
    rehearsal.play()
    calls = [entry.body for entry in rehearsal.of(EntryKind.OPERATION)]
    made = [call for call in calls if call["call"] == "C_GenerateKeyPair"]
    assert [call["token"] for call in made] == ["operator", "auditor"]
    assert all(call["private_template"]["CKA_EXTRACTABLE"] is False for call in made)
    signed = [(call["token"], call["key"].split("-")[0]) for call in calls if call["call"] == "C_Sign"]
    assert sorted(signed) == [("auditor", "auditor")] * 2 + [("operator", "operator")] * 2


def test_every_pause_of_a_rotation_is_taken_up(roles: Path) -> None:
    rehearsal = rotation(roles)
    for step in rehearsal.ceremony.script.steps:
        rehearsal.room.leave_at = step.id
        with pytest.raises(RoomClosed):
            rehearsal.play()
    rehearsal.room.leave_at = ""
    rehearsal.play()
    assert rehearsal.entries()[-1].kind is EntryKind.END


def test_a_rotation_is_killed_and_taken_up(roles: Path) -> None:
    rehearsal = rotation(roles)
    assert rehearsal.killed_to_the_end(seed=5, lines=(4, 12)) > 2
    old = parse_root_of_trust((roles / "root.json").read_bytes())
    assert successor(old, (rehearsal.root / "root-of-trust.dsse.json").read_bytes().strip()).version == old.version + 1


def test_a_key_that_nobody_believes_rotates_nothing(roles: Path) -> None:
    (roles / "operator.pem").unlink()
    make_key_file(roles / "operator.pem")
    with pytest.raises(VaultError, match="the operator's key is none of the root of trust's"):
        rotation(roles).play()


def test_the_other_keys_of_a_role_stay(roles: Path) -> None:
    others = [make_key_file(roles / f"other-{number}.pem").key for number in range(2)]
    name_roles(roles, others=others)
    rehearsal = rotation(roles)
    rehearsal.play()
    new = parse_root_of_trust((rehearsal.root / "root-of-trust.json").read_bytes())
    assert new.auditors.keys == (read_signer(rehearsal.root / "auditor.toml").key, *others)


def test_nothing_is_made_where_one_key_of_a_role_is_not_enough(roles: Path) -> None:
    name_roles(roles, threshold=2, others=[make_key_file(roles / "other.pem").key])
    rehearsal = rotation(roles)
    with pytest.raises(VaultError, match="wants 2 auditors' signatures"):
        rehearsal.play()
    assert [path.name for path in rehearsal.root.glob("*.toml")] == ["plan.toml"]
