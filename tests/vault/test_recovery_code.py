"""Recovery codes and the 64-digit key: what a person types, rightly and wrongly."""

from __future__ import annotations

from itertools import pairwise, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hsm_app.vault.common_codes import COMMON_CODES
from hsm_app.vault.profile import CodeError
from hsm_app.vault.recovery_code import (
    ALPHABET,
    GROUP,
    GROUPS,
    RANDOM_BYTES,
    choose_code,
    enter_code,
    format_key,
    generate_code,
    parse_key,
)

CODE = generate_code(bytes(range(RANDOM_BYTES)))
PLACES = [at for at, symbol in enumerate(CODE) if symbol != "-"]
RANDOMNESS = st.binary(min_size=RANDOM_BYTES, max_size=RANDOM_BYTES)


def test_a_generated_code_is_six_groups_of_five() -> None:
    assert [len(group) for group in CODE.split("-")] == [GROUP] * GROUPS
    assert set(CODE) <= {*ALPHABET, "-"}
    assert not set("ILOU") & set(ALPHABET)


@given(RANDOMNESS)
def test_a_generated_code_is_its_own_canonical_form(randomness: bytes) -> None:
    code = generate_code(randomness)
    assert enter_code(code) == code
    assert choose_code(code) == code


@given(RANDOMNESS, RANDOMNESS)
def test_no_two_codes_are_the_same(one: bytes, other: bytes) -> None:
    assert (generate_code(one) == generate_code(other)) == (one == other)


WRITTEN = {
    "in lower case": CODE.lower(),
    "without separators": CODE.replace("-", ""),
    "with spaces": CODE.replace("-", " "),
    "with dashes of a text program": CODE.replace("-", " \u2013 "),
    "in other groups": "-".join(CODE.replace("-", "")[at : at + 6] for at in range(0, 30, 6)),
    "with a line's end": f"  {CODE}\r\n",
    "with O for 0": CODE.replace("0", "O"),
    "with I for 1": CODE.replace("1", "I"),
    "with l for 1": CODE.replace("1", "l"),
}


@pytest.mark.parametrize("text", WRITTEN.values(), ids=WRITTEN.keys())
def test_a_code_is_read_that_is_written(text: str) -> None:
    assert enter_code(text) == CODE


@pytest.mark.parametrize("randomness", [bytes(RANDOM_BYTES), b"\xff" * RANDOM_BYTES, bytes(range(RANDOM_BYTES))])
def test_every_single_wrong_symbol_is_found_in_its_group(randomness: bytes) -> None:
    """All 30 places, all 31 other symbols."""
    code = generate_code(randomness)
    for at, symbol in product(PLACES, ALPHABET):
        if code[at] == symbol:
            continue
        with pytest.raises(CodeError, match=f"group {at // (GROUP + 1) + 1} "):
            enter_code(code[:at] + symbol + code[at + 1 :])


def codes_with(place: int, first: int, second: int) -> str:
    """A code whose 24 random symbols are zero but for two neighbours."""
    symbols = [0] * 24
    symbols[place], symbols[place + 1] = first, second
    number = 0
    for symbol in symbols:
        number = number << 5 | symbol
    return generate_code(number.to_bytes(RANDOM_BYTES, "big"))


@pytest.mark.parametrize("place", range(23))
def test_every_two_neighbours_that_changed_places_are_found(place: int) -> None:
    """All pairs of symbols at all places. The code is linear, so what the other symbols are makes no difference."""
    for first, second in product(range(0, 32), repeat=2):
        code = codes_with(place, first, second)
        at = PLACES[place // 4 * GROUP + place % 4]
        for here, there in ((at, following(at)), (following(at), following(following(at)))):
            swapped = swap(code, here, there)
            if swapped != code:
                with pytest.raises(CodeError, match="mistyped"):
                    enter_code(swapped)


def following(at: int) -> int:
    return min(place for place in [*PLACES, PLACES[-1] + 1] if place > at) if at < PLACES[-1] else at


def swap(code: str, here: int, there: int) -> str:
    symbols = list(code)
    symbols[here], symbols[there] = symbols[there], symbols[here]
    return "".join(symbols)


@given(RANDOMNESS)
def test_neighbours_that_changed_places_are_found_in_any_code(randomness: bytes) -> None:
    code = generate_code(randomness)
    for here, there in pairwise(PLACES):
        if code[here] != code[there]:
            with pytest.raises(CodeError):
                enter_code(swap(code, here, there))


def test_swapped_groups_are_found() -> None:
    groups = CODE.split("-")
    for here, there in product(range(GROUPS), repeat=2):
        if here != there:
            moved = list(groups)
            moved[here], moved[there] = moved[there], moved[here]
            with pytest.raises(CodeError):
                enter_code("-".join(moved))


MISTYPED = {
    "a symbol left out": (CODE[:7] + CODE[8:], "group 2"),
    "a symbol too many": (CODE[:7] + "0" + CODE[7:], "group 2"),
    "a letter that no code has": ("UUUUU" + CODE[5:], "group 1"),
    "a letter that no code has, without separators": (("UUUUU" + CODE[5:]).replace("-", ""), "group 1"),
    "two groups": ("11111-" + CODE[6:-1] + ("0" if CODE[-1] != "0" else "2"), "group 1"),
}


@pytest.mark.parametrize(("text", "named"), MISTYPED.values(), ids=MISTYPED.keys())
def test_a_mistyped_code_is_not_sent_as_a_chosen_one(text: str, named: str) -> None:
    for reading in (enter_code, choose_code):
        with pytest.raises(CodeError, match=named):
            reading(text)


GOOD_CHOICES = {
    "a sentence": "my cat is called Löwe",
    "six words": "correct horse battery staple apple pear",
    "six words with hyphens": "correct-horse-battery-staple-apple-pears",
    "a long number": "83920174",
    "just long enough": "k3x!9a",
}
BAD_CHOICES = {
    "too short": "k3x!9",
    "nothing": "",
    "the most common password": "password",
    "it in capitals": "PassWord1",
    "the most common PIN": "123456",
    "a PIN that counts down": "987654",
    "a PIN of one digit": "000000",
    "a PIN of two digits": "121212",
    "a pattern of three": "abcabcabc",
    "a walk over the keyboard": "qwertyuiop",
    "half a pattern": "abcabca",
    "a tabulator": "my cat\tis here",
    "too long": "x!" * 200,
}


@pytest.mark.parametrize("text", GOOD_CHOICES.values(), ids=GOOD_CHOICES.keys())
def test_a_person_may_choose(text: str) -> None:
    assert enter_code(text) == choose_code(text)


@pytest.mark.parametrize("text", BAD_CHOICES.values(), ids=BAD_CHOICES.keys())
def test_a_person_may_not_choose(text: str) -> None:
    with pytest.raises(CodeError) as caught:
        choose_code(text)
    assert len(text) < 3 or text not in str(caught.value)


def test_a_common_code_can_still_be_entered() -> None:
    """Another client may have registered it; only this one's own registrations are refused."""
    assert enter_code("password") == "password"


def test_the_list_of_common_codes_is_plain() -> None:
    assert len(COMMON_CODES) > 500
    assert all(code == code.casefold() and len(code) >= 6 for code in COMMON_CODES)


@given(st.text(max_size=300))
def test_any_text_is_a_code_or_one_error(text: str) -> None:
    for reading in (enter_code, choose_code):
        try:
            code = reading(text)
        except CodeError:
            continue
        assert reading(code) == code


KEY = bytes(range(32))


def test_a_key_is_sixteen_groups_of_four_digits() -> None:
    assert format_key(KEY).split() == [KEY.hex()[at : at + 4] for at in range(0, 64, 4)]


@given(st.binary(min_size=32, max_size=32))
def test_a_key_comes_back_however_it_is_grouped(key: bytes) -> None:
    text = format_key(key)
    for written in (text, text.upper(), text.replace(" ", ""), text.replace(" ", "-"), f" {text}\n"):
        assert parse_key(written) == key


BAD_KEYS = {
    "a letter that is no digit": (format_key(KEY).replace("0405", "o405"), "group 3"),
    "a digit left out": (format_key(KEY)[:-1], "63 digits"),
    "a group too many": (format_key(KEY) + " 0000", "68 digits"),
    "nothing": ("", "0 digits"),
    "other digits": ("\u0661" * 64, "group 1"),
}


@pytest.mark.parametrize(("text", "said"), BAD_KEYS.values(), ids=BAD_KEYS.keys())
def test_no_key_is(text: str, said: str) -> None:
    with pytest.raises(CodeError, match=said):
        parse_key(text)
