"""Which token a program uses, and how it is found and opened. Each way that this can fail is its own TokenError."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pkcs11 import Session, Token, TokenFlag
from pkcs11 import exceptions as ck

from hsm_app.errors import TokenError
from hsm_app.token.device import GONE, device_call, refuse
from hsm_app.token.mapper import TemplateMapper
from hsm_app.token.module import Module
from hsm_app.token.pin import Pin

# SoftHSM answers CKR_GENERAL_ERROR to 3 % of logins that meet another process's login to the same token.
LOGIN_TRIES = 4
LOGIN_PAUSE = 0.05  # seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenLocation:
    """A token, by its module and label. `softhsm2_conf` is SoftHSM's configuration file, if the module is SoftHSM."""

    module: Path
    label: str
    softhsm2_conf: Path | None = None


def load_module(location: TokenLocation) -> Module:
    """Load the location's module. Raises TokenError."""
    return Module.load(location.module, location.softhsm2_conf)


@device_call("list its slots")
def tokens_of(module: Module) -> list[Token]:
    """Return the tokens that are present, initialised or not."""
    found = []
    for slot in module.library.get_slots(token_present=True):
        try:
            found.append(slot.get_token())
        except (ck.TokenNotPresent, ck.TokenNotRecognised):
            continue  # taken out since the slots were listed
    return found


def find_token(module: Module, label: str) -> Token:
    """Return the one initialised token with this label, its user PIN set and not locked. Raises TokenError."""
    tokens = tokens_of(module)
    initialised = [token for token in tokens if token.flags & TokenFlag.TOKEN_INITIALIZED]
    matching = [token for token in initialised if token.label == label]
    if not matching:
        raise TokenError(*_nothing_found(label, [token.label for token in initialised], len(tokens)))
    if len(matching) > 1:
        serials = ", ".join(token.serial.decode(errors="replace") for token in matching)
        raise TokenError(
            f"{len(matching)} tokens have the label {label!r} (serials {serials})", "Take out or relabel one"
        )
    token = matching[0]
    if not token.flags & TokenFlag.USER_PIN_INITIALIZED:
        raise TokenError(f"token {label!r} has no user PIN yet", "The security officer has to set the user PIN first")
    if token.flags & TokenFlag.USER_PIN_LOCKED:
        raise TokenError(f"the user PIN of token {label!r} is locked", "The security officer has to set a new user PIN")
    return token


def _nothing_found(label: str, others: list[str], present: int) -> tuple[str, str]:
    if others:
        return f"no token has the label {label!r}", f"Correct the label; there are: {', '.join(map(repr, others))}"
    if present:
        return (
            f"no token has the label {label!r}: the slot is uninitialised",
            "Initialise it, or name the device or the SOFTHSM2_CONF that has it",
        )
    return f"no token has the label {label!r}: no token is present", GONE


def login(token: Token, pin: Pin, mapper: TemplateMapper | None = None) -> Session:
    """Open a read-write session and log the user in. Raises TokenError."""
    return _open(token, mapper or TemplateMapper(), user_pin=pin.reveal())


def login_officer(token: Token, so_pin: str) -> Session:
    """Open a read-write session of the security officer; no other session may be open. Raises TokenError."""
    return _open(token, TemplateMapper(), so_pin=so_pin)


def _open(token: Token, mapper: TemplateMapper, *, user_pin: str | None = None, so_pin: str | None = None) -> Session:
    tries = 0
    while True:
        tries += 1
        try:
            return token.open(rw=True, attribute_mapper=mapper, user_pin=user_pin, so_pin=so_pin)
        except ck.PinIncorrect as error:
            raise TokenError(
                f"token {token.label!r} refused the PIN",
                "Check where the PIN comes from; a device may lock itself after a few wrong PINs",
            ) from error
        except ck.GeneralError as error:
            if tries == LOGIN_TRIES:
                refuse(f"log in to {token.label!r}", error)
            time.sleep(LOGIN_PAUSE)
        except ck.PKCS11Error as error:
            refuse(f"log in to {token.label!r}", error)


@contextmanager
def opened(location: TokenLocation, pin: Pin) -> Iterator[Session]:
    """Load the module, log in, and close everything at the end. Raises TokenError."""
    module = load_module(location)
    try:
        yield login(find_token(module, location.label), pin)
    finally:
        module.close()
