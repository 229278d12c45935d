"""Our client registers and logs in at @serenity-kit/opaque-p256's server."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hsm_app.opaque.envelope import AuthenticationFailed, Identities
from tests.peers.our_sides import OurClient
from tests.peers.peer import Peer, PeerError
from tests.peers.serenity import TheirServer
from tests.peers.test_serenity_client import ALICE, IDENTITIES, PASSWORD


@pytest.fixture(scope="module")
def setup(peer: Peer) -> str:
    made: str = peer.call("opaque.server.createSetup")
    return made


@pytest.fixture
def at(peer: Peer, setup: str) -> TheirServer:
    return TheirServer(peer=peer, setup=setup, identities=ALICE)


@pytest.fixture
def device(at: TheirServer) -> OurClient:
    return OurClient(password=PASSWORD, identities=ALICE, server_public_key=at.public())


def register(device: OurClient, at: TheirServer) -> tuple[bytes, bytes]:
    state, request = device.start_registration()
    return device.finish_registration(state, at.register(request))


@pytest.mark.parametrize("identities", IDENTITIES.values(), ids=IDENTITIES.keys())
def test_we_register_and_log_in(device: OurClient, at: TheirServer, identities: Identities) -> None:
    at, device = replace(at, identities=identities), replace(device, identities=identities)
    record, export_key = register(device, at)
    for _ in range(2):
        login, ke1 = device.start_login()
        theirs, ke2 = at.start_login(ke1, record)
        result = device.finish_login(login, ke2)
        assert (len(ke2), len(result.ke3)) == (259, 32)
        assert at.finish_login(theirs, result.ke3) == result.session_key
        assert result.export_key == export_key


def test_a_wrong_password_is_refused_by_both(device: OurClient, at: TheirServer) -> None:
    record, _ = register(device, at)
    wrong = replace(device, password=PASSWORD + "s")
    login, ke1 = wrong.start_login()
    theirs, ke2 = at.start_login(ke1, record)
    with pytest.raises(AuthenticationFailed):
        wrong.finish_login(login, ke2)
    with pytest.raises(PeerError):
        at.finish_login(theirs, bytes(32))


WRONG = {
    "another client's identity": Identities(client=b"bob", server=ALICE.server),
    "another server's identity": Identities(client=ALICE.client, server=b"fleet-2"),
    "the defaults": Identities(),
}


@pytest.mark.parametrize("identities", WRONG.values(), ids=WRONG.keys())
def test_we_refuse_a_server_that_answers_for(device: OurClient, at: TheirServer, identities: Identities) -> None:
    record, _ = register(device, at)
    login, ke1 = device.start_login()
    _, ke2 = replace(at, identities=identities).start_login(ke1, record)
    with pytest.raises(AuthenticationFailed):
        device.finish_login(login, ke2)


def test_we_refuse_a_server_with_another_key(device: OurClient, at: TheirServer, peer: Peer) -> None:
    record, _ = register(device, at)
    login, ke1 = device.start_login()
    _, ke2 = replace(at, setup=peer.call("opaque.server.createSetup")).start_login(ke1, record)
    with pytest.raises(AuthenticationFailed):
        device.finish_login(login, ke2)


def test_a_fake_record_looks_like_a_wrong_password(device: OurClient, at: TheirServer) -> None:
    """RFC 9807 section 6.3.2.2: this server makes them, and a client of ours may meet one."""
    login, ke1 = device.start_login()
    _, ke2 = at.start_login(ke1, None)
    assert len(ke2) == 259
    with pytest.raises(AuthenticationFailed):
        device.finish_login(login, ke2)


def test_its_server_refuses_our_tampered_proof(device: OurClient, at: TheirServer) -> None:
    record, _ = register(device, at)
    login, ke1 = device.start_login()
    theirs, ke2 = at.start_login(ke1, record)
    ke3 = device.finish_login(login, ke2).ke3
    with pytest.raises(PeerError):
        at.finish_login(theirs, ke3[:-1] + bytes((ke3[-1] ^ 1,)))
