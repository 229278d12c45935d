"""What a client asks and what a replica answers, as values. `wire.message_codec` holds their limits and encodings.

| request | carries | answered by |
|---|---|---|
| `RegisterStart` | blinded element | `RegisterStarted`: evaluated element, ticket |
| `RegisterFinish` | ticket, OPAQUE record, payload, owner's key | `RegisterFinished`; the record waits for `Activate` |
| `Activate` | registration id | `Activated`, or `Scheduled` when it replaces a record without the owner's signature |
| `RecoverStart` | KE1, attempt id | `RecoverStarted`: KE2, ticket; one attempt has been charged |
| `RecoverFinish` | ticket, KE3 | `Recovered`: payload and the log of failed attempts |
| `Delete` | | `Deleted`, or `Scheduled` without the owner's signature |
| `Cancel` | owner's signature | `Cancelled`: nothing is scheduled any more |
| `Status` | nonce | `StatusReport`, signed by the replica's token |

Any request may be answered by a `Refusal` of the same sealed length. Lengths are in bytes. The first message of an
operation carries the account token; the ticket carries its claims to the second.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

from hsm_app.model import AttemptId, RegistrationId


class Kind(IntEnum):
    """The kind byte of a sealed plaintext. Numbers are never used again for something else."""

    REGISTER_START = 1
    REGISTER_FINISH = 2
    ACTIVATE = 3
    RECOVER_START = 4
    RECOVER_FINISH = 5
    DELETE = 6
    CANCEL = 7
    STATUS = 8
    REGISTER_STARTED = 65
    REGISTER_FINISHED = 66
    ACTIVATED = 67
    SCHEDULED = 68
    RECOVER_STARTED = 69
    RECOVERED = 70
    DELETED = 71
    CANCELLED = 72
    STATUS_REPORT = 73
    REFUSAL = 127


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterStart:
    token: str = field(repr=False)
    name: str
    blinded: bytes  # 33


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterFinish:
    ticket: bytes = field(repr=False)
    registration_id: RegistrationId
    opaque_record: bytes = field(repr=False)  # 129
    payload: bytes = field(repr=False)
    owner_public_key: bytes  # 32, Ed25519


@dataclass(frozen=True, slots=True, kw_only=True)
class Activate:
    token: str = field(repr=False)
    name: str
    registration_id: RegistrationId
    owner_signature: bytes  # 64, or none


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoverStart:
    token: str = field(repr=False)
    name: str
    attempt_id: AttemptId
    ke1: bytes  # 98


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoverFinish:
    ticket: bytes = field(repr=False)
    ke3: bytes = field(repr=False)  # 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Delete:
    token: str = field(repr=False)
    name: str
    owner_signature: bytes  # 64, or none


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancel:
    token: str = field(repr=False)
    name: str
    owner_signature: bytes  # 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    token: str = field(repr=False)
    name: str
    nonce: bytes  # 32, the client's own, so that an old report is no answer


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterStarted:
    evaluated: bytes  # 33
    server_public_key: bytes  # 33
    ticket: bytes = field(repr=False)
    generation: int
    live: bool  # a record is live, so `Activate` needs the owner's signature or waits


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterFinished:
    generation: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Activated:
    generation: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Scheduled:
    due_at: int  # POSIX seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoverStarted:
    ke2: bytes  # 259
    ticket: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One entry of a record's log: `kind` is the vault's number for it, `at` POSIX seconds."""

    kind: int
    at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovered:
    payload: bytes = field(repr=False)
    generation: int
    events: tuple[Event, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Deleted:
    generation: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancelled:
    generation: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusReport:
    """`signed` is a status body (`wire.status`), `signature` raw r || s by the identity key of `replica`."""

    replica: int
    signed: bytes
    signature: bytes  # 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """An error on its way to the client; `wire.refusal` maps both ways. `retry_after` is in seconds."""

    family: int
    reason: int
    text: str
    attempts_left: int | None = None
    retry_after: int | None = None


ClientRequest = RegisterStart | RegisterFinish | Activate | RecoverStart | RecoverFinish | Delete | Cancel | Status
Answer = (
    RegisterStarted
    | RegisterFinished
    | Activated
    | Scheduled
    | RecoverStarted
    | Recovered
    | Deleted
    | Cancelled
    | StatusReport
    | Refusal
)
