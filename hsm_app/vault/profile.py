"""The OPAQUE profile: what this vault puts where RFC 9807 leaves a choice. Both sides and foreign clients follow it.

| RFC 9807 | here |
|---|---|
| suite | OPAQUE-3DH, P256-SHA256, HKDF-SHA256, HMAC-SHA256 |
| context | `hsm-vault-v1`: the protocol version |
| client identity | netstring of tenant, account and record name |
| server identity | the fleet id |
| password | netstring of fleet id, client identity and the normalised code |
| KSF | Argon2id (RFC 9106), salt 16 zero bytes, 32 bytes out, costs of the manifest |

The identities are in the password, hence in the OPRF input: an answer under another fleet or record says nothing about
the code. All of it is text, so that clients whose OPAQUE library takes text can say it. The salt is fixed, since what
is stretched is already unique to the record (RFC 9807 section 7).

A code is normalised by the OpaqueString profile (RFC 8265 section 4.2): other spaces become U+0020, then Unicode form
C; case stays. Control characters and unassigned code points are refused, so a code that one Unicode version accepts
stays the same in all later ones.
"""

from __future__ import annotations

from collections.abc import Callable

from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from precis_i18n import get_profile

from hsm_app.errors import ConfigError
from hsm_app.fleet.manifest import Argon2Costs
from hsm_app.model import FleetId, Subject, netstring

CONTEXT = b"hsm-vault-v1"
CODE_LIMIT = 256  # characters
_OPAQUE_STRING = get_profile("OpaqueString")


class CodeError(ConfigError):
    """A code that cannot be one. Found on the device, before any attempt is spent; never quotes the code."""


def client_identity(subject: Subject) -> bytes:
    return subject.text().encode()


def server_identity(fleet: FleetId) -> bytes:
    return fleet.encode()


def oprf_input(code: str, *, subject: Subject, fleet: FleetId) -> bytes:
    """Return the OPAQUE password: UTF-8 text. `code` is normalised (`normalise` or `recovery_code`)."""
    return netstring(fleet, subject.text(), code).encode()


def normalise(code: str) -> str:
    """Return the OpaqueString of a code (RFC 8265 section 4.2.2). CodeError when it has none."""
    if len(code) > CODE_LIMIT:
        raise CodeError(f"the code has more than {CODE_LIMIT} characters", "Enter a shorter code")
    if not code:
        raise CodeError("the code is empty", "Enter the recovery code")
    try:
        return _OPAQUE_STRING.enforce(code)
    except UnicodeEncodeError as error:
        where = error.start + 1
    # Outside the handler: the library's exception holds the code.
    raise CodeError(
        f"character {where} of the code cannot be part of one", "Leave out control and invisible characters"
    )


def stretch(costs: Argon2Costs) -> Callable[[bytes], bytes]:
    """Return the key stretching function: any bytes to 32. It takes the time and memory that `costs` demand."""

    def ksf(message: bytes) -> bytes:
        return Argon2id(
            salt=bytes(16),
            length=32,
            iterations=costs.iterations,
            lanes=costs.lanes,
            memory_cost=costs.memory_kib,
        ).derive(message)

    return ksf
