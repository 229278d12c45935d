"""RFC 9807 appendix C.1.5 and C.1.6 (OPAQUE-3DH, P256-SHA256), and C.2.3; the server's keys are in SoftHSM.

C.2.3 is the fake record (section 6.3.2.2), with which a server hides whether somebody is registered. This design makes
none: who may ask is settled by the account token, and *status* tells the account's holder anyway. There is thus no code
that would derive one. But to the server's steps a fake is a record like any other, with an envelope of zeros, so the
vector checks KE2 a third time. No client can finish it.
"""

from __future__ import annotations

from typing import Any

import pytest
from pkcs11 import Session

from hsm_app.opaque import client, oprf, server
from hsm_app.opaque.envelope import Identities, expand, key_pair, mask, masking_key, randomize
from hsm_app.opaque.group import encode
from hsm_app.opaque.messages import ENVELOPE, KE2
from tests.opaque.token_server import TokenKey, TokenServer
from tests.opaque.vectors import load, octets

VECTORS = load("opaque-p256.json")["vectors"]
REAL = [vector for vector in VECTORS if vector["config"]["Fake"] == "False"]
(FAKE,) = (vector for vector in VECTORS if vector["config"]["Fake"] == "True")
NAMES = ["C.1.5: identities default to the public keys", "C.1.6: both identities are set"]


def identity(message: bytes) -> bytes:
    """The vectors' key stretching function."""
    return message


class Case:
    """One vector, its hex read."""

    def __init__(self, vector: dict[str, Any]) -> None:
        self.context = bytes.fromhex(vector["config"]["Context"])
        self.inputs, self.outputs = octets(vector["inputs"]), octets(vector["outputs"])
        self.steps = octets(vector["intermediates"])
        self.identities = Identities(
            client=self.inputs.get("client_identity"), server=self.inputs.get("server_identity")
        )

    def oprf_key(self) -> int:
        """Section 5.2.2 derives it from a seed. This design draws one for each registration instead."""
        seed = expand(self.inputs["oprf_seed"], self.inputs["credential_identifier"] + b"OprfKey", 32)
        return oprf.derive_key(seed, b"OPAQUE-DeriveKeyPair")

    def server_on(self, session: Session) -> TokenServer:
        static = int.from_bytes(self.inputs["server_private_key"], "big")
        return TokenServer(
            TokenKey(session, self.oprf_key()),
            TokenKey(session, static),
            context=self.context,
            identities=self.identities,
        )

    def server_randomness(self) -> server.LoginRandomness:
        return server.LoginRandomness(
            masking_nonce=self.inputs["masking_nonce"],
            server_nonce=self.inputs["server_nonce"],
            keyshare_seed=self.inputs["server_keyshare_seed"],
        )

    def login_start(self) -> client.ClientLoginState:
        randomness = client.LoginRandomness(
            blind=int.from_bytes(self.inputs["blind_login"], "big"),
            nonce=self.inputs["client_nonce"],
            keyshare_seed=self.inputs["client_keyshare_seed"],
        )
        return client.login_start(self.inputs["password"], randomness)


@pytest.fixture(params=REAL, ids=NAMES)
def case(request: pytest.FixtureRequest) -> Case:
    return Case(request.param)


def test_all_vectors_are_there() -> None:
    assert (len(VECTORS), len(REAL)) == (3, 2)


def test_registration(case: Case, session: Session) -> None:
    state = client.register_start(case.inputs["password"], int.from_bytes(case.inputs["blind_registration"], "big"))
    assert state.element == case.outputs["registration_request"]
    response = case.server_on(session).register(state.element)
    assert response == case.outputs["registration_response"]
    record, export_key = client.register_finish(
        state,
        evaluated=response[:33],
        server_public_key=response[33:],
        envelope_nonce=case.inputs["envelope_nonce"],
        identities=case.identities,
        stretch=identity,
    )
    assert record == case.outputs["registration_upload"]
    assert export_key == case.outputs["export_key"]


def test_login(case: Case, session: Session) -> None:
    login = case.login_start()
    assert login.ke1 == case.outputs["KE1"]
    ke2, state = case.server_on(session).login(login.ke1, case.outputs["registration_upload"], case.server_randomness())
    assert ke2 == case.outputs["KE2"]
    result = client.login_finish(
        login,
        ke2,
        identities=case.identities,
        context=case.context,
        stretch=identity,
        server_public_key=case.inputs["server_public_key"],
    )
    assert result.ke3 == case.outputs["KE3"]
    assert result.export_key == case.outputs["export_key"]
    assert result.session_key == server.finish(state, result.ke3) == case.outputs["session_key"]


def test_the_steps_between(case: Case) -> None:
    """Each value on the way, so that a wrong one is found where it arises."""
    assert f"{case.oprf_key():064x}" == case.steps["oprf_key"].hex()
    login, ke2 = case.login_start(), KE2.from_bytes(case.outputs["KE2"])
    randomized = randomize(oprf.finalize(login.blinded, ke2.evaluated), identity)
    assert randomized == case.steps["randomized_password"]
    assert masking_key(randomized) == case.steps["masking_key"]
    unmasked = mask(case.steps["masking_key"], ke2.masking_nonce, ke2.masked_response)
    assert unmasked == case.inputs["server_public_key"] + case.steps["envelope"]
    nonce = case.inputs["envelope_nonce"]
    assert expand(randomized, nonce + b"AuthKey", 32) == case.steps["auth_key"]
    client_key = key_pair(expand(randomized, nonce + b"PrivateKey", 32))
    assert encode(client_key.public) == case.steps["client_public_key"]


def test_a_fake_record_is_answered_like_any_other(session: Session) -> None:
    case = Case(FAKE)
    record = case.inputs["client_public_key"] + case.inputs["masking_key"] + bytes(ENVELOPE)
    ke2, _ = case.server_on(session).login(case.inputs["KE1"], record, case.server_randomness())
    assert ke2 == case.outputs["KE2"]
