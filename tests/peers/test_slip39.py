"""Custodians' shares against SLIP-39's own vectors, and against a foreign implementation in both directions.

The vectors are those that the specification publishes; the peer's package carries them.
"""

from __future__ import annotations

import json
from itertools import combinations

import pytest
from shamir_mnemonic.shamir import combine_mnemonics
from shamir_mnemonic.utils import MnemonicError

from hsm_app.ceremony.custody import CustodianShare, Custody, ShareCommitment, combine
from tests.ceremony.custody_example import FLEET, SECRET, example
from tests.peers.peer import HERE, Peer, PeerError

VECTORS = HERE / "node_modules/slip39/test/vectors.json"
PASSPHRASE = b"TREZOR"  # of every vector
COUNTS = [(2, 2), (2, 3), (3, 5), (5, 5)]


def mnemonics(shares: tuple[CustodianShare, ...]) -> list[str]:
    return [" ".join(share.words) for share in shares]


def test_the_library_gives_what_the_specification_says(peer: Peer) -> None:
    """All vectors in one test, since the file is there only when the peers are."""
    vectors = json.loads(VECTORS.read_text())
    assert len(vectors) == 45
    assert sum(bool(secret) for _, _, secret, _ in vectors) == 15
    for what, words, secret, _ in vectors:
        assert put_together(words) == secret, what


def put_together(words: list[str]) -> str:
    """Return the secret in hexadecimal, "" when the library refuses."""
    try:
        return combine_mnemonics(words, PASSPHRASE).hex()
    except MnemonicError:
        return ""


@pytest.mark.parametrize(("threshold", "count"), COUNTS)
def test_a_foreign_program_puts_our_shares_together(peer: Peer, threshold: int, count: int) -> None:
    _, shares = example(threshold, count)
    for some in combinations(shares, threshold):
        assert peer.call("slip39.combine", mnemonics(some), "") == SECRET


@pytest.mark.parametrize(("threshold", "count"), COUNTS)
def test_a_foreign_program_gets_nothing_from_fewer(peer: Peer, threshold: int, count: int) -> None:
    _, shares = example(threshold, count)
    with pytest.raises(PeerError):
        peer.call("slip39.combine", mnemonics(shares[: threshold - 1]), "")


def test_a_foreign_program_sees_a_wrong_word_in_our_share(peer: Peer) -> None:
    _, (share, *_) = example()
    right, wrong = (
        " ".join(share.words),
        " ".join(["academic" if share.words[0] != "academic" else "acid", *share.words[1:]]),
    )
    assert peer.call("slip39.isShare", right) is True
    assert peer.call("slip39.isShare", wrong) is False


@pytest.mark.parametrize(("threshold", "count"), COUNTS)
def test_we_put_a_foreign_programs_shares_together(peer: Peer, threshold: int, count: int) -> None:
    made = peer.call("slip39.split", SECRET, threshold, count)
    assert len(made) == count
    shares = [CustodianShare(custodian=f"custodian {n}", words=tuple(words.split())) for n, words in enumerate(made)]
    custody = committed(threshold, shares)
    for some in combinations(shares, threshold):
        assert combine(custody, some) == SECRET


def committed(threshold: int, shares: list[CustodianShare]) -> Custody:
    """Return a record of shares that we did not make."""
    commitments = [ShareCommitment.to(share, bytes(16)) for share in shares]
    return Custody(fleet=FLEET, threshold=threshold, identifier=0, shares=tuple(commitments))
