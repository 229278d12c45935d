"""Fingerprints as words that people read aloud: twelve words of SLIP-39's list, ten bits each.

Twelve words are the first 120 bits of a SHA-256. Who wants another value with the same words has to try about 2^120 of
them; somebody who may choose both values finds a pair after 2^60, so both sides are compared with what was printed or
shown by another device, never with each other's choice. The list is chosen so that four letters name a word.

A fingerprint is public, and has nothing but the list in common with a custodian's share.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import get_close_matches

from shamir_mnemonic.wordlist import WORDLIST

from hsm_app.errors import ConfigError

COUNT = 12
BITS = 10
LETTERS = 4  # that name a word
RUN = 3  # words of the list in a row are hardly what somebody writes who has something to say

LETTERS_ONLY = re.compile(r"[^\W\d_]+")
_BY_LETTERS = {word[:LETTERS]: word for word in WORDLIST}


def fingerprint(digest: bytes) -> tuple[str, ...]:
    """Return the words of a SHA-256 (32 bytes)."""
    number = int.from_bytes(digest, "big") >> (8 * len(digest) - COUNT * BITS)
    return tuple(WORDLIST[number >> BITS * (COUNT - 1 - place) & (2**BITS - 1)] for place in range(COUNT))


def fingerprint_words(digest: bytes) -> str:
    """Return the words as one line, each with its number, so that readers and listeners stay together."""
    return "  ".join(f"{number}:{word}" for number, word in enumerate(fingerprint(digest), 1))


def same_words(typed: str, digest: bytes) -> None:
    """Compare words that somebody typed, whole or four letters each, with a SHA-256. ConfigError names the first wrong.

    The numbers may be typed too. Neither side is secret, so all of it may be shown.
    """
    parts, wanted = [part.lstrip("0123456789:") for part in typed.split()], fingerprint(digest)
    if len(parts) != COUNT:
        raise ConfigError(f"a fingerprint has {COUNT} words, and {len(parts)} were typed", "Type all of them")
    for place, (part, word) in enumerate(zip(parts, wanted, strict=True), 1):
        if word_of(part) != word:
            raise ConfigError(
                f"word {place} of the fingerprint is {word}, and {part[:40]!r} was typed",
                "Compare again, letter by letter; if it stays so, these are two different things",
            )


def word_of(typed: str) -> str | None:
    """Return the word of the list that somebody typed, whole or its first four letters; None when there is none."""
    word = _BY_LETTERS.get(typed.lower()[:LETTERS])
    return word if word is not None and word.startswith(typed.lower()) else None


def is_like_a_share(typed: str) -> bool:
    """Say whether a line holds words of the list as a share does: several and nothing else, or `RUN` in a row.

    Numbers and signs between them, as on the sheet, do not count.
    """
    known = [word_of(part) is not None for part in LETTERS_ONLY.findall(typed)]
    runs = (known[start : start + RUN] for start in range(len(known) - RUN + 1))
    return len(known) > 1 and (all(known) or any(map(all, runs)))


def nearest(typed: str, most: int = 3) -> Sequence[str]:
    """Return the words of the list that look most like what was typed."""
    return get_close_matches(typed.lower(), WORDLIST, most, 0.5)
