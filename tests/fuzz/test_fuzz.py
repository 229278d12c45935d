"""A short run of every harness with seeded mutations, and planted bugs that the harnesses have to find.

Covered: frames in any pieces, messages of client, relay, replica and operator, contents of replica links, sealed
requests and answers with anything inside, OPAQUE messages, tickets, manifests, certificates, account tokens, stored
records and anchors, notes, proofs, policies, envelopes, bundles. Not covered: what a token says, and SQL.
"""

from __future__ import annotations

import base64
from random import Random

import pytest

from hsm_app.consensus.acceptor import Prepare
from hsm_app.errors import ProtocolError
from hsm_app.replica.keeper import Question
from hsm_app.replica.vote_messages import to_question
from hsm_app.tlog import note
from hsm_app.wire import frames, session, votes
from hsm_app.wire.padding import unpad
from tests.fuzz import links
from tests.fuzz.harness import Harness, round_trip
from tests.fuzz.harnesses import HARNESSES
from tests.fuzz.mutator import mutations
from tests.fuzz.sessions import REQUESTS
from tests.fuzz.streams import FRAMES

COUNT = 3_000  # inputs for each harness


@pytest.mark.parametrize("name", HARNESSES)
def test_nothing_is_found_in(name: str) -> None:
    harness = HARNESSES[name]
    for data in mutations(harness.examples, Random(name), COUNT):
        try:
            harness.check(data)
        except Exception as error:
            raise AssertionError(f"{name}: {data.hex()}") from error


def found(harness: Harness, count: int = COUNT) -> bool:
    for data in mutations(harness.examples, Random(1), count):
        try:
            harness.check(data)
        except Exception:
            return True
    return False


def test_a_decoder_that_forgets_what_stands_before_a_fault_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def eager(self: frames.FrameDecoder, data: bytes) -> list[bytes]:
        self.check()
        if self._dead:
            return []
        self._buffer += data
        whole = self._split()
        self.check()
        return whole

    monkeypatch.setattr(frames.FrameDecoder, "feed", eager)
    assert found(FRAMES)


def test_padding_that_is_not_looked_at_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def careless(plain: bytes) -> tuple[int, bytes]:
        length = int.from_bytes(plain[1:3], "big")
        return plain[0], plain[3 : 3 + length]

    kind, body = unpad(REQUESTS.examples[0][1:])
    assert careless(REQUESTS.examples[0][1:]) == (kind, body), "the planted bug no longer knows the padding's form"
    monkeypatch.setattr(session, "unpad", careless)
    assert found(REQUESTS)


def test_a_field_of_a_vote_that_is_not_read_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def forgetful(request: votes.VoteRequest) -> Question:
        asked = to_question(request)
        return Question(asked.record, Prepare(ballot=asked.asked.ballot))

    monkeypatch.setattr(links, "to_question", forgetful)
    assert found(links.LINKS)


def test_base64_that_is_not_canonical_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(note, "decode64", lambda text, _: base64.b64decode(text + "=="))
    assert found(HARNESSES["transparency"])


def test_an_encoding_that_is_not_the_only_one_is_found() -> None:
    check = round_trip(lambda data: data.strip(b"\0"), lambda value: value, ProtocolError)
    with pytest.raises(AssertionError, match="written otherwise"):
        check(b"x\0")
