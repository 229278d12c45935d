"""Genesis on real SoftHSM tokens, by a scripted operator: played, paused, killed, and answered wrongly."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from pkcs11 import Attribute, ObjectClass, Session

from hsm_app.ceremony.custody import so_pin
from hsm_app.ceremony.gathering import BACK
from hsm_app.ceremony.room import RoomClosed
from hsm_app.ceremony.transcript import EntryKind
from hsm_app.ceremony.words import fingerprint_words
from hsm_app.errors import ConfigError, LogError, TokenError, VaultError
from hsm_app.evidence.software import encode_software
from hsm_app.operator.ceremonies.play import AGAIN, HOW_TO_GO_ON, NOT_EMPTY, WHAT_HAPPENED
from hsm_app.operator.ceremonies.standing import standing
from hsm_app.token.keyspec import TRUSTED, TRUSTED_KEY
from hsm_app.token.location import find_token, load_module, login_officer
from hsm_app.token.station import TokenStation
from tests.ceremony.plans import KEY, PEOPLE, plan_text
from tests.ceremony.room import REASON, ScriptedRoom
from tests.ceremony.stage import MAINTAINED, READ_ALOUD, Rehearsal, officer_opens, shares
from tests.evidence.example_software import FILES, SOFTWARE

# -- as it should be


@pytest.mark.parametrize("which", ["sealed", "maintained"])
def test_every_step_is_done_once_and_the_transcript_ends(which: str, request: pytest.FixtureRequest) -> None:
    rehearsal: Rehearsal = request.getfixturevalue(which)
    steps = [step.id for step in rehearsal.ceremony.script.steps]
    assert [entry.step for entry in rehearsal.of(EntryKind.DONE)] == steps
    assert rehearsal.entries()[-1].kind is EntryKind.END
    assert not rehearsal.of(EntryKind.EXCEPTION)


def test_no_secret_stands_in_the_transcript_or_on_the_screen(sealed: Rehearsal) -> None:
    """VAULT-CEREMONY-NO-SECRET"""
    said = (sealed.root / "transcript.jsonl").read_text() + "\n".join(sealed.room.shown)
    secret = shares(sealed, "Cleo", "Eve")
    pins = [(sealed.root / f"replica-{number}/pin").read_text().strip() for number in (1, 2, 3)]
    officers = [so_pin(secret, "fleet-1", f"fleet-1-{number}") for number in (1, 2, 3)]
    for hidden in (*pins, *officers, secret.hex(), *sealed.room.sheets.values()):
        assert len(hidden) > 20
        assert hidden not in said
    for sheet in sealed.room.sheets.values():  # nor a part of a sheet
        words = sheet.split()
        assert not any(" ".join(words[start : start + 3]) in said for start in range(4, len(words) - 2))


def test_each_call_that_makes_or_moves_a_key_is_recorded_with_its_attributes(sealed: Rehearsal) -> None:
    calls = [entry.body for entry in sealed.of(EntryKind.OPERATION)]
    made = [call for call in calls if call["call"] == "C_UnwrapKey" and call["mechanism"] == "CKM_RSA_PKCS_OAEP"]
    assert [call["token"] for call in made] == ["fleet-1-1", "fleet-1-2", "fleet-1-3"]
    assert all(call["template"]["CKA_EXTRACTABLE"] is False for call in made)
    assert all(call["template"]["CKA_UNWRAP_TEMPLATE"]["CKA_SENSITIVE"] is True for call in made)
    trusted = [call for call in calls if call["call"] == "C_CreateObject"]
    assert [call["token"] for call in trusted] == ["fleet-1-1"] * 3
    assert all(call["template"]["CKA_TRUSTED"] is True for call in trusted)
    destroyed = [call["object"] for call in calls if call["call"] == "C_DestroyObject"]
    assert destroyed.count(TRUSTED) == 3
    assert destroyed.count("replica-transport") == 3
    assert destroyed.count("fleet-root-origin") == 1


def test_after_sealing_no_custodian_opens_a_token_and_no_root_comes_out(sealed: Rehearsal) -> None:
    """VAULT-SEAL-SHOWN"""
    secret = shares(sealed, "Cleo", "Dan")
    assert not any(officer_opens(sealed, number, secret) for number in (1, 2, 3))
    done = {entry.step: entry.body for entry in sealed.of(EntryKind.DONE)}
    for number in (1, 2, 3):
        assert done[f"seal-{number}"] == {"officer_refused": True, "root_extractable": False}


def test_the_words_of_the_program_are_those_that_everybody_can_have_beforehand(sealed: Rehearsal) -> None:
    """Of `hsm-vault software`, and of sha256sum in an unpacked wheel: not of software.json."""
    listed = "".join(sorted(f"{digest.hex()}  {path}\n" for path, digest in FILES.items()))
    digest = hashlib.sha256(listed.encode())
    shown = sealed.room.shown[sealed.room.shown.index(digest.hexdigest()) :]
    assert shown[1] == fingerprint_words(digest.digest())
    done = {entry.step: entry.body for entry in sealed.of(EntryKind.DONE)}
    assert done["software"]["files_sha256"] == digest.hexdigest()


def test_a_record_of_the_program_that_was_changed_meanwhile_stops_the_ceremony(tmp_path: Path) -> None:
    rehearsal = Rehearsal(tmp_path / "ceremony")
    rehearsal.room.leave_at = "software"
    with pytest.raises(RoomClosed):
        rehearsal.play()
    (rehearsal.root / "software.json").write_bytes(encode_software(replace(SOFTWARE, commit=None)))
    rehearsal.room.leave_at = ""
    with pytest.raises(LogError, match=r"software\.json was changed since the ceremony began"):
        rehearsal.play()


# -- paused and killed


def test_a_room_that_closes_before_every_step_loses_nothing_and_repeats_nothing(tmp_path: Path) -> None:
    """VAULT-CEREMONY-DONE-ONCE"""
    rehearsal = Rehearsal(tmp_path / "ceremony")
    for step in rehearsal.ceremony.script.steps:
        rehearsal.room.leave_at = step.id
        with pytest.raises(RoomClosed):
            rehearsal.play()
        assert rehearsal.entries()[-1].kind is EntryKind.PAUSED
    rehearsal.room.leave_at = ""
    rehearsal.play()
    back = [entry for entry in rehearsal.of(EntryKind.CONFIRMED) if entry.body["asked"] == BACK.asks]
    assert len(back) == len(rehearsal.of(EntryKind.RESUMED)) - 1  # the first time nobody had been called yet
    operations = [entry.body for entry in rehearsal.of(EntryKind.OPERATION)]
    assert [call["call"] for call in operations].count("C_InitToken") == 3
    aes = [call for call in operations if call.get("mechanism") == "CKM_AES_KEY_GEN"]
    assert [call["template"]["CKA_LABEL"] for call in aes] == ["fleet-root-origin"]
    with pytest.raises(ConfigError, match="has ended"):
        rehearsal.play()


def test_a_kill_after_any_line_is_taken_up_and_ends_well(tmp_path: Path) -> None:
    """Each run is killed a few lines after it began, so that over the ceremony every kind of line is a last one."""
    rehearsal = Rehearsal(tmp_path / "ceremony")
    assert rehearsal.killed_to_the_end(seed=7, lines=(10, 34)) > 12
    steps = [step.id for step in rehearsal.ceremony.script.steps]
    assert [entry.step for entry in rehearsal.of(EntryKind.DONE)] == steps
    roots = [entry.body for entry in rehearsal.of(EntryKind.DONE) if entry.step.startswith("carry-")]
    assert [body["same_root"] for body in roots] == [True] * 3


def test_where_an_interrupted_ceremony_stands_is_said_of_each_token(tmp_path: Path) -> None:
    rehearsal = Rehearsal(tmp_path / "ceremony")
    rehearsal.room.answers = [(READ_ALOUD, "different")]
    with pytest.raises(RoomClosed):
        rehearsal.play()
    now = standing(rehearsal.ceremony.script, rehearsal.journal())
    assert now.next_step is not None
    assert now.next_step.id == "carry-1"
    assert "carry-1 was interrupted" in now.tokens["fleet-1-1"]
    assert now.tokens["fleet-1-2"] == "has its own keys, and no root"
    assert now.exceptions == 1


# -- unexpected answers


def test_an_unexpected_answer_opens_an_exception_sheet_and_pauses(tmp_path: Path) -> None:
    rehearsal = Rehearsal(tmp_path / "ceremony")
    rehearsal.room.answers = [("Dan (custodian)", "he is late")]
    with pytest.raises(RoomClosed, match="paused"):
        rehearsal.play()
    (sheet,) = rehearsal.of(EntryKind.EXCEPTION)
    assert sheet.body == {"what": "answered 'he is late' to: Dan (custodian): type here", "reason": REASON}


def test_no_exception_sheet_is_left_empty(tmp_path: Path) -> None:
    rehearsal = Rehearsal(tmp_path / "ceremony")
    rehearsal.room.answers = [("Dan (custodian)", "he is late"), (WHAT_HAPPENED, ""), (WHAT_HAPPENED, "a flat tyre")]
    with pytest.raises(RoomClosed, match="paused"):
        rehearsal.play()
    (sheet,) = rehearsal.of(EntryKind.EXCEPTION)
    assert sheet.body["reason"] == "a flat tyre"
    assert NOT_EMPTY in rehearsal.room.shown


def test_asked_again_only_after_the_sheet(tmp_path: Path) -> None:
    rehearsal = Rehearsal(tmp_path / "ceremony")
    rehearsal.room.answers = [("Dan (custodian)", "yes"), (HOW_TO_GO_ON, "hm"), (HOW_TO_GO_ON, AGAIN)]
    rehearsal.room.leave_at = "custody"
    with pytest.raises(RoomClosed):
        rehearsal.play()
    asked = [entry.body["answer"] for entry in rehearsal.of(EntryKind.CONFIRMED) if "Dan" in entry.body["asked"]]
    assert asked == ["yes", "here"]
    assert len(rehearsal.of(EntryKind.EXCEPTION)) == 1


def test_who_is_not_there_when_it_goes_on_is_on_a_sheet(tmp_path: Path) -> None:
    rehearsal = Rehearsal(tmp_path / "ceremony")
    rehearsal.room.leave_at = "clock"
    with pytest.raises(RoomClosed):
        rehearsal.play()
    rehearsal.room.leave_at = "script"
    rehearsal.room.answers = [(BACK.asks, "Eve is ill"), (HOW_TO_GO_ON, AGAIN)]
    with pytest.raises(RoomClosed):
        rehearsal.play()
    (sheet,) = rehearsal.of(EntryKind.EXCEPTION)
    assert sheet.body["what"].startswith("answered 'Eve is ill' to: All of them are here again")
    assert {entry.step for entry in rehearsal.of(EntryKind.DONE)} == {"roll-call", "clock"}


def swapped(words: str, first: int, second: int) -> str:
    parts = words.split()
    parts[first], parts[second] = parts[second], parts[first]
    return " ".join(parts)


FOREIGN = (  # SLIP-39's own test vectors, number 4: 2 of 3
    "shadow pistol academic always adequate wildlife fancy gross oasis cylinder "
    "mustang wrist rescue view short owner flip making coding armed"
)
WRONG_SHARES: dict[str, tuple[Callable[[ScriptedRoom, str], str], str]] = {
    "a word is missing": (lambda _, words: words.rpartition(" ")[0], "20 words, and 19 were typed"),
    "a word is not in the list": (lambda _, words: f"zebra {words.partition(' ')[2]}", "not in the list: word 1"),
    "two words are exchanged": (lambda _, words: swapped(words, 0, 12), "word"),
    "it is another custodian's": (lambda room, _: room.sheets["Cleo"], "this is the share of Cleo, not of Dan"),
    "it is of another fleet": (lambda *_: FOREIGN, "a share of another set"),
}


@pytest.mark.parametrize(("typed", "says"), WRONG_SHARES.values(), ids=WRONG_SHARES.keys())
def test_a_share_is_refused_and_named_when(
    tmp_path: Path, typed: Callable[[ScriptedRoom, str], str], says: str
) -> None:
    rehearsal = Rehearsal(tmp_path / "ceremony")
    wrong: list[str] = []

    def mistyped(custodian: str, words: str) -> str | None:
        if custodian != "Dan" or wrong:
            return None
        wrong.append(typed(rehearsal.room, words))
        return wrong[0]

    rehearsal.room.mistyped = mistyped
    rehearsal.room.leave_at = "initialise-1"
    with pytest.raises(RoomClosed):
        rehearsal.play()
    (sheet,) = rehearsal.of(EntryKind.EXCEPTION)
    assert sheet.body["what"].startswith("a share that Dan typed was not taken: ")
    assert says in sheet.body["what"]


def test_a_custodian_who_comes_twice_or_is_none_is_named(tmp_path: Path) -> None:
    rehearsal = Rehearsal(tmp_path / "ceremony")
    rehearsal.room.leave_at = "initialise-1"
    with pytest.raises(RoomClosed):
        rehearsal.play()
    rehearsal.room.leave_at, rehearsal.room.comes = "keys-1", ["Dan", "Dan", "Mallory", "Eve"]
    with pytest.raises(RoomClosed):
        rehearsal.play()
    assert [entry.body["what"] for entry in rehearsal.of(EntryKind.EXCEPTION)] == [
        "'Dan' has given the share already",
        "'Mallory' is no custodian of this fleet",
    ]


# -- tokens that are not as they should be


def test_a_label_in_use_is_refused_and_the_token_left_as_it_was(tmp_path: Path) -> None:
    rehearsal = Rehearsal(tmp_path / "ceremony")
    rehearsal.room.leave_at = "initialise-2"
    with pytest.raises(RoomClosed):
        rehearsal.play()
    plan = rehearsal.ceremony.plan
    location = rehearsal.ceremony.place.location(plan, plan.tokens[2])
    with TokenStation(location) as station:
        station.initialise("somebody else's", "somebody else's")
        station.make_replica_keys()
    rehearsal.room.leave_at = ""
    with pytest.raises(TokenError, match="there is a token 'fleet-1-3' already"):
        rehearsal.play()
    assert rehearsal.of(EntryKind.EXCEPTION)[-1].body["what"].startswith("there is a token 'fleet-1-3' already")
    with TokenStation(location) as station:
        station.open("somebody else's")
        station.sign(b"it still has its key")


def trusted_copy(session: Session) -> None:
    """What an officer's hand can do in the middle of a ceremony: a TRUSTED key under a name of no concern."""
    modulus = bytes([0xC5]) + bytes(range(1, 255)) * 2
    session.create_object({
        **TRUSTED_KEY, Attribute.LABEL: "old notes", Attribute.MODULUS: modulus[:384],
        Attribute.PUBLIC_EXPONENT: b"\x01\x00\x01",
    })  # fmt: skip


def data_object(session: Session) -> None:
    session.create_object({
        Attribute.CLASS: ObjectClass.DATA, Attribute.TOKEN: True, Attribute.PRIVATE: False, Attribute.VALUE: b"x",
    })  # fmt: skip


STRANGERS = {"a TRUSTED key under another label": trusted_copy, "a data object": data_object}


@pytest.mark.parametrize("plant", STRANGERS.values(), ids=STRANGERS.keys())
def test_the_inventory_finds(tmp_path: Path, plant: Callable[[Session], None]) -> None:
    rehearsal = Rehearsal(tmp_path / "ceremony", MAINTAINED)
    rehearsal.room.leave_at = "inventory-1"
    with pytest.raises(RoomClosed):
        rehearsal.play()
    plan = rehearsal.ceremony.plan
    location = rehearsal.ceremony.place.location(plan, plan.tokens[1])
    secret = shares(rehearsal, "Cleo", "Dan")
    module = load_module(location)
    try:
        plant(login_officer(find_token(module, location.label), so_pin(secret, plan.fleet, location.label)))
    finally:
        module.close()
    rehearsal.room.leave_at = ""
    with pytest.raises(TokenError, match="the token holds an unexpected"):
        rehearsal.play()
    assert "inventory-2" not in {entry.step for entry in rehearsal.of(EntryKind.DONE)}


def test_after_a_refused_reading_no_key_of_the_carry_is_left(tmp_path: Path) -> None:
    """VAULT-CARRY-ENDS"""
    rehearsal = Rehearsal(tmp_path / "ceremony", MAINTAINED)
    rehearsal.room.leave_at = "carry-2"
    with pytest.raises(RoomClosed):
        rehearsal.play()
    rehearsal.room.leave_at, rehearsal.room.answers = "", [(READ_ALOUD, "different")]
    with pytest.raises(RoomClosed):
        rehearsal.play()
    plan = rehearsal.ceremony.plan
    for replica in (1, 2):
        location = rehearsal.ceremony.place.location(plan, plan.tokens[replica - 1])
        with TokenStation(location) as station:
            station.open((rehearsal.root / f"replica-{replica}/pin").read_text().strip())
            assert station.roots()["replica-transport"] == 0
            with pytest.raises(TokenError, match="no object 'fleet-carry-trusted'"):
                station.wrap_root()


def test_another_plan_or_program_does_not_go_on_with_a_ceremony(tmp_path: Path) -> None:
    rehearsal = Rehearsal(tmp_path / "ceremony")
    rehearsal.room.leave_at = "clock"
    with pytest.raises(RoomClosed):
        rehearsal.play()
    other = Rehearsal(rehearsal.root, plan_text(threshold=3))
    with pytest.raises(VaultError, match="plan_sha256 is not what the transcript began with"):
        other.play()


NO_KEYS = {
    "the plan's example": "ssh-ed25519 REPLACE-BY-THE-PUBLIC-KEY-OF-ADA",
    "cut off": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIMeCOnOk3vwdeG9RSRW7VsCg",
    "of another kind": "ES256:00",
}


@pytest.mark.parametrize("key", NO_KEYS.values(), ids=NO_KEYS)
def test_nothing_begins_with_a_key_that_nobody_could_sign_with(tmp_path: Path, key: str) -> None:
    keys = [KEY.format(1), KEY.format(2), key, KEY.format(4), KEY.format(5)]
    with pytest.raises(ConfigError, match="the plan's key of Cleo is no public key"):
        Rehearsal(tmp_path / "ceremony", plan_text(keys=keys)).play()
    assert not (tmp_path / "ceremony").exists()


def test_nothing_begins_where_one_key_would_sign_for_two(tmp_path: Path) -> None:
    """It is one key also where the plan writes it in two ways."""
    keys = [KEY.format(1), KEY.format(2), KEY.format(0xAB), f"Ed25519:{0xAB:064X}", KEY.format(5)]
    with pytest.raises(ConfigError, match="in the plan Cleo and Dan have the same key"):
        Rehearsal(tmp_path / "ceremony", plan_text(keys=keys)).play()
    assert not (tmp_path / "ceremony").exists()


UNTYPABLE = {"custodian": "Grant Mason", "fleet": "academic-acid"}


@pytest.mark.parametrize("of", UNTYPABLE)
def test_nothing_begins_with_a_name_that_nobody_could_type(tmp_path: Path, of: str) -> None:
    """The terminal takes it for words of a share, each time, and clears the screen. Both names are asked for."""
    name = UNTYPABLE[of]
    people = [(name if of == role and number == 2 else each, role) for number, (each, role) in enumerate(PEOPLE)]
    text = plan_text(people=people, **({"fleet": name} if of == "fleet" else {}))
    with pytest.raises(ConfigError, match=f"the {of}'s name '{name}' reads like words of a share") as caught:
        Rehearsal(tmp_path / "ceremony", text).play()
    assert not (tmp_path / "ceremony").exists()
    assert "initial" in caught.value.todo
