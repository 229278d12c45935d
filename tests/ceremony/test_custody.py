"""The custodians' secret: who can put it together, what is said of a wrong share, and what nothing ever says.

The format itself is tested against a foreign implementation and SLIP-39's own vectors in tests/peers/test_slip39.py.
Not covered: memory, which Python does not let anybody wipe.
"""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import hmac
import json
from collections.abc import Callable
from itertools import combinations, permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from shamir_mnemonic.shamir import combine_mnemonics
from shamir_mnemonic.utils import MnemonicError
from shamir_mnemonic.wordlist import WORDLIST

from hsm_app.ceremony.custody import (
    LIMIT,
    CustodianShare,
    combine,
    parse_custody,
    recognise,
    so_pin,
    split,
)
from hsm_app.errors import ConfigError
from tests.ceremony.custody_example import FLEET, IDENTIFIER, NAMES, SECRET, example, salts

CUSTODY, SHARES = example()
ADA, BEN = SHARES[0], SHARES[1]
SMALL = [(m, n) for n in range(2, 6) for m in range(2, n + 1)]


def typed(share: CustodianShare) -> str:
    return " ".join(share.words)


def other_word(word: str) -> str:
    return next(each for each in WORDLIST if each != word)


@pytest.mark.parametrize(("threshold", "number"), SMALL)
def test_every_m_of_n_give_the_secret_back_in_any_order(threshold: int, number: int) -> None:
    custody, shares = example(threshold, number)
    for some in permutations(shares, threshold):
        assert combine(custody, some) == SECRET


@pytest.mark.parametrize(("threshold", "number"), SMALL)
def test_more_than_m_give_it_back_too(threshold: int, number: int) -> None:
    custody, shares = example(threshold, number)
    assert combine(custody, shares) == SECRET


@pytest.mark.parametrize(("threshold", "number"), SMALL)
def test_no_m_less_one_give_anything(threshold: int, number: int) -> None:
    """Neither our door nor the library, asked behind its back."""
    custody, shares = example(threshold, number)
    for some in combinations(shares, threshold - 1):
        with pytest.raises(ConfigError, match="1 more"):
            combine(custody, some)
        with pytest.raises(MnemonicError):
            combine_mnemonics([typed(share) for share in some])


def test_sixteen_custodians_are_the_most() -> None:
    names = [(f"custodian {number}", bytes([number] * 16)) for number in range(17)]
    custody, shares = split(SECRET, FLEET, 16, names[:16], 0)
    assert combine(custody, shares) == SECRET
    with pytest.raises(ConfigError, match="16 of 17"):
        split(SECRET, FLEET, 16, names, 0)


@pytest.mark.parametrize(
    ("secret", "threshold", "number", "identifier"),
    [(SECRET, 1, 2, 0), (SECRET, 3, 2, 0), (SECRET, 1, 1, 0), (SECRET[:15], 2, 2, 0), (SECRET, 2, 2, 2**15)],
    ids=["one is enough", "more than there are", "one alone", "a short secret", "a long identifier"],
)
def test_nobody_splits(secret: bytes, threshold: int, number: int, identifier: int) -> None:
    with pytest.raises(ConfigError):
        split(secret, FLEET, threshold, salts(number), identifier)


def test_two_splittings_of_one_secret_share_no_share() -> None:
    one, other = (split(SECRET, FLEET, 2, salts(2), IDENTIFIER)[1] for _ in range(2))
    assert not {typed(share) for share in one} & {typed(share) for share in other}


RIGHT: dict[str, Callable[[str], str]] = {
    "as it stands on the sheet": lambda text: text,
    "in capitals": str.upper,
    "four letters of each": lambda text: " ".join(word[:4] for word in text.split()),
    "five letters of each": lambda text: " ".join(word[:5] for word in text.split()),
    "with blanks, tabs and line ends": lambda text: "  " + text.replace(" ", " \t \n") + "\n",
}


@pytest.mark.parametrize("write", RIGHT.values(), ids=RIGHT)
def test_a_share_is_recognised(write: Callable[[str], str]) -> None:
    assert recognise(CUSTODY, "Ada", write(typed(ADA))) == ADA


def replaced(place: int, word: str, share: CustodianShare = ADA) -> str:
    return " ".join([*share.words[: place - 1], word, *share.words[place:]])


def swapped(one: int, two: int) -> str:
    words = list(ADA.words)
    words[one - 1], words[two - 1] = words[two - 1], words[one - 1]
    return " ".join(words)


FOREIGN = example(seed="another", identifier=IDENTIFIER + 1)[1][0]
NEVER_GIVEN = example(seed="another")[1][0]
TWICE_WRONG = " ".join([other_word(ADA.words[0]), *ADA.words[1:19], other_word(ADA.words[19])])
WRONG = {
    "nothing": ("", "a share has 20 words, and 0 were typed"),
    "a word too few": (" ".join(ADA.words[:-1]), "a share has 20 words, and 19 were typed"),
    "a word too many": (typed(ADA) + " academic", "a share has 20 words, and 21 were typed"),
    "a word that is none": (replaced(3, "xylophone"), "not in the list: word 3"),
    "two words that are none": (replaced(3, "qqqq").replace(ADA.words[8], "zzzz"), "not in the list: word 3 and 9"),
    "three letters of a word": (replaced(20, ADA.words[19][:3]), "not in the list: word 20"),
    "a word with a letter too many": (replaced(1, ADA.words[0] + "s"), "not in the list: word 1"),
    "another word of the list": (replaced(7, other_word(ADA.words[6])), "word 7 is another one on the sheet"),
    "another first word": (replaced(1, other_word(ADA.words[0])), "word 1 is another one on the sheet"),
    "neighbours in the wrong order": (swapped(11, 12), "words 11 and 12 have changed places"),
    "ends in the wrong order": (swapped(1, 20), "words 1 and 20 have changed places"),
    "two wrong words": (TWICE_WRONG, "the share's checksum does not hold"),
    "somebody else's": (typed(BEN), "this is the share of Ben, not of Ada"),
    "one of another set": (typed(FOREIGN), "this is a share of another set"),
    "one that was never given out": (typed(NEVER_GIVEN), "never given out"),
}


@pytest.mark.parametrize(("text", "says"), WRONG.values(), ids=WRONG)
def test_a_wrong_share_is_named(text: str, says: str) -> None:
    with pytest.raises(ConfigError) as refused:
        recognise(CUSTODY, "Ada", text)
    assert says in refused.value.what


@pytest.mark.parametrize(("text", "_says"), WRONG.values(), ids=WRONG)
def test_what_the_record_says_of_a_wrong_share_has_no_word_of_it(text: str, _says: str) -> None:
    with pytest.raises(ConfigError) as refused:
        recognise(CUSTODY, "Ada", text)
    said = set(refused.value.what.replace(":", " ").replace(",", " ").split())
    # Words of the list that our own sentences use say nothing of a share.
    assert not said & (set(text.split()) - {"another", "else", "list", "very"})
    error: BaseException | None = refused.value
    while error is not None:  # the library's own errors quote the first four words, which every share of a set has
        assert not set(str(error).split()) & set(ADA.words[4:] + BEN.words[4:])
        error = error.__cause__ or error.__context__


def test_words_like_the_wrong_one_are_told_to_the_custodian() -> None:
    with pytest.raises(ConfigError) as refused:
        recognise(CUSTODY, "Ada", replaced(3, "acedemic"))
    assert refused.value.todo == "In the list, near word 3 are academic, epidemic, ceramic"


def test_somebody_without_a_share_is_told_so() -> None:
    with pytest.raises(ConfigError, match="Zed has no share"):
        recognise(CUSTODY, "Zed", typed(NEVER_GIVEN))


@given(st.text())
def test_any_text_is_a_share_or_a_reason(text: str) -> None:
    with pytest.raises(ConfigError):
        recognise(CUSTODY, "Ada", text)


@given(st.lists(st.sampled_from(WORDLIST), min_size=20, max_size=20))
def test_any_twenty_words_are_a_share_or_a_reason(words: list[str]) -> None:
    with pytest.raises(ConfigError, match=r"checksum|another set|never given out"):
        recognise(CUSTODY, "Ada", " ".join(words))


@given(st.integers(0, 19), st.sampled_from(WORDLIST), st.sampled_from(SHARES))
def test_every_single_wrong_word_is_found(place: int, word: str, share: CustodianShare) -> None:
    text = replaced(place + 1, word, share)
    if word == share.words[place]:
        assert recognise(CUSTODY, share.custodian, text) == share
    else:
        with pytest.raises(ConfigError, match=f"^word {place + 1} is another one"):
            recognise(CUSTODY, share.custodian, text)


def test_a_share_counts_once() -> None:
    with pytest.raises(ConfigError, match="the share of Ada was given twice"):
        combine(CUSTODY, [ADA, ADA, BEN])


def test_a_share_under_another_name_does_not_count() -> None:
    as_cleo = CustodianShare(custodian="Cleo", words=ADA.words)
    with pytest.raises(ConfigError, match="the share of Ada, not of Cleo"):
        combine(CUSTODY, [ADA, BEN, as_cleo])


def test_a_foreign_share_is_named_among_right_ones() -> None:
    with pytest.raises(ConfigError, match="another set"):
        combine(CUSTODY, [ADA, BEN, CustodianShare(custodian="Cleo", words=FOREIGN.words)])


def test_a_record_with_another_threshold_does_not_open() -> None:
    lower = dataclasses.replace(CUSTODY, threshold=2)
    with pytest.raises(ConfigError, match="do not fit together") as refused:
        combine(lower, [ADA, BEN])
    assert not set(str(refused.value).split()) & set(ADA.words)


def test_a_share_shows_nothing_of_itself() -> None:
    assert not set(repr(ADA).replace("'", " ").split()) & set(ADA.words)


def test_a_commitment_is_a_salted_hash_that_anyone_can_make() -> None:
    committed = CUSTODY.shares[0]
    told = b"hsm-vault/share-commitment/v1\0" + salts(1, "example")[0][1] + " ".join(ADA.words).encode()
    assert committed.digest == hashlib.sha256(told).digest()
    assert len({each.salt for each in CUSTODY.shares}) == len(NAMES)


def test_the_document_comes_back() -> None:
    assert parse_custody(CUSTODY.to_bytes()) == CUSTODY


def test_the_document_holds_no_word_and_no_secret() -> None:
    raw = CUSTODY.to_bytes().decode()
    assert SECRET.hex() not in raw
    assert not {word for share in SHARES for word in share.words} & set(raw.replace('"', " ").split())


def test_the_bytes_of_a_known_splitting_stay() -> None:
    """A pin: commitments that are published today have to fit shares that are typed in years."""
    assert typed(ADA) == PINNED_SHARE
    assert hashlib.sha256(CUSTODY.to_bytes()).hexdigest() == PINNED_DOCUMENT


PINNED_SHARE = (
    "garlic single academic acne deliver spine busy object plunge wrist detailed sidewalk "
    "writing family leaves element fluff crowd photo database"
)
PINNED_DOCUMENT = "2fbbc4bb30fa4d34dce1b946eea185b0e4ed1553317ed0835863455af046a2fe"


def edited(**members: object) -> bytes:
    return json.dumps({**json.loads(CUSTODY.to_bytes()), **members}).encode()


def edited_share(**members: object) -> bytes:
    shares = json.loads(CUSTODY.to_bytes())["shares"]
    return edited(shares=[{**shares[0], **members}, *shares[1:]])


BAD_DOCUMENTS = {
    "no JSON": b"custody",
    "nothing": b"",
    "another schema": edited(schema="hsm-vault/custody/v2"),
    "an unknown member": edited(passphrase=""),
    "a fleet that no token may be called after": edited(fleet="Fleet 1"),
    "a threshold of one": edited(threshold=1),
    "a threshold above the custodians": edited(threshold=6),
    "a threshold that is a truth": edited(threshold=True),
    "an identifier of 16 bits": edited(identifier=2**15),
    "one custodian": edited(shares=json.loads(CUSTODY.to_bytes())["shares"][:1]),
    "seventeen custodians": edited(shares=json.loads(CUSTODY.to_bytes())["shares"] * 4),
    "a custodian twice": edited_share(custodian="Ben"),
    "a custodian without a name": edited_share(custodian=""),
    "a custodian with a control sign": edited_share(custodian="A\x1b[2J"),
    "a short salt": edited_share(salt="00" * 15),
    "a salt in capitals": edited_share(salt="AB" * 16),
    "a long digest": edited_share(sha256="00" * 33),
    "a member twice": CUSTODY.to_bytes().replace(b'"fleet"', b'"threshold": 2, "fleet"'),
    "more than anybody needs": CUSTODY.to_bytes() + b" " * LIMIT,
}


@pytest.mark.parametrize("raw", BAD_DOCUMENTS.values(), ids=BAD_DOCUMENTS)
def test_a_document_is_refused(raw: bytes) -> None:
    with pytest.raises(ConfigError):
        parse_custody(raw)


def hkdf(secret: bytes, info: bytes, length: int) -> bytes:
    """RFC 5869, written down a second time."""
    key = hmac.digest(bytes(32), secret, "sha256")
    block = output = b""
    while len(output) < length:
        block = hmac.digest(key, block + info + bytes([len(output) // 32 + 1]), "sha256")
        output += block
    return output[:length]


def test_an_officers_pin_is_hkdf_of_the_secret_and_both_names() -> None:
    raw = hkdf(SECRET, b"hsm-vault/so-pin/v1\0fleet-1\0fleet-1-2", 20)
    assert so_pin(SECRET, FLEET, "fleet-1-2") == base64.b32encode(raw).decode().lower() == PINNED_PIN


PINNED_PIN = "ynjjqbj6pkqi65rvpnnzigi3d7zpqirs"


def test_no_two_tokens_have_one_pin() -> None:
    fleets = ("fleet-1", "fleet-2")
    tokens = [(fleet, f"{fleet}-{number}") for fleet in fleets for number in range(1, 10)]
    pins = {so_pin(secret, fleet, label) for secret in (SECRET, bytes(16)) for fleet, label in tokens}
    assert len(pins) == 36
    assert {len(pin) for pin in pins} == {32}
    assert so_pin(SECRET, "a", "b-c") != so_pin(SECRET, "a-b", "c")
