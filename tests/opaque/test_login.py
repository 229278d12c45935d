"""A login succeeds when both sides agree on everything, and fails in one way when they disagree on anything."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest

from hsm_app.errors import ProtocolError
from hsm_app.opaque import client, server
from hsm_app.opaque.envelope import FAILURE, AuthenticationFailed, Identities
from hsm_app.opaque.group import N, SoftwareKey, encode
from tests.opaque.handshake import (
    CLIENT,
    CONTEXT,
    EXPORT_KEY,
    IDENTITIES,
    OTHER_SERVER,
    RECORD,
    SERVER,
    WRONG_PASSWORD,
    Client,
    Server,
    stretch,
)


def login(device: Client, at: Server, record: bytes = RECORD) -> tuple[client.LoginResult, server.ServerLoginState]:
    started = device.start()
    ke2, state = at.respond(started.ke1, record)
    return device.finish(started, ke2), state


AGREE = {
    "both identities are set": IDENTITIES,
    "both default to the public keys": Identities(),
    "only the client's is set": Identities(client=b"alice"),
    "only the server's is set": Identities(server=b"fleet-1"),
    "both are empty, which is not the default": Identities(client=b"", server=b""),
    "the longest that can be": Identities(client=bytes(65535), server=bytes(65535)),
}


@pytest.mark.parametrize("identities", AGREE.values(), ids=AGREE.keys())
def test_a_login_gives_both_sides_one_key(identities: Identities) -> None:
    device, at = replace(CLIENT, identities=identities), replace(SERVER, identities=identities)
    record, export_key = device.register(at)
    result, state = login(device, at, record)
    assert server.finish(state, result.ke3) == result.session_key
    assert result.export_key == export_key
    assert len({result.session_key, result.export_key, result.ke3}) == 3


def test_the_identities_default_to_the_public_keys_and_no_other_bytes() -> None:
    written_out = Identities(client=RECORD[:33], server=SERVER.public)
    device = replace(CLIENT, identities=Identities())
    record, _ = device.register(replace(SERVER, identities=Identities()))
    result, state = login(device, replace(SERVER, identities=written_out), record)
    assert server.finish(state, result.ke3) == result.session_key


def test_an_empty_identity_is_not_the_default() -> None:
    records = {
        replace(CLIENT, identities=identities).register(SERVER)[0]
        for identities in (Identities(), Identities(client=b""), Identities(server=b""))
    }
    assert len(records) == 3


DISAGREE: dict[str, tuple[Client, Server]] = {
    "the password is wrong": (replace(CLIENT, password=WRONG_PASSWORD), SERVER),
    "the password has a zero byte more": (replace(CLIENT, password=CLIENT.password + b"\0"), SERVER),
    "the client thinks it is somebody else": (replace(CLIENT, identities=replace(IDENTITIES, client=b"bob")), SERVER),
    "the client thinks the server is another": (
        replace(CLIENT, identities=replace(IDENTITIES, server=b"fleet-2")),
        SERVER,
    ),
    "the two identities are swapped": (
        replace(CLIENT, identities=Identities(client=IDENTITIES.server, server=IDENTITIES.client)),
        SERVER,
    ),
    "the identities are shifted by a byte": (
        replace(CLIENT, identities=Identities(client=b"alicef", server=b"leet-1")),
        SERVER,
    ),
    "the server thinks the client is somebody else": (
        CLIENT,
        replace(SERVER, identities=replace(IDENTITIES, client=b"bob")),
    ),
    "the server thinks it is another": (CLIENT, replace(SERVER, identities=replace(IDENTITIES, server=b"fleet-2"))),
    "the contexts differ": (replace(CLIENT, context=CONTEXT + b"2"), SERVER),
    "the client expects another server key": (replace(CLIENT, server_public_key=OTHER_SERVER.public), SERVER),
    "the server has another static key": (CLIENT, OTHER_SERVER),
    "the server has another static key, and nobody checks it beforehand": (
        replace(CLIENT, server_public_key=None),
        OTHER_SERVER,
    ),
    "the record's OPRF key is another": (CLIENT, replace(SERVER, oprf=SoftwareKey(1004))),
    "the server acts with OPRF key 1": (CLIENT, replace(SERVER, oprf=SoftwareKey(1))),
    "the server acts with OPRF key -1": (CLIENT, replace(SERVER, oprf=SoftwareKey(N - 1))),
}


@pytest.mark.parametrize(("device", "at"), DISAGREE.values(), ids=DISAGREE.keys())
def test_the_client_refuses_when(device: Client, at: Server) -> None:
    with pytest.raises(AuthenticationFailed) as refused:
        login(device, at)
    assert refused.value.what == FAILURE
    assert refused.value.__suppress_context__ or refused.value.__context__ is None


def test_a_server_that_registered_with_key_1_is_refused_at_registration() -> None:
    with pytest.raises(ProtocolError):
        CLIENT.register(replace(SERVER, oprf=SoftwareKey(1)))


def test_another_stretching_is_a_wrong_password() -> None:
    started = CLIENT.start()
    ke2, _ = SERVER.respond(started.ke1, RECORD)
    for other in (lambda message: message, lambda message: hashlib.sha512(stretch(message)).digest()):
        with pytest.raises(AuthenticationFailed):
            client.login_finish(started, ke2, identities=IDENTITIES, context=CONTEXT, stretch=other)


@pytest.mark.parametrize("at", ["client", "server", "context"])
def test_what_two_bytes_of_length_cannot_say_is_refused(at: str) -> None:
    too_long = bytes(65536)
    broken = (
        replace(SERVER, context=too_long)
        if at == "context"
        else replace(SERVER, identities=replace(IDENTITIES, **{at: too_long}))
    )
    with pytest.raises(ProtocolError, match="65535"):
        broken.respond(CLIENT.start().ke1, RECORD)


def test_the_server_public_key_of_a_registration_has_to_be_a_point() -> None:
    state = client.register_start(b"code", 3)
    with pytest.raises(ProtocolError):
        client.register_finish(
            state,
            evaluated=SERVER.evaluate(state.element),
            server_public_key=b"\x02" + (1).to_bytes(32, "big"),
            envelope_nonce=bytes(32),
            identities=IDENTITIES,
            stretch=stretch,
        )


@pytest.mark.parametrize("uniform", [bytes(48), b"\xff" * 48, (N - 1).to_bytes(48, "big"), N.to_bytes(48, "big")])
def test_a_blind_drawn_from_bytes_is_in_range(uniform: bytes) -> None:
    assert 0 < client.scalar_from(uniform) < N


def test_secrets_are_not_shown() -> None:
    started = CLIENT.start()
    ke2, state = SERVER.respond(started.ke1, RECORD)
    result = CLIENT.finish(started, ke2)
    randomness = server.LoginRandomness(masking_nonce=b"", server_nonce=b"", keyshare_seed=b"seed-of-the-server")
    shown = repr((started, state, result, randomness, SERVER.static))
    secrets = [CLIENT.password, EXPORT_KEY, result.session_key, state.expected_client_mac, b"seed-of-the-server"]
    assert not [secret for secret in secrets if repr(secret)[2:-1] in shown or secret.hex() in shown]
    assert encode(started.keyshare.public).hex()[2:] in started.ke1.hex()
