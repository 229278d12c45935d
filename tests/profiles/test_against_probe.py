"""The rows of every profile are what the probe checks, and SoftHSM's profile says what the probe sees."""

from __future__ import annotations

from pathlib import Path

import pytest
from pkcs11 import Mechanism

from hsm_app.profile_files import read_profile
from hsm_app.profiles.needs import NEEDS, Need
from hsm_app.profiles.profile import Offer, Profile
from hsm_app.token import keyspec
from hsm_app.token.initialise import initialise_token
from hsm_app.token.probe import ABILITIES, Finding, probe
from tests.token.answers import answering
from tests.token.fresh import SO_PIN, USER_PIN, blank, finished, user

DERIVE, MECHANISM_INVALID = 62, 0x70  # position in CK_FUNCTION_LIST, and the answer


def disagreements(profile: Profile, findings: list[Finding]) -> list[str]:
    """Return the needs whose answer is another than what the probe saw. An open answer agrees with everything."""
    seen = {finding.ability: finding.ok for finding in findings}
    said = {Offer.YES: True, Offer.SETTING: True, Offer.NO: False}
    return [
        answer.need.id
        for answer in profile.answers
        if answer.offer in said and said[answer.offer] != all(seen[ability] for ability in answer.need.abilities)
    ]


def test_the_rows_are_what_the_probe_checks() -> None:
    assert {ability for need in NEEDS for ability in need.abilities} == {ability.name for ability in ABILITIES}
    assert all(need.abilities for need in NEEDS)


def test_a_row_is_required_when_the_probe_requires_it() -> None:
    needed = {ability.name: ability.needed for ability in ABILITIES}
    assert {need.id for need in NEEDS if need.required} == {
        need.id for need in NEEDS if any(needed[ability] for ability in need.abilities)
    }


def test_the_rows_name_every_mechanism_that_the_vault_uses() -> None:
    used = {value for value in vars(keyspec).values() if isinstance(value, Mechanism)}
    used |= {value for value in keyspec.CARRY_PARAMETERS if isinstance(value, Mechanism)}
    assert {call for need in NEEDS for call in need.calls if call.startswith("CKM_")} == {
        f"CKM_{mechanism.name}" for mechanism in used
    }


def test_ids_stand_once() -> None:
    assert len({need.id for need in NEEDS}) == len(NEEDS)


def test_softhsms_profile_says_what_the_probe_sees(tmp_path: Path) -> None:
    location = blank(tmp_path)
    initialise_token(location, SO_PIN, USER_PIN)
    profile = read_profile("softhsm2")
    with user(location) as session:
        assert disagreements(profile, probe(session)) == []
        assert f"{session.token.manufacturer_id}, {session.token.model}" == "SoftHSM project, SoftHSM v2"
    assert not profile.with_offer(Offer.UNKNOWN), "a profile that was tested leaves nothing open"


def test_the_comparison_sees_a_device_that_lost_an_ability(tmp_path: Path) -> None:
    location = blank(tmp_path)
    initialise_token(location, SO_PIN, USER_PIN)
    with user(location) as session, answering(location.module, DERIVE, MECHANISM_INVALID):
        lost = disagreements(read_profile("softhsm2"), probe(session))
    assert {"ecdh", "ecdh-inside", "key-wrap"} <= set(lost)
    assert "ecdsa" not in lost


@pytest.mark.parametrize("need", [need for need in NEEDS if need.untried], ids=lambda need: need.id)
def test_what_the_probe_cannot_try_is_named(need: Need) -> None:
    assert need.id in {"hmac", "trusted", "data-object"}


def test_softhsms_officer_places_a_trusted_key_and_a_fleet_key_is_made(tmp_path: Path) -> None:
    """What the probe leaves out of `trusted` and `hmac`: a whole token as `fleet create` makes it."""
    finished(tmp_path / "token").open().close()
