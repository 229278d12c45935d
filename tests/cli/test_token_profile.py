"""`hsm-vault token profile`: a table, a page of 80 columns, JSON, and a name that nobody knows."""

from __future__ import annotations

import pytest

from hsm_app.cli.token_profile import MARKS
from hsm_app.errors import ConfigError
from hsm_app.profile_files import read_profiles
from hsm_app.profiles.needs import NEEDS
from tests.cli.command import run, told, well

NAMES = [profile.name for profile in read_profiles()]


def test_without_a_name_all_of_them_in_a_table() -> None:
    lines = well("token", "profile").splitlines()
    assert [line.split()[0] for line in lines if line.split()[:1] and line.split()[0] in NAMES] == NAMES
    assert all(len(line) <= 80 for line in lines)
    assert next(line for line in lines if line.startswith("yubihsm2")).split()[-4:] == ["8", "0", "1", "8"]


@pytest.mark.parametrize("name", NAMES)
def test_a_profile_fits_80_columns(name: str) -> None:
    text = well("token", "profile", name)
    assert [line for line in text.splitlines() if len(line) > 80 and "https://" not in line] == []
    assert text.isascii()
    for need in NEEDS:
        assert f" {need.name}" in text
    assert text.count("https://") >= 1


def test_a_lack_says_what_follows() -> None:
    text = " ".join(well("token", "profile", "aws-cloudhsm").split())
    assert "This vault does not run on it as is: 5 of 17" in text
    assert "NO ECDH with NULL KDF, value readable" in text
    assert "Without it: points cannot be multiplied in the device: no OPAQUE, no sealed requests." in text


def test_what_has_to_be_switched_on_is_shown() -> None:
    text = " ".join(well("token", "profile", "thales-luna").split())
    assert "Switch on: Partition policy 1, Allow private key wrapping (default 0)" in text


def test_json_of_one_and_of_all() -> None:
    one = told("token", "profile", "yubihsm2")
    assert one["status"] == "documented only"
    assert "trusted" in one["lacks"]
    assert [row["id"] for row in one["needs"]] == [need.id for need in NEEDS]
    assert {row["offer"] for row in one["needs"]} <= {offer.value for offer in MARKS}
    assert one["sources"][0] == {
        "title": "PKCS#11 with YubiHSM 2, reference",
        "url": "https://docs.yubico.com/software/yubihsm-2/component-reference/hsm2-ref-pkcs11.html",
        "read": "2026-11-24",
    }
    everything = told("token", "profile")["profiles"]
    assert [row["name"] for row in everything] == NAMES
    assert one in everything


def test_an_unknown_name_lists_the_known_ones() -> None:
    result = run("token", "profile", "nethsm")
    assert isinstance(result.exception, ConfigError)
    assert result.exception.exit_code == 3
    assert str(result.exception) == f"there is no profile 'nethsm'. There are: {', '.join(NAMES)}"
