"""The byte codecs: exact sizes, any bytes give a message or a ProtocolError, and nothing is lost on the way back."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hsm_app.errors import ProtocolError
from hsm_app.opaque import server
from hsm_app.opaque.group import TWO_G, G, Point, encode, negate
from hsm_app.opaque.messages import KE1, KE2, RegistrationRecord
from tests.opaque import handshake

POINT, NO_POINT = encode(TWO_G), b"\x02" + (1).to_bytes(32, "big")
DECODERS: dict[str, Callable[[bytes], object]] = {
    "KE1": server.begin_login,
    "KE2": KE2.from_bytes,
    "a registration record": RegistrationRecord.from_bytes,
}
decoders = pytest.mark.parametrize("decode", DECODERS.values(), ids=DECODERS.keys())


def test_sizes_are_those_of_the_rfc() -> None:
    started = handshake.CLIENT.start()
    ke2, _ = handshake.SERVER.respond(started.ke1, handshake.RECORD)
    ke3 = handshake.CLIENT.finish(started, ke2).ke3
    assert [len(one) for one in (started.ke1, ke2, ke3, handshake.RECORD)] == [98, 259, 32, 129]
    assert len(server.registration_response(POINT, POINT)) == 66


@decoders
@given(data=st.binary(max_size=300) | st.sampled_from([32, 98, 129, 259]).flatmap(lambda n: st.binary(min_size=n)))
def test_any_bytes_are_a_message_or_a_protocol_error(decode: Callable[[bytes], object], data: bytes) -> None:
    try:
        decode(data)
    except ProtocolError:
        return
    assert len(data) in (98, 129, 259)


@given(nonce=st.binary(min_size=32, max_size=32), points=st.tuples(*[st.sampled_from([G, TWO_G, negate(G)])] * 2))
def test_ke1_is_read_as_it_came(nonce: bytes, points: tuple[Point, Point]) -> None:
    blinded, keyshare = (encode(point) for point in points)
    read = KE1.from_bytes(blinded + nonce + keyshare)
    assert (read.blinded, read.client_nonce, read.client_keyshare) == (blinded, nonce, keyshare)
    assert (read.raw, read.keyshare_point) == (blinded + nonce + keyshare, points[1])


@given(rest=st.binary(min_size=96, max_size=96))
def test_a_record_comes_back_as_it_was(rest: bytes) -> None:
    assert RegistrationRecord.from_bytes(POINT + rest).to_bytes() == POINT + rest


@given(data=st.binary(min_size=259, max_size=259))
def test_ke2_comes_back_as_it_was(data: bytes) -> None:
    """Its points are checked where the client uses them, inside the one failure that a login has."""
    assert KE2.from_bytes(data).to_bytes() == data


BAD_POINTS = {
    "KE1, blinded element": (server.begin_login, NO_POINT + bytes(32) + POINT),
    "KE1, keyshare": (server.begin_login, POINT + bytes(32) + NO_POINT),
    "KE1, blinded element is zeros": (server.begin_login, bytes(65) + POINT),
    "KE1, keyshare is zeros": (server.begin_login, POINT + bytes(65)),
    "record, client public key": (RegistrationRecord.from_bytes, NO_POINT + bytes(96)),
    "record, client public key is zeros": (RegistrationRecord.from_bytes, bytes(129)),
}


@pytest.mark.parametrize(("decode", "data"), BAD_POINTS.values(), ids=BAD_POINTS.keys())
def test_what_a_client_sends_is_on_the_curve(decode: Callable[[bytes], object], data: bytes) -> None:
    with pytest.raises(ProtocolError):
        decode(data)
