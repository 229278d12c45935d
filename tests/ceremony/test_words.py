"""Fingerprints as words: which words, how many bits, and what is said of a word that was heard wrong."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from shamir_mnemonic.wordlist import WORDLIST

from hsm_app.ceremony.words import (
    BITS,
    COUNT,
    fingerprint,
    fingerprint_words,
    is_like_a_share,
    nearest,
    same_words,
    word_of,
)
from hsm_app.errors import ConfigError

DIGEST = hashlib.sha256(b"a public key").digest()
WORDS = fingerprint(DIGEST)
LINE = " ".join(WORDS)
Digests = st.binary(min_size=32, max_size=32)


def bits(words: tuple[str, ...]) -> str:
    """Read the words back the slow way: each word's place in the list is ten binary digits."""
    return "".join(f"{WORDLIST.index(word):010b}" for word in words)


@given(Digests)
def test_the_words_are_the_first_120_bits(digest: bytes) -> None:
    assert bits(fingerprint(digest)) == "".join(f"{octet:08b}" for octet in digest)[: COUNT * BITS]


@pytest.mark.parametrize(
    ("digest", "word"), [(bytes(32), "academic"), (b"\xff" * 32, "zero")], ids=["all zeros", "all ones"]
)
def test_the_ends_of_the_list(digest: bytes, word: str) -> None:
    assert fingerprint(digest) == (word,) * 12


def test_each_word_is_read_with_its_number() -> None:
    assert fingerprint_words(bytes(32)).split() == [f"{number}:academic" for number in range(1, 13)]


def test_four_letters_name_every_word_of_the_list() -> None:
    """Also what people type beyond them: five letters, capitals, the whole word."""
    for word in WORDLIST:
        assert {word_of(word[:length]) for length in range(4, len(word) + 1)} == {word}
        assert word_of(word.upper()) == word


@given(st.text())
def test_any_text_is_a_word_of_the_list_or_none(text: str) -> None:
    found = word_of(text)
    assert found is None or (found in WORDLIST and found.startswith(text.lower()) and len(text) >= 4)


@pytest.mark.parametrize("text", ["", "aca", "academics", "academia", "acad emic", "zzzz"])
def test_no_word_of_the_list(text: str) -> None:
    assert word_of(text) is None


def test_words_that_look_alike_are_offered() -> None:
    assert nearest("acedemic")[0] == "academic"
    assert nearest("12345678") == []


LIKE_A_SHARE = {
    "a line of four": (" ".join(WORDS[:4]), True),
    "a line of two": (" ".join(WORDS[:2]), True),
    "four letters each, in capitals": ("ACAD ZERO", True),
    "three in a row with a remark": (f"my last line was {' '.join(WORDS[:3])}", True),
    "nothing": ("", False),
    "one word, as an answer may be": ("again", False),
    "what people say": ("Dan dropped his cup on the keyboard, and typed it again", False),
    "numbers and names": ("Eve (custodian) is 12 minutes late", False),
    "with numbers, as on the sheet": (" ".join(f"{at}. {word}" for at, word in enumerate(WORDS, 1)), True),
    "with numbers before a few": (f"it said 1:{WORDS[0]} 2:{WORDS[1]} 3:{WORDS[2]}, and no more", True),
    "with commas": (",".join(WORDS[:2]), True),
}


@pytest.mark.parametrize(("line", "is_one"), LIKE_A_SHARE.values(), ids=LIKE_A_SHARE)
def test_what_looks_like_a_share(line: str, is_one: bool) -> None:
    assert is_like_a_share(line) is is_one


SAME: dict[str, Callable[[str], str]] = {
    "as shown": lambda line: line,
    "with numbers, as printed": lambda _: fingerprint_words(DIGEST),
    "four letters of each": lambda line: " ".join(word[:4] for word in line.split()),
    "in capitals": str.upper,
}
OTHER = next(word for word in WORDLIST if word != WORDS[4])
DIFFERENT = {
    "nothing": ("", "12 words, and 0 were typed"),
    "eleven words": (" ".join(WORDS[:11]), "12 words, and 11 were typed"),
    "another fifth word": (" ".join([*WORDS[:4], OTHER, *WORDS[5:]]), f"word 5 of the fingerprint is {WORDS[4]}"),
    "no word": (" ".join([*WORDS[:11], "qqqq"]), "word 12 of the fingerprint"),
    "two words in the wrong order": (" ".join([WORDS[1], WORDS[0], *WORDS[2:]]), "word 1 of the fingerprint"),
}


@pytest.mark.parametrize("write", SAME.values(), ids=SAME)
def test_the_same_words(write: Callable[[str], str]) -> None:
    same_words(write(LINE), DIGEST)


@pytest.mark.parametrize(("typed", "says"), DIFFERENT.values(), ids=DIFFERENT)
def test_different_words_are_named(typed: str, says: str) -> None:
    with pytest.raises(ConfigError) as refused:
        same_words(typed, DIGEST)
    assert says in refused.value.what


@given(Digests, Digests)
def test_two_digests_have_the_same_words_when_120_bits_agree(one: bytes, other: bytes) -> None:
    if one[:15] == other[:15]:
        same_words(" ".join(fingerprint(one)), other)
    else:
        with pytest.raises(ConfigError):
            same_words(" ".join(fingerprint(one)), other)


@given(Digests, st.integers(0, 119))
def test_each_of_the_120_bits_counts(digest: bytes, bit: int) -> None:
    other = (int.from_bytes(digest, "big") ^ 1 << (255 - bit)).to_bytes(32, "big")
    with pytest.raises(ConfigError, match=f"word {bit // 10 + 1} of"):
        same_words(" ".join(fingerprint(digest)), other)
