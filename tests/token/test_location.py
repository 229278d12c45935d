"""A token that cannot be used says why, and what to do about it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from pkcs11 import Attribute

from hsm_app.errors import TokenError
from hsm_app.token.initialise import initialise_token
from hsm_app.token.location import TokenLocation, find_token, load_module, login_officer, opened
from hsm_app.token.module import Module
from hsm_app.token.pin import Pin
from tests.token.answers import (
    DEVICE_REMOVED,
    GENERAL_ERROR,
    GET_SLOT_LIST,
    LOGIN,
    OPEN_SESSION,
    PIN_EXPIRED,
    PIN_LOCKED,
    answering,
)
from tests.token.fresh import SO_PIN, USER_PIN, blank, softhsm, user


def open_with(location: TokenLocation, pin: str = USER_PIN) -> None:
    with opened(location, Pin(pin)) as session:
        list(session.get_objects({Attribute.LABEL: "none"}))


def directory_of(location: TokenLocation) -> Path:
    assert location.softhsm2_conf is not None
    return location.softhsm2_conf.parent


def two_of_one_label(location: TokenLocation, tmp_path: Path) -> TokenLocation:
    other = blank(tmp_path / "other", location.label)
    initialise_token(other, SO_PIN, USER_PIN)
    for token in (directory_of(other) / "tokens").iterdir():
        shutil.move(token, directory_of(location) / "tokens")
    return location


def no_user_pin(location: TokenLocation, tmp_path: Path) -> TokenLocation:
    """A token after C_InitToken and before C_InitPIN."""
    place = blank(tmp_path / "half", "half")
    with pytest.raises(TokenError, match="set its user PIN"):
        initialise_token(place, SO_PIN, "x")
    return place


def text_file(location: TokenLocation, tmp_path: Path) -> TokenLocation:
    path = tmp_path / "module.so"
    path.write_text("no library")
    return replace(location, module=path)


FAILURES: dict[str, tuple[Callable[[TokenLocation, Path], TokenLocation], str, str]] = {
    "the module is missing": (
        lambda location, tmp: replace(location, module=tmp / "none.so"),
        "there is no PKCS#11 module",
        "Install the device's software",
    ),
    "the module is a directory": (
        lambda location, tmp: replace(location, module=tmp),
        "there is no PKCS#11 module",
        "correct the path",
    ),
    "the module is a text": (text_file, "does not load as a PKCS#11 module", "Check the path"),
    "the configuration is missing": (
        lambda location, tmp: replace(location, softhsm2_conf=tmp / "none.conf"),
        "there is no SoftHSM configuration",
        "Correct the path",
    ),
    "no token has the label": (
        lambda location, tmp: replace(location, label="another"),
        "no token has the label 'another'",
        "there are: 'test'",
    ),
    "the slot is uninitialised": (
        lambda _, tmp: blank(tmp / "blank"),
        "the slot is uninitialised",
        "Initialise it, or name",
    ),
    "two tokens have one label": (two_of_one_label, "2 tokens have the label 'test'", "Take out or relabel one"),
    "the user PIN was never set": (no_user_pin, "has no user PIN yet", "The security officer"),
}


@pytest.mark.parametrize(("change", "what", "todo"), FAILURES.values(), ids=FAILURES.keys())
def test_it_is_said_when(
    location: TokenLocation,
    tmp_path: Path,
    change: Callable[[TokenLocation, Path], TokenLocation],
    what: str,
    todo: str,
) -> None:
    with pytest.raises(TokenError) as caught:
        open_with(change(location, tmp_path))
    assert what in caught.value.what
    assert todo in caught.value.todo


def test_a_wrong_pin(location: TokenLocation) -> None:
    with pytest.raises(TokenError, match=r"refused the PIN\. Check where the PIN comes from") as caught:
        open_with(location, "not-the-pin")
    assert "not-the-pin" not in str(caught.value)
    open_with(location)


def test_a_wrong_pin_is_tried_once(location: TokenLocation) -> None:
    """A second try could lock a device that counts."""
    with answering(location.module, LOGIN, 0xA0) as calls, pytest.raises(TokenError, match="refused the PIN"):
        open_with(location)
    assert len(calls) == 1


ANSWERS = {
    "the PIN is locked": (LOGIN, PIN_LOCKED, "The security officer has to set a new user PIN"),
    "the PIN has expired": (LOGIN, PIN_EXPIRED, "The security officer has to set a new user PIN"),
    "the device is taken out before the login": (LOGIN, DEVICE_REMOVED, "Check that the device is connected"),
    "the device is taken out before the session": (OPEN_SESSION, DEVICE_REMOVED, "Check that the device is connected"),
    "the device is taken out before the slots": (GET_SLOT_LIST, DEVICE_REMOVED, "Check that the device is connected"),
    "the device fails each login": (LOGIN, GENERAL_ERROR, "Check that the device is connected"),
}


@pytest.mark.parametrize(("position", "code", "todo"), ANSWERS.values(), ids=ANSWERS.keys())
def test_the_device_answers_that(location: TokenLocation, position: int, code: int, todo: str) -> None:
    with answering(location.module, position, code), pytest.raises(TokenError) as caught:
        open_with(location)
    assert todo in caught.value.todo
    open_with(location)


def test_a_login_that_meets_another_processs_login_is_repeated(location: TokenLocation) -> None:
    with answering(location.module, LOGIN, GENERAL_ERROR, times=2) as calls:
        open_with(location)
    assert len(calls) == 3


def test_a_module_has_one_owner_in_a_process(location: TokenLocation) -> None:
    module = load_module(location)
    try:
        with pytest.raises(TokenError, match="this process uses"):
            Module.load(location.module)
    finally:
        module.close()
    open_with(location)


def test_closing_gives_the_module_free_even_when_the_device_is_gone(location: TokenLocation) -> None:
    module = load_module(location)
    module.library.finalize()
    module.close()
    open_with(location)


def test_each_opening_reads_its_own_configuration(location: TokenLocation, tmp_path: Path) -> None:
    other = blank(tmp_path / "second", "second")
    initialise_token(other, SO_PIN, USER_PIN)
    for place in (location, other, location):
        open_with(place)


def test_initialising_never_touches_an_initialised_token(location: TokenLocation) -> None:
    with pytest.raises(TokenError, match="there is a token 'test' already"):
        initialise_token(location, SO_PIN, "another-pin")
    open_with(location)


@pytest.mark.parametrize("label", ["", "x" * 33])
def test_a_label_that_no_token_can_hold(tmp_path: Path, label: str) -> None:
    with pytest.raises(TokenError, match="is no token label"):
        initialise_token(blank(tmp_path / "label", label), SO_PIN, USER_PIN)


def test_a_directory_that_cannot_be_written(tmp_path: Path) -> None:
    place = blank(tmp_path / "gone")
    directory_of(place).joinpath("tokens").rmdir()
    with pytest.raises(TokenError):
        initialise_token(place, SO_PIN, USER_PIN)


def test_the_officers_pin_is_not_the_users(location: TokenLocation) -> None:
    module = load_module(location)
    try:
        with pytest.raises(TokenError, match="refused the PIN"):
            login_officer(find_token(module, location.label), USER_PIN)
    finally:
        module.close()
    with user(location):
        pass


def test_softhsm_is_installed() -> None:
    assert softhsm().is_file()
