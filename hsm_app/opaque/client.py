"""The client of OPAQUE, RFC 9807 sections 5.2.1, 5.2.3, 6.3.1, 6.3.3 and 6.4.3.

Randomness and stretching are arguments.

Whatever is wrong with the server's second message, a wrong password included, is one AuthenticationFailed. The export
key is returned only after the server has been authenticated (section 6).
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field

from hsm_app.errors import ProtocolError
from hsm_app.opaque import oprf
from hsm_app.opaque.ake import preamble, session_keys
from hsm_app.opaque.envelope import (
    AuthenticationFailed,
    Identities,
    Opened,
    Stretch,
    key_pair,
    mask,
    masking_key,
    randomize,
    recover,
    store,
)
from hsm_app.opaque.group import ELEMENT, N, SoftwareKey, check_point, encode
from hsm_app.opaque.messages import KE2, RegistrationRecord, split


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginRandomness:
    """`blind` is a scalar (1 to N - 1), the others are 32 random bytes; used for one login only."""

    blind: int = field(repr=False)
    nonce: bytes
    keyshare_seed: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientLoginState:
    """What the client remembers between KE1 and KE2."""

    blinded: oprf.Blinded = field(repr=False)
    keyshare: SoftwareKey
    ke1: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginResult:
    """`ke3` is for the server, `export_key` (32 bytes) never leaves the client."""

    ke3: bytes = field(repr=False)
    session_key: bytes = field(repr=False)
    export_key: bytes = field(repr=False)


def scalar_from(uniform: bytes) -> int:
    """Map 48 random bytes to a blind, uniform in 1 to N - 1 but for 2^-128."""
    return int.from_bytes(uniform, "big") % (N - 1) + 1


def register_start(password: bytes, blind: int) -> oprf.Blinded:
    """Blind the password; `element` (33 bytes) goes to the server (section 5.2.1)."""
    return oprf.blind(password, blind)


def register_finish(
    state: oprf.Blinded,
    *,
    evaluated: bytes,
    server_public_key: bytes,
    envelope_nonce: bytes,
    identities: Identities,
    stretch: Stretch,
) -> tuple[bytes, bytes]:
    """Return the registration record (129 bytes) for the server, and the export key (section 5.2.3)."""
    check_point(server_public_key)
    randomized = randomize(oprf.finalize(state, evaluated), stretch)
    envelope, opened = store(randomized, envelope_nonce, server_public_key, identities)
    record = RegistrationRecord(
        client_public_key=opened.client_public_key,
        client_point=opened.client_key.public,
        masking_key=masking_key(randomized),
        envelope=envelope,
    )
    return record.to_bytes(), opened.export_key


def login_start(password: bytes, randomness: LoginRandomness) -> ClientLoginState:
    """Return the state; its `ke1` (98 bytes) goes to the server (section 6.3.1)."""
    blinded = oprf.blind(password, randomness.blind)
    keyshare = key_pair(randomness.keyshare_seed)
    ke1 = blinded.element + randomness.nonce + encode(keyshare.public)
    return ClientLoginState(blinded=blinded, keyshare=keyshare, ke1=ke1)


def login_finish(
    state: ClientLoginState,
    data: bytes,
    *,
    identities: Identities,
    context: bytes,
    stretch: Stretch,
    server_public_key: bytes | None = None,
) -> LoginResult:
    """Check KE2 and answer it (sections 6.3.3 and 6.4.3). AuthenticationFailed for anything that is wrong.

    `server_public_key`, when given, is the one the envelope has to name.
    """
    try:
        ke2 = KE2.from_bytes(data)
        return _finish(state, ke2, identities, context, stretch, server_public_key)
    except ProtocolError:
        raise AuthenticationFailed from None


def _finish(
    state: ClientLoginState,
    ke2: KE2,
    identities: Identities,
    context: bytes,
    stretch: Stretch,
    expected_public: bytes | None,
) -> LoginResult:
    randomized = randomize(oprf.finalize(state.blinded, ke2.evaluated), stretch)
    unmasked = mask(masking_key(randomized), ke2.masking_nonce, ke2.masked_response)
    server_public, envelope = split(unmasked, "the unmasked response", ELEMENT, len(unmasked) - ELEMENT)
    opened = recover(randomized, envelope, server_public, identities)
    if expected_public is not None and not hmac.compare_digest(server_public, expected_public):
        raise AuthenticationFailed
    transcript = preamble(
        context=context,
        client=identities.client if identities.client is not None else opened.client_public_key,
        ke1=state.ke1,
        server=identities.server if identities.server is not None else server_public,
        ke2=ke2,
    )
    keys = session_keys(_shared(state, opened, ke2, server_public), transcript)
    if not hmac.compare_digest(keys.server_mac, ke2.server_mac):
        raise AuthenticationFailed
    return LoginResult(ke3=keys.client_mac, session_key=keys.session_key, export_key=opened.export_key)


def _shared(state: ClientLoginState, opened: Opened, ke2: KE2, server_public: bytes) -> bytes:
    server_ephemeral, server_static = check_point(ke2.server_keyshare), check_point(server_public)
    dh1 = state.keyshare.times(server_ephemeral)
    dh2 = state.keyshare.times(server_static)
    dh3 = opened.client_key.times(server_ephemeral)
    return encode(dh1) + encode(dh2) + encode(dh3)
