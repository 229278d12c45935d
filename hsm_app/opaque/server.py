"""The server of OPAQUE, cut at the token: it asks for two multiplications and goes on with their answers.

    ke1 = begin_login(data)
    evaluated = token.evaluate(record key, ke1.blinded)      # RFC 9497 BlindEvaluate
    dh_static = token.opaque_dh(ke1.client_keyshare)         # dh2 of RFC 9807 section 6.4.4
    ke2, state = respond(...)
    session_key = finish(state, ke3)

The third key of the handshake, the server's ephemeral one, lives in memory for one request. There are no fake records
(section 6.3.2.2): who may ask is decided by the account token, and *status* tells the account's holder anyway
whether a record exists.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field

from hsm_app.opaque.ake import preamble, session_keys
from hsm_app.opaque.envelope import AuthenticationFailed, Identities, key_pair, mask
from hsm_app.opaque.group import encode
from hsm_app.opaque.messages import KE1, KE2, RegistrationRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginRandomness:
    """32 random bytes each, used for one answer only."""

    masking_nonce: bytes
    server_nonce: bytes
    keyshare_seed: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerLoginState:
    """What the server has to remember until KE3 comes."""

    expected_client_mac: bytes = field(repr=False)
    session_key: bytes = field(repr=False)


def registration_response(evaluated: bytes, server_public_key: bytes) -> bytes:
    """Return the 66-byte answer to a registration request (section 5.2.2)."""
    return evaluated + server_public_key


def begin_login(data: bytes) -> KE1:
    """Read and check KE1, 98 bytes. ProtocolError when it is malformed or a point is not on the curve."""
    return KE1.from_bytes(data)


def respond(
    ke1: KE1,
    record: RegistrationRecord,
    *,
    evaluated: bytes,
    dh_static: bytes,
    server_public_key: bytes,
    randomness: LoginRandomness,
    identities: Identities,
    context: bytes,
) -> tuple[bytes, ServerLoginState]:
    """Return KE2, 259 bytes, and the state (sections 6.3.2.2 and 6.4.4)."""
    ephemeral = key_pair(randomness.keyshare_seed)
    unsigned = KE2(
        evaluated=evaluated,
        masking_nonce=randomness.masking_nonce,
        masked_response=mask(record.masking_key, randomness.masking_nonce, server_public_key + record.envelope),
        server_nonce=randomness.server_nonce,
        server_keyshare=encode(ephemeral.public),
    )
    dh1 = encode(ephemeral.times(ke1.keyshare_point))
    dh3 = encode(ephemeral.times(record.client_point))
    transcript = preamble(
        context=context,
        client=identities.client if identities.client is not None else record.client_public_key,
        ke1=ke1.raw,
        server=identities.server if identities.server is not None else server_public_key,
        ke2=unsigned,
    )
    keys = session_keys(dh1 + dh_static + dh3, transcript)
    state = ServerLoginState(expected_client_mac=keys.client_mac, session_key=keys.session_key)
    return unsigned.to_bytes() + keys.server_mac, state


def client_mac_matches(expected: bytes, ke3: bytes) -> bool:
    """Return whether KE3 proves the password, compared in constant time; a KE3 of another length does not."""
    return hmac.compare_digest(expected, ke3)


def finish(state: ServerLoginState, ke3: bytes) -> bytes:
    """Return the session key (section 6.4.4). AuthenticationFailed when KE3 is wrong or malformed."""
    if not client_mac_matches(state.expected_client_mac, ke3):
        raise AuthenticationFailed
    return state.session_key
