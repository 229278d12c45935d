"""The owner's key: it lets a device that registered or recovered act at once, where others wait for a delay.

An account token alone must not destroy a backup. So a registration stores an Ed25519 public key (RFC 8032) whose
private half comes from the OPAQUE export key, and replacing, deleting or cancelling needs its signature over an
`OwnerStatement`. The statement names fleet, subject, action, generation and registration, so a captured signature is
good for nothing else, and for nothing after the next generation.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from hsm_app.errors import Denied, DenyReason
from hsm_app.model import FleetId, RegistrationId, Subject, netstring

KEY_LABEL = b"hsm-vault/owner-key/v1"
STATEMENT_DOMAIN = "hsm-vault/owner-statement/v1"
NO_REGISTRATION = RegistrationId(bytes(16))  # delete and cancel are about no registration


class Action(IntEnum):
    """What the owner signs for. ACTIVATE and DELETE are also what may be scheduled without a signature."""

    ACTIVATE = 1
    DELETE = 2
    CANCEL = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnerStatement:
    """`generation` is the live record's. `registration_id` is the one to activate, or `NO_REGISTRATION`."""

    fleet: FleetId
    subject: Subject
    action: Action
    generation: int
    registration_id: RegistrationId = NO_REGISTRATION

    def to_bytes(self) -> bytes:
        """Return the bytes that are signed."""
        parts = (STATEMENT_DOMAIN, self.fleet, self.subject.text(), self.action.name, str(self.generation))
        return netstring(*parts, self.registration_id.hex()).encode()


def _key(export_key: bytes) -> Ed25519PrivateKey:
    seed = HKDF(algorithm=SHA256(), length=32, salt=None, info=KEY_LABEL).derive(export_key)
    return Ed25519PrivateKey.from_private_bytes(seed)


def owner_public_key(export_key: bytes) -> bytes:
    """Return the 32 bytes that a registration stores. `export_key`: 32 bytes, of that registration."""
    return _key(export_key).public_key().public_bytes_raw()


def sign(export_key: bytes, statement: OwnerStatement) -> bytes:
    """Return 64 bytes. `export_key` is that of the registration that is live."""
    return _key(export_key).sign(statement.to_bytes())


def verify(public_key: bytes, statement: OwnerStatement, signature: bytes) -> None:
    """Denied(OWNER_REQUIRED) unless `signature` is the owner's, over exactly this statement."""
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, statement.to_bytes())
    except (InvalidSignature, ValueError):
        raise Denied(
            DenyReason.OWNER_REQUIRED,
            "the owner's signature is not valid for this record",
            "Ask for the record's status, and sign again for its present generation",
        ) from None


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnerClaim:
    """What a request says about the owner: the subject it names, and 64 bytes of signature or none."""

    fleet: FleetId
    subject: Subject
    signature: bytes = field(repr=False)

    def proves(
        self, public_key: bytes, action: Action, generation: int, registration_id: RegistrationId = NO_REGISTRATION
    ) -> bool:
        """Return whether the owner signed. A signature that is given and wrong is Denied(OWNER_REQUIRED), not False.

        VAULT-OWNER-SIGNS: the statement is put together here, from the live record's own key and generation.
        """
        if not self.signature:
            return False
        statement = OwnerStatement(
            fleet=self.fleet,
            subject=self.subject,
            action=action,
            generation=generation,
            registration_id=registration_id,
        )
        verify(public_key, statement, self.signature)
        return True
