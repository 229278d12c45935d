"""One secret of 128 bits, split M of N among custodians with SLIP-39, and the officers' PINs that come from it.

Each token's security officer has a PIN of its own, derived from the secret, so a custodian has one sheet of twenty
words however many tokens there are, and M custodians can also make the PIN of a token that is added later. The
rejected way, a split PIN for each token, asks five custodians of five tokens to write down and type 500 words.

SLIP-39 has a checksum in each share and a digest over the whole, but three shares that are each well-formed and do not
fit do not say which one is wrong. So `custody.json` keeps a salted commitment to each share: a hash over 128 random
bits and the share's words, from which nobody gets the share back. A share is named as right, mistyped, somebody else's
or foreign before it is used. The commitment also finds the one word that is wrong, or the two that changed places. Only
the place is told, never what should stand there: custodians read their sheets again, and no guess becomes a share.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import combinations

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from shamir_mnemonic.shamir import EncryptedMasterSecret, combine_mnemonics, split_ems
from shamir_mnemonic.share import Share
from shamir_mnemonic.utils import MnemonicError
from shamir_mnemonic.wordlist import WORDLIST

from hsm_app.ceremony.plan import FLEET, MOST_CUSTODIANS, NAME
from hsm_app.ceremony.words import nearest, word_of
from hsm_app.errors import ConfigError
from hsm_app.fleet.strict_json import Node, load_document

SCHEMA = "hsm-vault/custody/v1"
SECRET_BYTES = 16
SALT_BYTES = 16
WORDS = 20
PIN_BYTES = 20  # 32 characters in base32
LIMIT = 16 * 1024  # bytes of custody.json
ITERATIONS = 0  # SLIP-39's exponent: the secret is random, and there is no passphrase to stretch
IDENTIFIER_BITS = 15
LOOK = "Look at the sheet and type it again"


@dataclass(frozen=True, slots=True, kw_only=True)
class ShareCommitment:
    """`digest` is SHA-256 over the schema's name, the salt (16 bytes) and the share's words."""

    custodian: str
    salt: bytes
    digest: bytes

    @classmethod
    def to(cls, share: CustodianShare, salt: bytes) -> ShareCommitment:
        return cls(custodian=share.custodian, salt=salt, digest=_committed(salt, share.words))

    def fits(self, words: Sequence[str]) -> bool:
        return hmac.compare_digest(_committed(self.salt, words), self.digest)


@dataclass(frozen=True, slots=True, kw_only=True)
class Custody:
    """What everybody may know of the shares: custody.json. `identifier` is SLIP-39's, 15 bits, in every share."""

    fleet: str
    threshold: int
    identifier: int
    shares: tuple[ShareCommitment, ...]

    def to_bytes(self) -> bytes:
        shares = [
            {"custodian": each.custodian, "salt": each.salt.hex(), "sha256": each.digest.hex()} for each in self.shares
        ]
        document = {
            "schema": SCHEMA,
            "fleet": self.fleet,
            "threshold": self.threshold,
            "identifier": self.identifier,
            "shares": shares,
        }
        return json.dumps(document, indent=1, sort_keys=True).encode() + b"\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class CustodianShare:
    """One custodian's words. They are shown to that person and forgotten."""

    custodian: str
    words: tuple[str, ...] = field(repr=False)


def split(
    secret: bytes, fleet: str, threshold: int, salts: Sequence[tuple[str, bytes]], identifier: int
) -> tuple[Custody, tuple[CustodianShare, ...]]:
    """Split 16 random bytes among the custodians in `salts` (name, 16 random bytes). `identifier`: 15 random bits.

    The library draws the polynomial's coefficients from the system itself. ConfigError when M and N are out of range.
    """
    if not 2 <= threshold <= len(salts) <= MOST_CUSTODIANS:
        raise ConfigError(f"cannot split {threshold} of {len(salts)}", "Use 2 to 16 custodians, and 2 or more of them")
    if len(secret) != SECRET_BYTES or identifier not in range(2**IDENTIFIER_BITS):
        raise ConfigError("the secret or the identifier has a wrong length", "Use 128 and 15 random bits")
    master = EncryptedMasterSecret.from_master_secret(secret, b"", identifier, True, ITERATIONS)
    (members,) = split_ems(1, [(threshold, len(salts))], master)
    shares = tuple(
        CustodianShare(custodian=name, words=tuple(share.words()))
        for (name, _), share in zip(salts, members, strict=True)
    )
    commitments = tuple(ShareCommitment.to(share, salt) for (_, salt), share in zip(salts, shares, strict=True))
    return Custody(fleet=fleet, threshold=threshold, identifier=identifier, shares=commitments), shares


def recognise(custody: Custody, custodian: str, typed: str) -> CustodianShare:
    """Return the share of this custodian that somebody typed, whole words or four letters each.

    ConfigError says what is wrong with it: a word, the number of words, somebody else's, foreign, mistyped. Its `what`
    may go into a public record; its `todo` is for the custodian's eyes, since it may hold words like those typed.
    """
    words = _words(typed)
    owner = next((each for each in custody.shares if each.fits(words)), None)
    if owner is None:
        raise ConfigError(_misfit(custody, custodian, words), LOOK)
    if owner.custodian != custodian:
        raise ConfigError(f"this is the share of {owner.custodian}, not of {custodian}", "Each types the own sheet")
    return CustodianShare(custodian=custodian, words=words)


def combine(custody: Custody, shares: Sequence[CustodianShare]) -> bytes:
    """Return the secret from M or more shares, each committed to in `custody`. ConfigError for anything else.

    VAULT-CUSTODY-THRESHOLD
    """
    names = [share.custodian for share in shares]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise ConfigError(f"the share of {twice} was given twice", "Give the shares of different custodians")
    if len(shares) < custody.threshold:
        missing = custody.threshold - len(shares)
        raise ConfigError(f"{missing} more of the custodians' shares are needed", "Fewer than that give nothing")
    for share in shares:
        recognise(custody, share.custodian, " ".join(share.words))
    try:
        secret: bytes = combine_mnemonics([" ".join(share.words) for share in shares[: custody.threshold]])
    except MnemonicError:
        raise ConfigError("the shares do not fit together", "Compare custody.json with the published one") from None
    return secret


def so_pin(secret: bytes, fleet: str, label: str) -> str:
    """Return the PIN of a token's security officer, 32 characters: HKDF-SHA256 (RFC 5869) of the secret."""
    info = b"hsm-vault/so-pin/v1\0" + fleet.encode() + b"\0" + label.encode()
    raw = HKDF(algorithm=SHA256(), length=PIN_BYTES, salt=None, info=info).derive(secret)
    return base64.b32encode(raw).decode().lower()


def parse_custody(raw: bytes) -> Custody:
    """Read custody.json. ConfigError for anything else."""
    of = load_document(raw, "custody.json", LIMIT).members("schema", "fleet", "threshold", "identifier", "shares")
    of("schema").one_of({SCHEMA: SCHEMA})
    shares = tuple(map(_commitment, of("shares").items(2, MOST_CUSTODIANS)))
    if len({each.custodian for each in shares}) != len(shares):
        of("shares").refuse("names a custodian twice")
    return Custody(
        fleet=of("fleet").text(FLEET),
        threshold=of("threshold").integer(2, len(shares)),
        identifier=of("identifier").integer(0, 2**IDENTIFIER_BITS - 1),
        shares=shares,
    )


def _commitment(node: Node) -> ShareCommitment:
    of = node.members("custodian", "salt", "sha256")
    return ShareCommitment(
        custodian=of("custodian").text(NAME),
        salt=of("salt").hexadecimal(SALT_BYTES),
        digest=of("sha256").hexadecimal(32),
    )


def _committed(salt: bytes, words: Sequence[str]) -> bytes:
    return hashlib.sha256(b"hsm-vault/share-commitment/v1\0" + salt + " ".join(words).encode()).digest()


def _words(typed: str) -> tuple[str, ...]:
    parts = typed.split()
    if len(parts) != WORDS:
        raise ConfigError(f"a share has {WORDS} words, and {len(parts)} were typed", LOOK)
    found = [word_of(part) for part in parts]
    if unknown := [place for place, word in enumerate(found) if word is None]:
        places = " and ".join(str(place + 1) for place in unknown)
        near = (f"near word {place + 1} are {', '.join(nearest(parts[place])) or 'none'}" for place in unknown)
        raise ConfigError(f"not in the list: word {places}", f"In the list, {'; '.join(near)}")
    return tuple(word for word in found if word is not None)


def _misfit(custody: Custody, custodian: str, words: tuple[str, ...]) -> str:
    """Say why twenty words of the list are nobody's share."""
    commitment = next((each for each in custody.shares if each.custodian == custodian), None)
    if commitment is None:
        return f"{custodian} has no share of this fleet"
    if slip := next((slip for slip, right in _slips(words) if commitment.fits(right)), None):
        return slip
    try:
        share = Share.from_mnemonic(" ".join(words))
    except MnemonicError:
        return "the share's checksum does not hold: words are mistyped, or out of their order"
    if share.identifier != custody.identifier:
        return "this is a share of another set: of another fleet, or of a sheet that is void"
    return "this is a share of the same set that was never given out: find out where this sheet comes from"


def _slips(words: tuple[str, ...]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield what may have happened to a share, and the share before it: about 20,000, some 30 ms to hash."""
    for one, two in combinations(range(WORDS), 2):
        right = list(words)
        right[one], right[two] = words[two], words[one]
        yield f"words {one + 1} and {two + 1} have changed places", tuple(right)
    for place in range(WORDS):
        for word in WORDLIST:
            yield f"word {place + 1} is another one on the sheet", (*words[:place], word, *words[place + 1 :])
