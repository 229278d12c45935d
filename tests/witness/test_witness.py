"""A witness: each status of the protocol, over HTTP too; kills around its durable step; a full disk; two processes."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tlog_scales import signing, tlog

from hsm_app.auditor.witnesses import gather
from hsm_app.errors import LogError, StoreError
from hsm_app.net.address import Address
from hsm_app.net.http import HttpServer, request
from hsm_app.tlog.checkpoint import Checkpoint
from hsm_app.tlog.cosignature import cosigned_at
from hsm_app.tlog.merkle import EMPTY_ROOT, consistency_proof, root_of
from hsm_app.tlog.note import VerifierKey, parse_note
from hsm_app.tlog.policy import Endpoint
from hsm_app.tlog.witness_exchange import LIMIT, Kept, encode_request, origin_hash, parse_request
from hsm_app.witness.service import answering
from hsm_app.witness.state import Witness
from tests.patience import PATIENCE
from tests.tlog import trees
from tests.tlog.keys import LOG, NOW, ORIGIN, WITNESSES, private, signed

ENTRIES = [trees.entry(number) for number in range(40)]
READ = trees.reading(ENTRIES)


def checkpoint(size: int) -> Checkpoint:
    return Checkpoint(ORIGIN, size, root_of(size, READ))


def asking(old: int, new: int) -> bytes:
    return encode_request(old, consistency_proof(old, new, READ), signed(checkpoint(new)).to_bytes())


@pytest.fixture
def witness(tmp_path: Path) -> Iterator[Witness]:
    root = tmp_path / "witness"
    root.mkdir()
    made = Witness(root, WITNESSES[0], private(10).sign, {ORIGIN: LOG})
    yield made
    made.close()


def status(witness: Witness, body: bytes) -> int:
    return witness.add_checkpoint(body, NOW)[0].status


def test_a_growing_log_is_cosigned_and_the_cosignature_is_a_foreign_program_s_too(witness: Witness) -> None:
    for old, new in ((0, 7), (7, 8), (8, 40)):
        decision, line = witness.add_checkpoint(asking(old, new), NOW + new)
        assert decision.status == 200
        raw = signed(checkpoint(new)).to_bytes() + line
        assert cosigned_at(parse_note(raw), WITNESSES[0]) == NOW + new
        tlog.Checkpoint.from_text(raw.decode()).verify(signing.Vkey.from_string(WITNESSES[0].text))
        assert witness.kept(ORIGIN) == Kept(new, checkpoint(new).root)


def test_the_same_tree_is_cosigned_again_with_a_new_time(witness: Witness) -> None:
    assert status(witness, asking(0, 7)) == 200
    _, line = witness.add_checkpoint(asking(7, 7), NOW + 99)
    assert cosigned_at(parse_note(checkpoint(7).to_text() + b"\n" + line), WITNESSES[0]) == NOW + 99


def forged(old: int, new: int, seed: bytes) -> bytes:
    """A tree with another beginning, signed by the log all the same."""
    entries = [seed, *ENTRIES[1:]]
    read = trees.reading(entries)
    proof = consistency_proof(old, new, read)
    return encode_request(old, proof, signed(Checkpoint(ORIGIN, new, root_of(new, read))).to_bytes())


REFUSED: dict[str, tuple[int, Callable[[], bytes]]] = {
    "an unknown log": (
        404,
        lambda: encode_request(0, [], signed(Checkpoint("other", 0, EMPTY_ROOT)).to_bytes()),
    ),
    "no signature of the log": (403, lambda: asking(7, 8).replace(ORIGIN.encode() + b" ", b"stranger ")),
    "a signature that does not hold": (403, lambda: asking(7, 9).replace(b"\n9\n", b"\n8\n")),
    "an old size beyond the new one": (400, lambda: encode_request(9, [], signed(checkpoint(8)).to_bytes())),
    "another old size": (409, lambda: asking(6, 9)),
    "another history": (422, lambda: forged(7, 9, b"another first")),
    "another tree of the same size": (422, lambda: forged(7, 7, b"another first")),
    "a proof where none belongs": (422, lambda: encode_request(7, [bytes(32)], signed(checkpoint(7)).to_bytes())),
    "a proof cut short": (
        422,
        lambda: encode_request(7, consistency_proof(7, 9, READ)[:-1], signed(checkpoint(9)).to_bytes()),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("expected", "body"), REFUSED.values(), ids=REFUSED.keys())
def test_refuses(witness: Witness, expected: int, body: Callable[[], bytes]) -> None:
    assert status(witness, asking(0, 7)) == 200
    assert status(witness, body()) == expected
    assert witness.kept(ORIGIN) == Kept(7, checkpoint(7).root)


def test_a_first_checkpoint_needs_no_proof_and_takes_none(witness: Witness) -> None:
    assert status(witness, encode_request(0, [bytes(32)], signed(checkpoint(7)).to_bytes())) == 422
    assert witness.kept(ORIGIN) == Kept(0, EMPTY_ROOT)


def test_an_empty_tree_has_one_root(witness: Witness) -> None:
    """The specification wants 422 for it, not the 400 of what does not read."""
    other = Checkpoint(ORIGIN, 0, bytes(32))
    assert status(witness, encode_request(0, [], signed(other).to_bytes())) == 422
    assert status(witness, encode_request(0, [], signed(other).to_bytes().replace(b"\n0\n", b"\n1\n"))) == 403
    assert status(witness, encode_request(0, [], signed(Checkpoint(ORIGIN, 0, EMPTY_ROOT)).to_bytes())) == 200


@given(st.binary(max_size=200).map(lambda tail: b"old 1\n" + tail) | st.binary(max_size=200))
def test_any_bytes_are_a_request_in_its_one_encoding_or_refused(body: bytes) -> None:
    try:
        asked = parse_request(body)
    except LogError:
        return
    assert encode_request(asked.old, asked.proof, asked.note.to_bytes()) == body


@pytest.mark.parametrize("body", [b"", b"old 1\n", b"x" * (LIMIT + 1), asking(0, 7).replace(b"old 0", b"old 00")])
def test_is_no_request(body: bytes) -> None:
    with pytest.raises(LogError):
        parse_request(body)


def killed(root: Path, when: str, body: bytes) -> None:
    script = str(Path(__file__).with_name("killed.py"))
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(
        [sys.executable, script, str(root), when], input=body, capture_output=True, check=False, env=environment
    )
    assert done.returncode == -9, done.stderr


@pytest.mark.parametrize(("when", "size"), [("before", 0), ("after", 7)])
def test_a_witness_killed_around_its_durable_step_never_contradicts_itself(
    tmp_path: Path, when: str, size: int
) -> None:
    killed(tmp_path, when, asking(0, 7))
    witness = Witness(tmp_path, WITNESSES[0], private(10).sign, {ORIGIN: LOG})
    assert witness.kept(ORIGIN).size == size
    if size:  # the answer never arrived, and counts all the same: only what continues it is cosigned
        assert status(witness, forged(0, 7, b"another first")) == 409
        assert status(witness, forged(7, 9, b"another first")) == 422
    assert status(witness, asking(size, 9)) == 200
    witness.close()


def test_a_full_disk_means_no_cosignature(witness: Witness, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(StoreError):
            witness.add_checkpoint(asking(0, 7), NOW)
    assert status(witness, asking(0, 7)) == 200


def test_a_second_process_is_refused(witness: Witness, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="another process"):
        Witness(tmp_path / "witness", WITNESSES[0], private(10).sign, {ORIGIN: LOG})


def test_a_state_that_it_did_not_write_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "logs" / origin_hash(ORIGIN) / "checkpoint"
    file.parent.mkdir(parents=True)
    for raw in (signed(checkpoint(7)).to_bytes(), signed(checkpoint(7), 1).to_bytes(), b"", b"x"):
        file.write_bytes(raw)
        with pytest.raises(LogError):
            Witness(tmp_path, WITNESSES[0], private(10).sign, {ORIGIN: LOG})


@pytest.fixture
def served(witness: Witness) -> Iterator[str]:
    server = HttpServer(Address(host="127.0.0.1", port=0), answering(witness, lambda: NOW), body_limit=LIMIT)
    yield f"http://127.0.0.1:{server.port}"
    server.close()


def test_over_http_it_says_what_the_specification_says(served: str) -> None:
    url = served + "/add-checkpoint"
    first = request("POST", url, asking(0, 7))
    assert (first.status, first.body[:4]) == (200, "\u2014 ".encode())
    stale = request("POST", url, asking(6, 9))
    assert (stale.status, stale.headers["Content-Type"], stale.body) == (409, "text/x.tlog.size", b"7\n")
    assert request("POST", url, b"nonsense").status == 400
    assert request("POST", url, bytes(LIMIT + 1)).status == 413
    assert request("GET", url).status == 404
    note = request("GET", f"{served}/{origin_hash(ORIGIN)}/checkpoint")
    assert cosigned_at(parse_note(note.body), WITNESSES[0]) == NOW
    assert request("GET", f"{served}/{'0' * 64}/checkpoint").status == 404


def test_a_state_that_was_damaged_while_it_runs_is_its_own_fault_and_nothing_is_cosigned(
    served: str, tmp_path: Path
) -> None:
    url = served + "/add-checkpoint"
    assert request("POST", url, asking(0, 7)).status == 200
    file = tmp_path / "witness" / "logs" / origin_hash(ORIGIN) / "checkpoint"
    kept = file.read_bytes()
    for damaged in (b"", kept[:-9], signed(checkpoint(7)).to_bytes()):
        file.write_bytes(damaged)
        assert (request("POST", url, asking(7, 9)).status, file.read_bytes()) == (500, damaged)
    file.write_bytes(kept)
    assert request("POST", url, asking(7, 9)).status == 200


def test_a_witness_that_was_put_back_takes_up_what_continues_its_old_state(served: str, tmp_path: Path) -> None:
    """It cannot know what it forgot; the log's next proof brings it forward, and no other history from there does."""
    url = served + "/add-checkpoint"
    file = tmp_path / "witness" / "logs" / origin_hash(ORIGIN) / "checkpoint"
    assert request("POST", url, asking(0, 7)).status == 200
    kept = file.read_bytes()
    assert request("POST", url, asking(7, 9)).status == 200
    file.write_bytes(kept)
    assert request("POST", url, asking(9, 12)).body == b"7\n"
    assert request("POST", url, forged(7, 12, b"another first")).status == 422
    assert request("POST", url, asking(7, 12)).status == 200


def endpoint(key: VerifierKey, url: str) -> Endpoint:
    return Endpoint(key, url)


def test_a_log_gathers_what_it_can_and_says_who_gave_none(served: str) -> None:
    for size in (7, 9, 9):  # a first time, from where the witness is, and the same again
        gathered = gather(
            signed(checkpoint(size)),
            lambda old, new=size: consistency_proof(old, new, READ),  # type: ignore[misc]
            {
                "ours": endpoint(WITNESSES[0], served),
                "another's key": endpoint(WITNESSES[1], served),
                "away": endpoint(WITNESSES[2], "http://127.0.0.1:9"),
                "without address": endpoint(WITNESSES[2], ""),
            },
            seconds=PATIENCE,
        )
        assert cosigned_at(gathered.note, WITNESSES[0]) == NOW
        assert gathered.missing.keys() == {"another's key", "away", "without address"}


def test_a_log_that_lost_entries_hears_so(served: str) -> None:
    def prove(old: int) -> list[bytes]:
        return consistency_proof(old, 7, READ)

    ours = {"ours": endpoint(WITNESSES[0], served)}
    gather(signed(checkpoint(9)), prove, ours)
    gathered = gather(signed(checkpoint(7)), prove, ours)
    assert "more than it has" in gathered.missing["ours"]
