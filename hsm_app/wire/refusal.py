"""Errors as sealed refusals, and back: the client raises what the replica raised.

A refusal for the client's own fault or by policy carries its text. What goes wrong inside a replica (its token, store
or configuration) is told as a fixed sentence: paths and device texts are for the operator's log only.
"""

from __future__ import annotations

from enum import IntEnum
from typing import NoReturn

from hsm_app.errors import (
    ConfigError,
    Denied,
    DenyReason,
    ProtocolError,
    QuorumError,
    StoreError,
    TokenError,
    VaultError,
)
from hsm_app.wire.message_codec import TEXT_LIMIT
from hsm_app.wire.messages import Refusal


class Family(IntEnum):
    """The wire code of each family of errors that a replica may answer with."""

    PROTOCOL = 1
    DENIED = 2
    TOKEN = 3
    QUORUM = 4
    STORE = 5
    CONFIG = 6


AMBIGUOUS = 1  # the reason of a QuorumError whose request may have taken effect
_INSIDE: dict[Family, tuple[type[VaultError], str]] = {
    Family.TOKEN: (TokenError, "the replica's token does not work"),
    Family.STORE: (StoreError, "the replica's store does not work"),
    Family.CONFIG: (ConfigError, "the replica is not set up rightly"),
}
_NEXT = "Try again in a while; if it stays so, tell the fleet's operator"


def refusal_from(error: VaultError) -> Refusal:
    """Return the refusal that tells a client about `error`. TypeError for a family that no replica raises."""
    if isinstance(error, Denied):
        return Refusal(
            family=Family.DENIED,
            reason=error.reason,
            text=_fitting(error),
            attempts_left=error.attempts_left,
            retry_after=error.retry_after,
        )
    if isinstance(error, QuorumError):
        return Refusal(family=Family.QUORUM, reason=AMBIGUOUS if error.ambiguous else 0, text=_fitting(error))
    if isinstance(error, ProtocolError):
        return Refusal(family=Family.PROTOCOL, reason=0, text=_fitting(error))
    for family, (inside, text) in _INSIDE.items():
        if isinstance(error, inside):
            return Refusal(family=family, reason=0, text=text)
    raise TypeError(f"a replica does not answer with {type(error).__name__}")


def _fitting(error: VaultError) -> str:
    return str(error).encode()[:TEXT_LIMIT].decode(errors="ignore") or type(error).__name__


def raise_refusal(refusal: Refusal) -> NoReturn:
    """Raise the error that `refusal` tells of. ProtocolError when this version does not know its code."""
    match refusal.family:
        case Family.DENIED if refusal.reason in set(DenyReason):
            raise Denied(
                DenyReason(refusal.reason),
                refusal.text,
                attempts_left=refusal.attempts_left,
                retry_after=refusal.retry_after,
            )
        case Family.QUORUM if refusal.reason in (0, AMBIGUOUS):
            raise QuorumError(refusal.text, ambiguous=refusal.reason == AMBIGUOUS)
        case Family.PROTOCOL if refusal.reason == 0:
            raise ProtocolError(refusal.text)
        case Family.TOKEN | Family.STORE | Family.CONFIG if refusal.reason == 0:
            raise _INSIDE[Family(refusal.family)][0](refusal.text, _NEXT)
        case _:
            raise ProtocolError(f"refused for a reason this version does not know: {refusal.text}", "Update the client")
