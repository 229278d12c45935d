"""Replica links: what a hello must say, and every frame that is not the next one of this connection's peer.

Covered: replay, reordering, truncation, extension, omission, reflection, the other direction's key, another
connection's frame, another epoch's hello, two diallers wired together, a peer without the link key. Not covered: how
the keys come out of the tokens (tests of the token room).
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hsm_app.errors import ProtocolError
from hsm_app.model import LinkKeys
from hsm_app.wire.frames import FrameDecoder, encode_frame
from hsm_app.wire.hello import HELLO_LIMIT, Hello, check_hello, decode_hello, encode_hello, transcript
from hsm_app.wire.link import CONFIRMATION, LINK_FRAME_LIMIT, PLAIN_LIMIT, TAG, LinkSession, Role

OWN = Hello(
    fleet="fleet-1",
    group=0,
    epoch=4,
    manifest_digest=b"\x0a" * 32,
    replica=1,
    incarnation=2,
    boot=9,
    nonce=b"\x01" * 32,
)
PEER = replace(OWN, replica=3, incarnation=1, boot=5, nonce=b"\x03" * 32)
MEMBERS = {1: 2, 2: 1, 3: 1}


def keys_of(secret: bytes, said: bytes) -> LinkKeys:
    """Stands in for both tokens: directional keys from their shared secret and the transcript."""
    key = {end: hmac.digest(secret, end + said, "sha256") for end in (b"dialler", b"listener")}
    return LinkKeys(dialler=key[b"dialler"], listener=key[b"listener"])


def connect(nonce: bytes = b"\x01" * 32) -> tuple[LinkSession, LinkSession]:
    """A connection after both confirmations: dialler, listener."""
    keys = keys_of(b"shared", transcript(replace(OWN, nonce=nonce), PEER))
    ends = LinkSession(keys, Role.DIALLER), LinkSession(keys, Role.LISTENER)
    ends[1].confirm(ends[0].confirmation())
    ends[0].confirm(ends[1].confirmation())
    return ends


def test_hellos_round_trip_and_are_accepted_both_ways() -> None:
    assert decode_hello(encode_hello(OWN)) == OWN
    check_hello(OWN, PEER, MEMBERS, dialled=3)
    check_hello(PEER, OWN, MEMBERS)


def test_the_longest_hello_is_as_long_as_the_limit() -> None:
    longest = replace(
        OWN, fleet="f" * 64, group=65_535, epoch=2**64 - 1, replica=255, incarnation=2**32 - 1, boot=2**32 - 1
    )
    assert len(encode_hello(longest)) == HELLO_LIMIT


BAD_HELLOS: dict[str, tuple[Hello, int | None, str]] = {
    "another fleet": (replace(PEER, fleet="fleet-2"), None, "another fleet"),
    "another group": (replace(PEER, group=1), None, "another group"),
    "an earlier epoch": (replace(PEER, epoch=3), None, "another epoch"),
    "a later epoch": (replace(PEER, epoch=5), None, "another epoch"),
    "another manifest": (replace(PEER, manifest_digest=bytes(32)), None, "another manifest digest"),
    "a stranger": (replace(PEER, replica=4), None, "no member"),
    "a store from before a replacement": (replace(PEER, incarnation=0), None, "incarnation 0, the manifest says 1"),
    "a later incarnation": (replace(PEER, incarnation=2), None, "incarnation 2"),
    "our own hello": (OWN, None, "which is this one"),
    "another replica than was dialled": (PEER, 2, "answers at replica 2's address"),
}


@pytest.mark.parametrize(("peer", "dialled", "names"), BAD_HELLOS.values(), ids=BAD_HELLOS.keys())
def test_hellos_that_are_refused(peer: Hello, dialled: int | None, names: str) -> None:
    with pytest.raises(ProtocolError, match=names):
        check_hello(OWN, peer, MEMBERS, dialled=dialled)


def test_another_version_is_refused() -> None:
    with pytest.raises(ProtocolError, match="another version than hsm-vault/link/v1"):
        decode_hello(encode_hello(OWN).replace(b"link/v1", b"link/v2"))


@given(st.binary(max_size=200))
def test_any_bytes_are_a_hello_or_a_protocol_error(frame: bytes) -> None:
    with pytest.raises(ProtocolError):
        decode_hello(frame)


@given(st.integers(0, len(encode_hello(OWN)) - 1), st.integers(0, 255))
def test_any_changed_byte_of_a_hello_changes_the_transcript(at: int, byte: int) -> None:
    frame = encode_hello(OWN)
    changed = frame[:at] + bytes([byte]) + frame[at + 1 :]
    try:
        other = decode_hello(changed)
    except ProtocolError:
        return
    assert (transcript(other, PEER) == transcript(OWN, PEER)) == (changed == frame)


def test_the_transcript_covers_both_hellos_and_their_order() -> None:
    said = transcript(OWN, PEER)
    assert said != transcript(PEER, OWN)
    assert said != transcript(OWN, replace(PEER, nonce=bytes(32)))
    parts = b"".join(len(part).to_bytes(4, "big") + part for part in map(encode_hello, (OWN, PEER)))
    assert said == hashlib.sha256(b"hsm-vault/link/v1 transcript" + parts).digest()


@given(st.lists(st.tuples(st.booleans(), st.binary(max_size=100)), max_size=10))
def test_frames_arrive_in_order_in_both_directions(frames: list[tuple[bool, bytes]]) -> None:
    dialler, listener = connect()
    for outward, content in frames:
        sender, receiver = (dialler, listener) if outward else (listener, dialler)
        assert receiver.open(sender.seal(content)) == content


def test_equal_contents_make_unequal_frames() -> None:
    dialler, listener = connect()
    assert len({dialler.seal(b"same"), dialler.seal(b"same"), listener.seal(b"same")}) == 3


def _replayed(dialler: LinkSession, listener: LinkSession) -> bytes:
    frame = dialler.seal(b"one")
    listener.open(frame)
    return frame


def _reordered(dialler: LinkSession, _listener: LinkSession) -> bytes:
    dialler.seal(b"one")
    return dialler.seal(b"two")


def _other_connection(dialler: LinkSession, _listener: LinkSession) -> bytes:
    dialler.seal(b"one")
    other, _ = connect(nonce=b"\x02" * 32)
    return other.seal(b"one")


def _changed(dialler: LinkSession, _listener: LinkSession) -> bytes:
    frame = dialler.seal(b"one")
    return frame[:-1] + bytes([frame[-1] ^ 1])


NOT_THE_NEXT: dict[str, Callable[[LinkSession, LinkSession], bytes]] = {
    "a replayed frame": _replayed,
    "a frame with one left out before it": _reordered,
    "its own frame sent back": lambda _dialler, listener: listener.seal(b"one"),
    "a frame of another connection of the same peers": _other_connection,
    "a frame with one bit changed": _changed,
    "a frame cut short": lambda dialler, _listener: dialler.seal(b"one")[:-1],
    "a frame with a byte behind it": lambda dialler, _listener: dialler.seal(b"one") + b"\0",
    "a frame shorter than a tag": lambda _dialler, _listener: bytes(TAG - 1),
    "an empty frame": lambda _dialler, _listener: b"",
    "a frame beyond the limit": lambda _dialler, _listener: bytes(LINK_FRAME_LIMIT + 1),
}


@pytest.mark.parametrize("make", NOT_THE_NEXT.values(), ids=NOT_THE_NEXT.keys())
def test_refused_and_the_session_is_over(make: Callable[[LinkSession, LinkSession], bytes]) -> None:
    dialler, listener = connect()
    frame = make(dialler, listener)
    with pytest.raises(ProtocolError):
        listener.open(frame)
    for after in (lambda: listener.open(dialler.seal(b"good")), lambda: listener.seal(b"good")):
        with pytest.raises(ProtocolError, match="has ended"):
            after()


@given(st.binary(max_size=100))
def test_any_bytes_are_no_frame(frame: bytes) -> None:
    _, listener = connect()
    with pytest.raises(ProtocolError):
        listener.open(frame)


def _heard(stream: bytes, places: list[int]) -> tuple[list[bytes], int]:
    """What a listener hears of a dialler's byte stream that arrives in pieces: contents, and how many errors."""
    _, listener = connect()
    decoder = FrameDecoder(200)
    ends = sorted({place % (len(stream) + 1) for place in places} | {0, len(stream)})
    contents: list[bytes] = []
    for start, end in pairwise(ends):
        try:
            for frame in decoder.feed(stream[start:end]):
                contents.append(listener.open(frame))
            decoder.check()
        except ProtocolError:
            return contents, 1
    return contents, 0


@given(
    st.lists(st.binary(max_size=50), max_size=5),
    st.none() | st.tuples(st.integers(0, 1000), st.integers(1, 255)),
    st.lists(st.integers(0, 1000), max_size=10),
)
def test_any_chunking_of_a_good_or_damaged_stream_ends_the_same(
    contents: list[bytes], damage: tuple[int, int] | None, places: list[int]
) -> None:
    dialler, _ = connect()
    stream = bytearray(b"".join(encode_frame(dialler.seal(content)) for content in contents))
    if damage and stream:
        stream[damage[0] % len(stream)] ^= damage[1]
    heard = _heard(bytes(stream), places)
    assert heard == _heard(bytes(stream), list(range(len(stream))))
    assert heard[0] == contents[: len(heard[0])]
    if not (damage and stream):
        assert heard == (contents, 0)


def _first_frame(keys: LinkKeys, role: Role) -> bytes:
    return LinkSession(keys, role).confirmation()


KEYS = keys_of(b"shared", transcript(OWN, PEER))
STRANGERS = {
    "a peer without the link key": _first_frame(keys_of(b"guess", transcript(OWN, PEER)), Role.LISTENER),
    "a peer that heard another epoch": _first_frame(
        keys_of(b"shared", transcript(OWN, replace(PEER, epoch=5))), Role.LISTENER
    ),
    "two diallers wired to each other": _first_frame(keys_of(b"shared", transcript(PEER, OWN)), Role.DIALLER),
    "our own confirmation sent back": _first_frame(KEYS, Role.DIALLER),
}


@pytest.mark.parametrize("frame", STRANGERS.values(), ids=STRANGERS.keys())
def test_the_first_frame_shows_who_holds_the_keys(frame: bytes) -> None:
    session = LinkSession(KEYS, Role.DIALLER)
    with pytest.raises(ProtocolError):
        session.confirm(frame)
    assert not session.confirmed


def test_another_content_is_no_confirmation() -> None:
    dialler, listener = LinkSession(KEYS, Role.DIALLER), LinkSession(KEYS, Role.LISTENER)
    dialler._sent = 1  # as if it had confirmed, so that it seals something else under the first nonce
    frame = dialler.seal(b"something else")
    listener._received = 1
    with pytest.raises(ProtocolError, match="not its confirmation"):
        listener.confirm(frame)
    assert len(frame) != len(CONFIRMATION) + TAG


OUT_OF_TURN: dict[str, Callable[[LinkSession], object]] = {
    "sealing before the confirmation": lambda session: session.seal(b""),
    "opening before the confirmation": lambda session: session.open(bytes(20)),
    "confirming twice": lambda session: (session.confirmation(), session.confirmation()),
}


@pytest.mark.parametrize("act", OUT_OF_TURN.values(), ids=OUT_OF_TURN.keys())
def test_out_of_turn(act: Callable[[LinkSession], object]) -> None:
    with pytest.raises(ProtocolError):
        act(LinkSession(KEYS, Role.DIALLER))


def test_a_second_confirmation_is_refused() -> None:
    dialler, listener = connect()
    with pytest.raises(ProtocolError, match="not its confirmation"):
        listener.confirm(dialler.seal(CONFIRMATION))


def test_a_frame_that_is_too_long_is_not_sent() -> None:
    dialler, listener = connect()
    assert len(listener.open(dialler.seal(bytes(PLAIN_LIMIT)))) == PLAIN_LIMIT
    with pytest.raises(ProtocolError):
        dialler.seal(bytes(PLAIN_LIMIT + 1))


def test_one_key_for_both_directions_is_refused() -> None:
    with pytest.raises(ProtocolError, match="one key"):
        LinkSession(LinkKeys(dialler=bytes(32), listener=bytes(32)), Role.DIALLER)
