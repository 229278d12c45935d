"""Recovery codes and the 64-digit key: what a person keeps, reads and types.

A generated code is 120 random bits: six groups of five symbols, `7K3QM-...`, in Crockford's base 32 (no I, L, O, U).
Ten guesses would be safe with far less; with 120 bits nobody finds the code by trying even where every token's keys
leaked and the count is gone. Each group's last symbol checks the group, so a typing error is found on the device, in
the group where it is, before it costs an attempt.

The check symbol is a weighted sum over GF(32), with weights a, a^2, ... of a primitive element a, plus a constant for
the place of the group. One wrong symbol changes the sum by its weight times the difference, which is not zero. Two
symbols that changed places change it by the difference of their weights times their own, not zero either. Swapped
groups meet each other's constants.

A code that a person chooses is normalised by RFC 8265 (`vault.profile`) and must not be a common one. What looks like a
generated code is read as one, so that a mistyped one is never sent as if it were chosen.
"""

from __future__ import annotations

import re
from itertools import pairwise

from hsm_app.vault.common_codes import COMMON_CODES
from hsm_app.vault.profile import CodeError, normalise

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
GROUPS = 6
GROUP = 5  # symbols, the last of them the check symbol
RANDOM_BYTES = 15  # of a generated code: 24 symbols of 5 bits
SHORTEST = 6  # characters of a chosen code; WhatsApp and Messenger ask for as many
_POLYNOMIAL = 0b100101  # x^5 + x^2 + 1, primitive over GF(2)
_VALUES = {symbol: value for value, symbol in enumerate(ALPHABET)} | {"O": 0, "I": 1, "L": 1}
_SEPARATORS = re.compile(r"[\s\-\u2010-\u2015]+")


def _times_a(value: int) -> int:
    value <<= 1
    return value ^ _POLYNOMIAL if value & 0b100000 else value


def _check_value(values: list[int], place: int) -> int:
    """Return the check symbol's value for a group's other values, by Horner's rule, the group's place as constant."""
    total = 0
    for value in values:
        total = _times_a(total ^ value)
    return total ^ place


def generate_code(randomness: bytes) -> str:
    """Return a code from 15 random bytes, in its canonical form: upper case, groups joined by hyphens."""
    if len(randomness) != RANDOM_BYTES:
        raise ValueError("a generated code takes 15 random bytes")
    number = int.from_bytes(randomness, "big")
    values = [number >> shift & 31 for shift in range(115, -1, -5)]
    groups = [values[at : at + GROUP - 1] for at in range(0, len(values), GROUP - 1)]
    return "-".join(
        "".join(ALPHABET[value] for value in [*group, _check_value(group, place)]) for place, group in enumerate(groups)
    )


def enter_code(text: str) -> str:
    """Return the code that a person typed, in the form that goes into OPAQUE. CodeError names a mistyped group.

    Generated codes are taken in either case, with O for 0 and I or L for 1, and with any or no separators.
    """
    groups = _generated_groups(text)
    if groups is None:
        return normalise(text)
    return "-".join(_checked_group(group, place) for place, group in enumerate(groups))


def choose_code(text: str) -> str:
    """Return the normalised code for a registration. CodeError also when it is too short or too common."""
    if _generated_groups(text) is not None:
        return enter_code(text)
    code = normalise(text)
    if len(code) < SHORTEST:
        raise CodeError(
            f"the code has fewer than {SHORTEST} characters", "Choose a longer one, or let one be generated"
        )
    plain = code.casefold()
    if plain in COMMON_CODES or _monotonous(plain):
        raise CodeError("the code is one of the first that anyone would try", "Choose another, or let one be generated")
    return code


def _monotonous(code: str) -> bool:
    """Up to three characters over and over, or characters that follow each other: `ababab`, `987654`."""
    if any(code == (code[:length] * len(code))[: len(code)] for length in (1, 2, 3)):
        return True
    return {ord(later) - ord(earlier) for earlier, later in pairwise(code)} in ({1}, {-1})


def _generated_groups(text: str) -> list[str] | None:
    """Return six groups, right or mistyped, when the text has the shape of a generated code; None for any other."""
    groups = [group for group in _SEPARATORS.split(text.strip().upper()) if group]
    whole = "".join(groups)
    if len(whole) == GROUPS * GROUP:
        groups = [whole[at : at + GROUP] for at in range(0, len(whole), GROUP)]
        if _VALUES.keys() >= set(whole):
            return groups
    if len(groups) == GROUPS and sum(map(_is_right, groups, range(GROUPS))) >= GROUPS // 2:
        return groups
    return None


def _is_right(group: str, place: int) -> bool:
    if len(group) != GROUP or not _VALUES.keys() >= set(group):
        return False
    *values, check = (_VALUES[symbol] for symbol in group)
    return _check_value(values, place) == check


def _checked_group(group: str, place: int) -> str:
    if not _is_right(group, place):
        raise CodeError(
            f"group {place + 1} of the recovery code is mistyped",
            "Compare it with what you wrote down; nothing was sent",
        )
    return "".join(ALPHABET[_VALUES[symbol]] for symbol in group)


KEY_GROUP = 4
_NOT_HEX = re.compile("[^0-9a-f]")


def format_key(key: bytes) -> str:
    """Return a 32-byte key as 64 hexadecimal digits in 16 groups of four."""
    if len(key) != 32:
        raise ValueError("a backup key has 32 bytes")
    return key.hex(" ", 2)


def parse_key(text: str) -> bytes:
    """Return the key of 64 digits, grouped or not, in either case. CodeError names the group that cannot be right."""
    digits = _SEPARATORS.sub("", text).lower()
    wrong = _NOT_HEX.search(digits)
    if wrong is not None:
        raise CodeError(
            f"group {wrong.start() // KEY_GROUP + 1} of the key is not made of 0-9 and a-f", "Type it again"
        )
    if len(digits) != 64:
        raise CodeError(
            f"the key has {len(digits)} digits instead of 64", "Look for a group that is missing or too many"
        )
    return bytes.fromhex(digits)
