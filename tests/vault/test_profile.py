"""The OPAQUE profile: RFC 8265's own examples, a foreign Argon2id answer, and what enters the OPRF."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hsm_app.fleet.manifest import Argon2Costs
from hsm_app.model import FleetId
from hsm_app.vault.profile import (
    CODE_LIMIT,
    CONTEXT,
    CodeError,
    client_identity,
    normalise,
    oprf_input,
    server_identity,
    stretch,
)
from tests.vault.example import FLEET, SUBJECT

LEGAL = {  # RFC 8265 section 4.3, table 4, and what section 4.2.2 makes of it
    "12: spaces are allowed": ("correct horse battery staple", "correct horse battery staple"),
    "13: case stays": ("Correct Horse Battery Staple", "Correct Horse Battery Staple"),
    "14: letters outside of ASCII": ("\u03c0\u00df\u00e5", "\u03c0\u00df\u00e5"),
    "15: symbols": ("Jack of \u2666s", "Jack of \u2666s"),
    "16: another space becomes U+0020": ("foo\u1680bar", "foo bar"),
    "a no-break space, too": ("foo\u00a0bar", "foo bar"),
    "form C": ("Lo\u0308we", "L\u00f6we"),
    "no compatibility mapping": ("\uff11\u2460", "\uff11\u2460"),
}
ILLEGAL = {  # table 5, and others of section 4.2.1
    "17: nothing": "",
    "18: a control character": "my cat is a \tby",
    "an invisible character": "pass\u00adword",
    "a lone surrogate": "a\ud800b",
    "a code point not assigned": "a\u0378b",
    "more than the limit": "x" * (CODE_LIMIT + 1),
}


@pytest.mark.parametrize(("code", "expected"), LEGAL.values(), ids=LEGAL.keys())
def test_a_code_is_normalised(code: str, expected: str) -> None:
    assert normalise(code) == expected
    assert normalise(expected) == expected


@pytest.mark.parametrize("code", ILLEGAL.values(), ids=ILLEGAL.keys())
def test_no_code_has(code: str) -> None:
    with pytest.raises(CodeError) as caught:
        normalise(code)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None, "the library's exception holds the code"


def test_the_place_of_a_bad_character_is_named() -> None:
    with pytest.raises(CodeError, match="character 13"):
        normalise(ILLEGAL["18: a control character"])


def test_argon2id_agrees_with_another_implementation() -> None:
    """Computed with argon2-cffi 25.1.0: three passes, 64 KiB, two lanes, 16 zero bytes of salt."""
    ksf = stretch(Argon2Costs(iterations=3, memory_kib=64, lanes=2))
    assert ksf(b"element").hex() == "93c70647bf852a9000a15f3faaa1711608329e295bc1eb72931124ddabbbe99b"


def test_identities_are_text() -> None:
    assert client_identity(SUBJECT) == b"8:tenant-1,5:alice,6:backup,"
    assert server_identity(FLEET) == b"fleet-1"
    assert CONTEXT == b"hsm-vault-v1"


def test_the_code_enters_with_both_identities() -> None:
    assert oprf_input("code", subject=SUBJECT, fleet=FLEET) == b"7:fleet-1,28:8:tenant-1,5:alice,6:backup,,4:code,"


def test_no_two_contexts_share_an_input() -> None:
    contexts = [
        (SUBJECT, FLEET),
        (SUBJECT, FleetId("fleet-11")),
        (replace(SUBJECT, tenant="tenant-2"), FLEET),
        (replace(SUBJECT, account="alic", name="ebackup"), FLEET),
    ]
    assert len({oprf_input("code", subject=subject, fleet=fleet) for subject, fleet in contexts}) == len(contexts)
