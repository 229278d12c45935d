"""The profiles that come with the program, and the parser that lets nothing else pass."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hsm_app.errors import ConfigError
from hsm_app.profile_files import DATA, read_profile, read_profiles
from hsm_app.profiles.needs import NEEDS
from hsm_app.profiles.profile import LIMIT, Offer, Profile, Status, parse_profile

PROFILES = read_profiles()
GOOD = (DATA / "yubihsm2.toml").read_text()
NAMES = ["aws-cloudhsm", "entrust-nshield", "softhsm2", "thales-luna", "utimaco", "yubihsm2"]


def answers(name: str) -> dict[str, Offer]:
    return {answer.need.id: answer.offer for answer in read_profile(name).answers}


def test_the_six_are_there() -> None:
    assert [profile.name for profile in PROFILES] == NAMES


def test_only_softhsm_was_tested() -> None:
    assert [profile.name for profile in PROFILES if profile.status is Status.TESTED] == ["softhsm2"]


@pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.name)
def test_every_text_refers_to_sources_that_exist(profile: Profile) -> None:
    texts = " ".join((*profile.connection, *profile.remarks, *(answer.note for answer in profile.answers)))
    numbers = {int(number) for number in re.findall(r"\[(\d+)\]", texts)}
    assert numbers <= set(range(1, len(profile.sources) + 1))


def test_a_device_that_lacks_something_does_not_run() -> None:
    for name in ("yubihsm2", "aws-cloudhsm"):
        assert read_profile(name).verdict().startswith("This vault does not run on it as is: ")
    assert answers("yubihsm2")["trusted"] is answers("aws-cloudhsm")["trusted"] is Offer.NO
    assert answers("yubihsm2")["unwrap-template"] is answers("aws-cloudhsm")["ecdh"] is Offer.NO


def test_nothing_is_promised_of_what_was_not_tried() -> None:
    for profile in PROFILES:
        assert profile.verdict().startswith("The vault runs on it") == (profile.name == "softhsm2")


VERDICTS = {
    "an open answer": ('offer = "unknown"', "leave 1 of 17 needed abilities open"),
    "a setting": ('offer = "with-setting"\nswitch_on = "it"', "could run on it. Nobody has tried."),
    "a lack": ('offer = "no"', "1 of 17 needed abilities are missing"),
}


@pytest.mark.parametrize(("offer", "verdict"), VERDICTS.values(), ids=VERDICTS.keys())
def test_a_verdict_comes_from_the_answers(offer: str, verdict: str) -> None:
    needs = "".join(f'[needs.{need.id}]\noffer = "yes"\nnote = "x"\nsources = [1]\n' for need in NEEDS)
    text = GOOD[: GOOD.index("[needs.random]")].replace("[4]", "[2][3][4][5][6][7]") + needs
    text = text.replace('[needs.ecdh]\noffer = "yes"', f"[needs.ecdh]\n{offer}")
    assert verdict in parse_profile(text.encode(), "a profile").verdict()


WRONG = {
    "a member nobody knows": ('vendor = "Yubico"', 'vendor = "Yubico"\nprice = 650', "unknown member 'price'"),
    "no vendor": ('vendor = "Yubico"\n', "", "lacks the member vendor"),
    "a name with a path": ('name = "yubihsm2"', 'name = "../x"', "name is not a text"),
    "a status of its own": ('status = "documented only"', 'status = "certified"', "none of tested, documented only"),
    "a need that is left out": ("[needs.ecdsa]", "[needs.ecdsa2]", "unknown member 'ecdsa2'"),
    "an offer of its own": ('[needs.hmac]\noffer = "yes"', '[needs.hmac]\noffer = "maybe"', "none of yes"),
    "a yes without a source": (
        '[needs.hmac]\noffer = "yes"\nnote = ""\nsources = [5]',
        '[needs.hmac]\noffer = "yes"\nnote = ""\nsources = []',
        "hmac names no source",
    ),
    "a no without a note": (
        '[needs.hmac]\noffer = "yes"\nnote = ""',
        '[needs.hmac]\noffer = "no"\nnote = ""',
        "says no and has no note",
    ),
    "an unknown without a note": (
        '[needs.hmac]\noffer = "yes"\nnote = ""',
        '[needs.hmac]\noffer = "unknown"\nnote = ""',
        "says unknown and has no note",
    ),
    "a setting that is not named": ('[needs.hmac]\noffer = "yes"', '[needs.hmac]\noffer = "with-setting"', "not which"),
    "a no that can be switched on": (
        '[needs.trusted]\noffer = "no"',
        '[needs.trusted]\noffer = "no"\nswitch_on = "x"',
        "then it is with-setting",
    ),
    "a source that is not there": ("sources = [3, 5]", "sources = [3, 8]", "whole number from 1 to 7"),
    "a source that is a truth value": ("sources = [3, 5]", "sources = [true]", "whole number"),
    "a source nobody refers to": (
        "http://localhost:12345), or the module opens USB itself. [1][4]",
        "x [1]",
        "number 4",
    ),
    "an address without TLS": (
        "https://docs.yubico.com/software",
        "http://docs.yubico.com/software",
        "url is not a text",
    ),
    "a day that is a text": ("read = 2026-11-24", 'read = "2026-11-24"', "not a date"),
    "a day with a time": ("read = 2026-11-24", "read = 2026-11-24T10:00:00", "not a date"),
    "a note with two lines": ('note = "2048, 3072', 'note = "a\\n2048, 3072', "note is not a text"),
    "a note that colours the terminal": ('note = "2048, 3072', 'note = "\\u001b[31m2048, 3072', "note is not a text"),
    "no module": ('modules = ["/usr/lib/x86_64-linux-gnu/pkcs11/yubihsm_pkcs11.so"]', "modules = []", "has 0 items"),
    "a member that stands twice": ('vendor = "Yubico"', 'vendor = "Yubico"\nvendor = "x"', "is not TOML"),
    "answers in a list": ("[needs.random]", "[[needs.random]]", "is not an object"),
}


@pytest.mark.parametrize(("old", "new", "why"), WRONG.values(), ids=WRONG.keys())
def test_the_parser_refuses(old: str, new: str, why: str) -> None:
    assert old in GOOD
    with pytest.raises(ConfigError, match=re.escape(why)):
        parse_profile(GOOD.replace(old, new, 1).encode(), "yubihsm2.toml")


def test_the_parser_refuses_what_is_no_profile() -> None:
    for raw in (b"", b"\xff", b"[" * 9000, GOOD.encode() + b"#" * LIMIT):
        with pytest.raises(ConfigError, match=r"^yubihsm2\.toml "):
            parse_profile(raw, "yubihsm2.toml")


@given(st.binary(max_size=200), st.integers(0, len(GOOD)))
def test_any_bytes_are_a_profile_or_a_config_error(noise: bytes, at: int) -> None:
    raw = GOOD.encode()
    with suppress(ConfigError):
        assert parse_profile(raw[:at] + noise + raw[at:], "noise").answers


def test_a_profile_has_the_name_of_its_file(tmp_path: Path) -> None:
    (tmp_path / "other.toml").write_text(GOOD)
    with pytest.raises(ConfigError, match=r"other\.toml is the profile of yubihsm2"):
        read_profiles(tmp_path)


def test_a_program_without_its_data_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="Install this program again"):
        read_profiles(tmp_path)


def test_the_guide_has_the_profiles_and_the_needs_as_they_are() -> None:
    guide = (Path(__file__).parents[2] / "docs" / "hardware.md").read_text()
    for profile in PROFILES:
        row = (
            f"| `{profile.name}` | {profile.vendor}: {profile.product} | {profile.status.value} | {profile.verdict()} |"
        )
        assert guide.count(row) == 1
    for need in NEEDS:
        assert guide.count(f"| {need.name} | {', '.join(need.calls)} | {need.lost} |") == 1
        assert not need.untried or f"- {need.name}: {need.untried}." in guide
