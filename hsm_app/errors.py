"""The families of errors. Each has a wire code and an exit code; anything else that escapes is a bug.

| family | whose fault | exit |
|---|---|---|
| `ConfigError` | a file or setting of this program | 3 |
| `ProtocolError` | the peer: bytes that are no message, or a message out of place | 4 |
| `TokenError` | the PKCS#11 device, its PIN or its contents | 6 |
| `QuorumError` | too few replicas answered, or the outcome is ambiguous | 7 |
| `StoreError` | the disk or database: full, read-only, corrupt | 8 |
| `BackupError` | a backup file or its target directory | 9 |
| `LogError` | a log, note, proof or signed bundle that does not hold | 10 |
| `Denied` | policy; one exit code for each `DenyReason` | 20 and up |

A check that fails raises; it never returns False. Messages name what happened and the next step, and hold no secret.
"""

from __future__ import annotations

from enum import IntEnum


class DenyReason(IntEnum):
    """Why policy refused a request. The value is the wire code; the exit code is 20 + value."""

    WRONG_CODE = 1  # wrong code, wrong MAC and malformed KE3 are one answer
    DESTROYED = 2
    NO_RECORD = 3
    RETRY_LATER = 4
    BAD_ACCOUNT_TOKEN = 5
    STALE = 6  # ticket expired, generation changed, attempt or registration id superseded
    OWNER_REQUIRED = 7  # the owner's signature is missing or wrong
    TENANT_LIMIT = 8
    ATTEMPT_REUSED = 9  # one attempt id with two different KE1


class VaultError(Exception):
    """Base of every error this project raises on purpose.

    `what` says what happened; `todo` says what to do next. Both are for people and hold no secret. `ambiguous` is True
    when what was asked for may have taken effect all the same; asking again with the same ids is safe.
    """

    exit_code = 1
    ambiguous = False

    def __init__(self, what: str, todo: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.todo = todo

    def __str__(self) -> str:
        return f"{self.what}. {self.todo}" if self.todo else self.what


class ConfigError(VaultError):
    exit_code = 3


class ProtocolError(VaultError):
    exit_code = 4


class TokenError(VaultError):
    exit_code = 6


class QuorumError(VaultError):
    exit_code = 7

    def __init__(self, what: str, todo: str = "", *, ambiguous: bool = False) -> None:
        super().__init__(what, todo)
        self.ambiguous = ambiguous


class StoreError(VaultError):
    exit_code = 8


class BackupError(VaultError):
    exit_code = 9


class LogError(VaultError):
    """`check` is the name of the check that failed, as `hsm-vault log verify` prints it."""

    exit_code = 10

    def __init__(self, check: str, what: str, todo: str = "") -> None:
        super().__init__(what, todo)
        self.check = check

    def __str__(self) -> str:
        return f"{self.check}: {super().__str__()}"


class Denied(VaultError):
    """A refusal by policy. `attempts_left` and `retry_after` (seconds) are None where they say nothing."""

    def __init__(
        self,
        reason: DenyReason,
        what: str,
        todo: str = "",
        *,
        attempts_left: int | None = None,
        retry_after: int | None = None,
    ) -> None:
        super().__init__(what, todo)
        self.reason = reason
        self.attempts_left = attempts_left
        self.retry_after = retry_after

    @property
    def exit_code(self) -> int:  # type: ignore[override]
        return 20 + int(self.reason)
