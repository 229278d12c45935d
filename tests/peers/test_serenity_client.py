"""@serenity-kit/opaque-p256's client registers and logs in at our server, whose keys are in SoftHSM."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hsm_app.opaque import server
from hsm_app.opaque.envelope import AuthenticationFailed, Identities
from hsm_app.token.replica_token import Pkcs11Token
from tests.peers.our_sides import OurClient, OurServer
from tests.peers.peer import Peer
from tests.peers.serenity import DEFAULT_COSTS, TheirClient

IDENTITIES = {
    "both identities are set": Identities(client=b"5:acme,5:alice,6:backup,", server=b"fleet-1"),
    "identities outside of ASCII": Identities(client="\u00e4\u00f6\u00fc \u2666".encode(), server=b"fleet-1"),
    "only the client's is set": Identities(client=b"alice"),
    "both default to the public keys": Identities(),
}
PASSWORD = "correct horse battery staple"
ALICE = next(iter(IDENTITIES.values()))


@pytest.fixture
def at(token: Pkcs11Token, fleet_public: bytes) -> OurServer:
    return OurServer(token=token, public=fleet_public, identities=ALICE)


@pytest.fixture
def device(peer: Peer) -> TheirClient:
    return TheirClient(peer=peer, password=PASSWORD, identities=ALICE)


@pytest.mark.parametrize("identities", IDENTITIES.values(), ids=IDENTITIES.keys())
def test_it_registers_and_logs_in(at: OurServer, device: TheirClient, identities: Identities) -> None:
    at, device = replace(at, identities=identities), replace(device, identities=identities)
    state, request = device.start_registration()
    key, response = at.register(request)
    record, export_key, public = device.finish_registration(state, response)
    assert (len(request), len(record), public) == (33, 129, at.public)
    for _ in range(2):
        login, ke1 = device.start_login()
        ours, ke2 = at.start_login(ke1, key, record)
        result = device.finish_login(login, ke2)
        assert result is not None
        assert server.finish(ours, result.ke3) == result.session_key
        assert result.export_key == export_key


def test_a_wrong_password_is_refused_by_both(at: OurServer, device: TheirClient) -> None:
    state, request = device.start_registration()
    key, response = at.register(request)
    record, _, _ = device.finish_registration(state, response)
    wrong = replace(device, password=PASSWORD + "s")
    login, ke1 = wrong.start_login()
    ours, ke2 = at.start_login(ke1, key, record)
    assert wrong.finish_login(login, ke2) is None
    with pytest.raises(AuthenticationFailed):
        server.finish(ours, bytes(32))


def test_a_proof_of_another_login_is_refused(at: OurServer, device: TheirClient) -> None:
    state, request = device.start_registration()
    key, response = at.register(request)
    record, _, _ = device.finish_registration(state, response)
    login, ke1 = device.start_login()
    _, first = at.start_login(ke1, key, record)
    again, second = at.start_login(ke1, key, record)
    result = device.finish_login(login, first)
    assert result is not None
    assert first != second
    with pytest.raises(AuthenticationFailed):
        server.finish(again, result.ke3)


def test_it_refuses_an_answer_with_any_part_changed(at: OurServer, device: TheirClient) -> None:
    state, request = device.start_registration()
    key, response = at.register(request)
    record, _, _ = device.finish_registration(state, response)
    for place in (40, 70, 120, 150, 180, 240):  # nonce, masked key, envelope nonce, envelope tag, server nonce, MAC
        login, ke1 = device.start_login()
        _, ke2 = at.start_login(ke1, key, record)
        assert device.finish_login(login, ke2[:place] + bytes((ke2[place] ^ 1,)) + ke2[place + 1 :]) is None


def test_its_default_costs_are_those_that_it_documents(at: OurServer, device: TheirClient) -> None:
    device = replace(device, costs=None)
    state, request = device.start_registration()
    key, response = at.register(request)
    record, export_key, _ = device.finish_registration(state, response)
    ours = OurClient(password=PASSWORD, identities=ALICE, server_public_key=at.public)
    login, ke1 = ours.start_login()
    _, ke2 = at.start_login(ke1, key, record)
    with pytest.raises(AuthenticationFailed):
        ours.finish_login(login, ke2)
    assert replace(ours, costs=DEFAULT_COSTS).finish_login(login, ke2).export_key == export_key


def test_one_registers_and_the_other_logs_in(at: OurServer, device: TheirClient) -> None:
    """The record and the export key are the same thing to both clients, in either order."""
    ours = OurClient(password=PASSWORD, identities=ALICE, server_public_key=at.public)
    state, request = device.start_registration()
    key, response = at.register(request)
    record, export_key, _ = device.finish_registration(state, response)
    login, ke1 = ours.start_login()
    expected, ke2 = at.start_login(ke1, key, record)
    result = ours.finish_login(login, ke2)
    assert server.finish(expected, result.ke3) == result.session_key
    assert result.export_key == export_key

    blinded, request = ours.start_registration()
    key, response = at.register(request)
    record, export_key = ours.finish_registration(blinded, response)
    state, ke1 = device.start_login()
    expected, ke2 = at.start_login(ke1, key, record)
    theirs = device.finish_login(state, ke2)
    assert theirs is not None
    assert server.finish(expected, theirs.ke3) == theirs.session_key
    assert theirs.export_key == export_key
