"""Every byte that travels or is stored, changed.

Covered: each single byte of KE1, KE2, KE3 and the record; messages cut, grown, emptied, answered out of another login,
another record; an evaluated element and a static DH output with the wrong sign, as a faulty token would give; a server
that guessed the code but lacks the static key. What the two sides may disagree on without any attack is in test_login.

Not covered, as no test of bytes can show it: the time that an answer takes (MACs are compared with compare_digest, and
ECDH is OpenSSL's); offline guessing by whoever holds both the record and its OPRF key, which OPAQUE allows by design;
randomness that repeats; the count of guesses, which is the vault's and is tested there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from hsm_app.errors import ProtocolError
from hsm_app.opaque import server
from hsm_app.opaque.envelope import AuthenticationFailed
from hsm_app.opaque.group import SoftwareKey, check_point, encode, negate
from hsm_app.opaque.messages import RegistrationRecord
from tests.opaque.handshake import CLIENT, CONTEXT, IDENTITIES, RECORD, SERVER, Server

STARTED = CLIENT.start()
KE2, STATE = SERVER.respond(STARTED.ke1, RECORD)
KE3 = CLIENT.finish(STARTED, KE2).ke3

KE1_PARTS = {"blinded element": (0, 33), "client nonce": (33, 65), "client keyshare": (65, 98)}
KE2_PARTS = {
    "evaluated element": (0, 33),
    "masking nonce": (33, 65),
    "masked server key": (65, 98),
    "masked envelope nonce": (98, 130),
    "masked envelope tag": (130, 162),
    "server nonce": (162, 194),
    "server keyshare": (194, 227),
    "server MAC": (227, 259),
}
RECORD_PARTS = {
    "client public key": (0, 33),
    "masking key": (33, 65),
    "envelope nonce": (65, 97),
    "envelope tag": (97, 129),
}


def changes(message: bytes, start: int, end: int) -> list[bytes]:
    """Return the message once for each byte of the part: its lowest bit flipped, and once more its highest."""
    return [
        message[:at] + bytes((message[at] ^ bit,)) + message[at + 1 :] for at in range(start, end) for bit in (1, 128)
    ]


def parts(table: dict[str, tuple[int, int]]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(("start", "end"), table.values(), ids=table.keys())


def test_the_parts_are_the_whole() -> None:
    for table, message in ((KE1_PARTS, STARTED.ke1), (KE2_PARTS, KE2), (RECORD_PARTS, RECORD)):
        edges = [0, *(end for _, end in table.values())]
        assert [start for start, _ in table.values()] == edges[:-1]
        assert edges[-1] == len(message)


@parts(KE2_PARTS)
def test_the_client_refuses_ke2_with_any_byte_changed(start: int, end: int) -> None:
    for changed in changes(KE2, start, end):
        with pytest.raises(AuthenticationFailed):
            CLIENT.finish(STARTED, changed)


@parts(KE1_PARTS)
def test_ke1_with_any_byte_changed_is_no_message_or_its_answer_is_refused(start: int, end: int) -> None:
    for changed in changes(STARTED.ke1, start, end):
        try:
            ke2, state = SERVER.respond(changed, RECORD)
        except ProtocolError:
            continue
        with pytest.raises(AuthenticationFailed):
            CLIENT.finish(STARTED, ke2)
        with pytest.raises(AuthenticationFailed):
            server.finish(state, KE3)


@parts(RECORD_PARTS)
def test_a_record_with_any_byte_changed_is_no_record_or_its_answer_is_refused(start: int, end: int) -> None:
    for changed in changes(RECORD, start, end):
        try:
            ke2, state = SERVER.respond(STARTED.ke1, changed)
        except ProtocolError:
            continue
        with pytest.raises(AuthenticationFailed):
            CLIENT.finish(STARTED, ke2)
        with pytest.raises(AuthenticationFailed):
            server.finish(state, KE3)


def test_the_server_refuses_ke3_with_any_byte_changed() -> None:
    for changed in changes(KE3, 0, len(KE3)):
        with pytest.raises(AuthenticationFailed):
            server.finish(STATE, changed)
    assert server.finish(STATE, KE3) == STATE.session_key


LENGTHS: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda message: b"",
    "cut": lambda message: message[:-1],
    "grown": lambda message: message + b"\0",
    "doubled": lambda message: message * 2,
}


@pytest.mark.parametrize("change", LENGTHS.values(), ids=LENGTHS.keys())
def test_lengths_are_exact(change: Callable[[bytes], bytes]) -> None:
    with pytest.raises(AuthenticationFailed):
        CLIENT.finish(STARTED, change(KE2))
    with pytest.raises(AuthenticationFailed):
        server.finish(STATE, change(KE3))
    with pytest.raises(ProtocolError):
        server.begin_login(change(STARTED.ke1))
    with pytest.raises(ProtocolError):
        RegistrationRecord.from_bytes(change(RECORD))


def test_answers_do_not_fit_another_login() -> None:
    keyshare = SoftwareKey(99)
    other = replace(STARTED, keyshare=keyshare, ke1=STARTED.ke1[:65] + encode(keyshare.public))
    with pytest.raises(AuthenticationFailed):
        CLIENT.finish(other, KE2)
    _, state = SERVER.respond(other.ke1, RECORD)
    with pytest.raises(AuthenticationFailed):
        server.finish(state, KE3)


def test_an_answer_with_another_persons_record_is_refused() -> None:
    other, _ = replace(CLIENT, password=b"another code").register(SERVER)
    ke2, _ = SERVER.respond(STARTED.ke1, other)
    with pytest.raises(AuthenticationFailed):
        CLIENT.finish(STARTED, ke2)


@pytest.mark.parametrize("damaged", ["evaluated", "dh_static"])
def test_a_token_that_answers_with_the_wrong_sign_is_noticed(damaged: str) -> None:
    """What a multiplication that guessed the sign of y would do: half of all logins fail, and none succeeds wrongly."""
    ke1 = server.begin_login(STARTED.ke1)
    answers = {
        "evaluated": SERVER.evaluate(ke1.blinded),
        "dh_static": encode(SERVER.static.times(ke1.keyshare_point)),
    }
    answers[damaged] = encode(negate(check_point(answers[damaged])))
    ke2, _ = server.respond(
        ke1,
        RegistrationRecord.from_bytes(RECORD),
        **answers,
        server_public_key=SERVER.public,
        randomness=server.LoginRandomness(masking_nonce=b"\1" * 32, server_nonce=b"\2" * 32, keyshare_seed=b"\3" * 32),
        identities=IDENTITIES,
        context=CONTEXT,
    )
    with pytest.raises(AuthenticationFailed):
        CLIENT.finish(STARTED, ke2)


class Impostor(Server):
    """It claims the fleet's public key without having the private one."""

    @property
    def public(self) -> bytes:
        return SERVER.public


def test_a_server_that_guessed_the_code_but_lacks_the_static_key_is_refused() -> None:
    """Its OPRF key and its record are its own, made for the right code, so the envelope opens; the MAC does not."""
    impostor = Impostor(oprf=SoftwareKey(4241), static=SoftwareKey(4242))
    record, _ = CLIENT.register(impostor)
    ke2, _ = impostor.respond(STARTED.ke1, record)
    with pytest.raises(AuthenticationFailed):
        CLIENT.finish(STARTED, ke2)
