"""Tiles, proofs and policies: written and read here and by another program, and refused when malformed."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tlog_scales import signing
from tlog_scales import tiles as foreign_tiles
from tlog_scales.backend import LocalBackend
from tlog_scales.reader import TilesReader
from tlog_scales.writer import TilesWriter

from hsm_app.errors import LogError
from hsm_app.tlog import merkle, tiles
from hsm_app.tlog.checkpoint import Checkpoint, signed_checkpoint
from hsm_app.tlog.policy import parse_policy
from hsm_app.tlog.proof import HEAD, TlogProof, parse_proof
from tests.tlog import trees
from tests.tlog.keys import LOG, ORIGIN, WITNESSES, private, signed

SIZE = 70_000  # leaves: tiles of three levels


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log of another program."""
    root = tmp_path_factory.mktemp("foreign") / "log"
    writer = TilesWriter.create(root, ORIGIN)
    for number in range(SIZE):
        writer.add_leaf(trees.entry(number))
    writer.commit([signing.PlainEd25519Signer(ORIGIN, private(1))])
    return root


def fetching(root: Path) -> tiles.Fetch:
    def fetch(path: str) -> bytes | None:
        file = root / path
        return file.read_bytes() if file.is_file() else None

    return fetch


def test_a_foreign_log_is_read_and_proved(foreign: Path) -> None:
    fetch = fetching(foreign)
    _, checkpoint = signed_checkpoint((foreign / "checkpoint").read_bytes(), LOG, ORIGIN)
    read = tiles.reader(SIZE, fetch)
    assert (checkpoint.size, checkpoint.root) == (SIZE, merkle.root_of(SIZE, read))
    judge = TilesReader(LocalBackend(foreign))
    judge.set_size(SIZE)
    for index in (0, 255, 256, 65_535, 65_536, SIZE - 1):
        proof = merkle.inclusion_proof(index, SIZE, read)
        leaf = merkle.leaf_hash(trees.entry(index))
        merkle.verify_inclusion(leaf, index, SIZE, proof, checkpoint.root)
        assert judge.get_inclusion_proof(index, SIZE).node_hashes == proof
        width = tiles.width_at(SIZE, 0, index >> 8)
        bundle = fetch(tiles.entries_path(index >> 8, width))
        assert bundle is not None
        assert tiles.unpack_entries(bundle, width)[index & 255] == trees.entry(index)
    for old in (1, 255, 256, 257, 65_536, 65_537, SIZE):
        proof = merkle.consistency_proof(old, SIZE, read)
        merkle.verify_consistency(old, SIZE, merkle.root_of(old, read), checkpoint.root, proof)


def test_a_full_tile_stands_for_a_partial_one_that_was_dropped(foreign: Path) -> None:
    read = tiles.reader(100, fetching(foreign))
    leaves = [trees.entry(number) for number in range(100)]
    assert merkle.root_of(100, read) == trees.mth(leaves)


def test_a_tile_that_is_missing_cut_short_or_changed_is_noticed(foreign: Path) -> None:
    whole = fetching(foreign)
    root = merkle.root_of(SIZE, tiles.reader(SIZE, whole))
    for changed in (None, b"", bytes(31), bytes(32)):
        with pytest.raises(LogError, match="missing or cut short"):
            merkle.root_of(SIZE, tiles.reader(SIZE, lambda path, to=changed: to if "tile/1/" in path else whole(path)))
    flipped = tiles.reader(SIZE, lambda path: bytes(32 * 17) if path == "tile/1/001.p/17" else whole(path))
    assert merkle.root_of(SIZE, flipped) != root


@given(st.integers(0, 10**12), st.integers(1, 256), st.integers(0, 5))
def test_paths_are_those_of_another_program(number: int, width: int, level: int) -> None:
    expected = "/".join(foreign_tiles.tile_path(level, number, 0 if width == 256 else width))
    assert tiles.tile_path(level, number, width) == expected


def test_the_example_of_the_specification() -> None:
    assert tiles.entries_path(1234067) == "tile/entries/x001/x234/067"
    assert tiles.tile_path(0, 5, 17) == "tile/0/005.p/17"


def test_the_changed_tiles_are_those_whose_width_grew() -> None:
    random = Random(1)
    for _ in range(2000):
        old = random.choice((0, 255, 256, 65_535, 65_536, random.randrange(70_000)))
        new = old + random.choice((0, 1, 2, 256, random.randrange(2000)))
        grown = {
            (level, number)
            for level in range(3)
            for number in range((new >> (8 * level + 8)) + 1)
            if tiles.width_at(old, level, number) < tiles.width_at(new, level, number)
        }
        assert set(tiles.changed_tiles(old, new)) == grown


@given(st.lists(st.binary(max_size=40), max_size=20))
def test_entries_come_back(entries: list[bytes]) -> None:
    packed = tiles.pack_entries(entries)
    assert tiles.unpack_entries(packed, len(entries)) == entries
    for data, width in ((packed + b"\0", len(entries)), (packed, len(entries) + 1)):
        with pytest.raises(LogError):
            tiles.unpack_entries(data, width)


def test_an_entry_has_a_limit() -> None:
    assert len(tiles.pack_entries([bytes(65_535)])) == 65_537
    with pytest.raises(LogError):
        tiles.pack_entries([bytes(65_536)])


CHECKPOINT = signed(Checkpoint(ORIGIN, 7, bytes(32))).to_bytes()
PROOF = TlogProof(3, (bytes(32), b"\1" * 32), CHECKPOINT)


def test_a_proof_comes_back_from_its_bytes() -> None:
    for proof in (PROOF, TlogProof(0, (), CHECKPOINT)):
        assert parse_proof(proof.to_bytes()) == proof


@given(st.binary(max_size=200).map(lambda tail: HEAD.encode() + b"\nindex 1\n" + tail) | st.binary(max_size=200))
def test_any_bytes_are_a_proof_in_its_one_encoding_or_refused(raw: bytes) -> None:
    try:
        proof = parse_proof(raw)
    except LogError:
        return
    assert proof.to_bytes() == raw


PROOFS = {
    "nothing": b"",
    "another head": PROOF.to_bytes().replace(b"@v1", b"@v2"),
    "an extra line": PROOF.to_bytes().replace(b"index", b"extra AAAA\nindex"),
    "no index": PROOF.to_bytes().replace(b"index 3\n", b""),
    "a leading zero": PROOF.to_bytes().replace(b"index 3", b"index 03"),
    "a negative index": PROOF.to_bytes().replace(b"index 3", b"index -3"),
    "an index beyond the limit": PROOF.to_bytes().replace(b"index 3", b"index 9223372036854775808"),
    "base64 without padding": PROOF.to_bytes().replace(b"AAA=\n", b"AAA\n", 1),
    "base64 with bits that stand for nothing": PROOF.to_bytes().replace(b"AAA=\n", b"AAB=\n", 1),
    "a short hash": PROOF.to_bytes().replace(b"AAA=", b""),
    "no checkpoint": HEAD.encode() + b"\nindex 3\n",
    "too many hashes": TlogProof(3, (bytes(32),) * 64, CHECKPOINT).to_bytes(),
    "too many bytes": TlogProof(3, (), bytes(80_000)).to_bytes(),
}


@pytest.mark.parametrize("raw", PROOFS.values(), ids=PROOFS.keys())
def test_is_no_proof(raw: bytes) -> None:
    with pytest.raises(LogError):
        parse_proof(raw)


POLICY = f"""# three witnesses, of two operators
log {LOG.text} https://log.example
witness a {WITNESSES[0].text} https://a.example
witness b {WITNESSES[1].text}
witness c {WITNESSES[2].text}

group both all a b
group either 1 both c
quorum either
"""


def test_a_policy_is_read_and_asked() -> None:
    policy = parse_policy(POLICY)
    assert policy.log(ORIGIN).url == "https://log.example"
    for cosigned, enough in ((set(), False), ({"a"}, False), ({"c"}, True), ({"a", "b"}, True), ({"stranger"}, False)):
        assert policy.is_met(cosigned) is enough
    assert parse_policy("quorum none").is_met(set())
    with pytest.raises(LogError, match="not one that the policy names"):
        policy.log("log.example/others")


POLICIES = {
    "no quorum": POLICY.replace("quorum either\n", ""),
    "two quorums": POLICY + "quorum a\n",
    "an unknown quorum": POLICY.replace("quorum either", "quorum neither"),
    "an unknown word": POLICY + "trust me\n",
    "a member that comes later": POLICY.replace("both all a b", "both all a either"),
    "a member twice": POLICY.replace("both all a b", "both all a a"),
    "a member of two groups": POLICY.replace("either 1 both c", "either 1 both a"),
    "a name twice": POLICY.replace("witness b", "witness a"),
    "a key twice": POLICY.replace(WITNESSES[1].text, WITNESSES[0].text),
    "a log's key as a witness": POLICY.replace(WITNESSES[0].text, LOG.text),
    "a witness's key as a log": POLICY.replace(LOG.text, WITNESSES[0].text),
    "none of the members enough": POLICY.replace("either 1", "either 0"),
    "more than the members": POLICY.replace("either 1", "either 3"),
    "no number": POLICY.replace("either 1", "either x"),
    "a group without members": POLICY.replace("group both all a b", "group both all"),
    "none as a name": POLICY.replace("witness b", "witness none"),
    "too many lines": POLICY + "#\n" * 300,
}


@pytest.mark.parametrize("text", POLICIES.values(), ids=POLICIES.keys())
def test_is_no_policy(text: str) -> None:
    with pytest.raises(LogError):
        parse_policy(text)
