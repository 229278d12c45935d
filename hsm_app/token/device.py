"""python-pkcs11's exceptions, one class per CKR code, become a TokenError with a next step.

They are caught here; only `location` and `module` know of single ones that mean something special to them.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import NoReturn, ParamSpec, TypeVar

from pkcs11 import exceptions as ck

from hsm_app.errors import TokenError

P = ParamSpec("P")
T = TypeVar("T")

GONE = "Check that the device is connected (for SoftHSM: that its token directory exists), then restart this program"
LOOK = "Read the module's own log; `hsm-vault token probe` shows whether the device still does what it should"
NEXT_STEPS: dict[type[ck.PKCS11Error], str] = {
    ck.PinIncorrect: "Check where the PIN comes from; a device may lock itself after a few wrong PINs",
    ck.PinLocked: "The security officer has to set a new user PIN (C_InitPIN); wrong PINs were tried too often",
    ck.PinExpired: "The security officer has to set a new user PIN",
    ck.PinInvalid: "Choose a PIN with characters that the device accepts",
    ck.PinLenRange: "Choose a PIN of a length that the device accepts",
    ck.UserPinNotInitialized: "The security officer has to set the user PIN first",
    ck.DeviceRemoved: GONE,
    ck.TokenNotPresent: GONE,
    ck.TokenNotRecognised: GONE,
    ck.SessionHandleInvalid: GONE,
    ck.ObjectHandleInvalid: GONE,
    ck.KeyHandleInvalid: GONE,
    ck.WrappingKeyHandleInvalid: GONE,
    ck.UnwrappingKeyHandleInvalid: GONE,
    ck.UserNotLoggedIn: GONE,
    ck.DeviceError: GONE,
    ck.GeneralError: "Check that the device is connected, and that what it was given is whole; then read its log",
    ck.DeviceMemory: "The device is full: look at it with `hsm-vault token probe`, and remove foreign objects",
    ck.SessionCount: "Another program holds all of the device's sessions: stop it",
    ck.TokenWriteProtected: "Remove the write protection",
    ck.SessionReadOnly: "Remove the write protection",
    ck.MechanismInvalid: "Run `hsm-vault token probe` to see what this device lacks",
    ck.MechanismParamInvalid: "Run `hsm-vault token probe` to see what this device lacks",
    ck.AttributeTypeInvalid: "Run `hsm-vault token probe` to see what this device lacks",
    ck.TemplateInconsistent: "Run `hsm-vault token probe` to see what this device lacks",
}
UNMAPPED = {"0x1b": "CKR_ACTION_PROHIBITED"}  # codes of PKCS#11 v2.40 that the library does not know by name


def code_of(error: ck.PKCS11Error) -> str:
    """Return the PKCS#11 name of an error: PinIncorrect is CKR_PIN_INCORRECT."""
    if type(error) is ck.PKCS11Error:
        return UNMAPPED.get(str(error).rpartition(" ")[2], str(error) or "an error without a code")
    return "CKR_" + re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", type(error).__name__).upper()


def refuse(doing: str, error: ck.PKCS11Error) -> NoReturn:
    """Raise the TokenError for what the device answered while `doing`."""
    raise TokenError(f"the token failed to {doing}: {code_of(error)}", NEXT_STEPS.get(type(error), LOOK)) from error


def device_call(doing: str) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Decorate a function that talks to the device; `doing` completes "the token failed to ..."."""

    def decorate(function: Callable[P, T]) -> Callable[P, T]:
        @functools.wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> T:
            try:
                return function(*args, **kwargs)
            except ck.PKCS11Error as error:
                refuse(doing, error)

        return call

    return decorate


def refusal(call: Callable[[], object]) -> str | None:
    """Return the code with which the device refused `call`, or None when it did as it was told."""
    try:
        call()
    except ck.PKCS11Error as error:
        return code_of(error)
    return None
