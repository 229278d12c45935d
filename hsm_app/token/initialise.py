"""Initialise a token: C_InitToken, then the user PIN set by the security officer (PKCS#11 v3.0, sections 5.5.7, 5.5.8).

python-pkcs11 offers no C_InitToken, and vendors' tools want PINs on their command lines, where every user of the
machine can read them. So the module, which is loaded already, is called through its function list.
"""

from __future__ import annotations

import ctypes
from pathlib import Path

from pkcs11 import TokenFlag

from hsm_app.errors import TokenError
from hsm_app.token.device import device_call
from hsm_app.token.location import TokenLocation, load_module, login_officer, tokens_of
from hsm_app.token.module import Module

LABEL_BYTES = 32  # CK_TOKEN_INFO: padded with blanks, not terminated
_INIT_TOKEN = 9  # position in CK_FUNCTION_LIST, which starts with the version (section 3.6)
_OK = 0


class _FunctionList(ctypes.Structure):
    _fields_ = (("version", ctypes.c_ubyte * 2), ("functions", ctypes.c_void_p * 68))


_InitToken = ctypes.CFUNCTYPE(ctypes.c_ulong, ctypes.c_ulong, ctypes.c_char_p, ctypes.c_ulong, ctypes.c_char_p)


def initialise_token(location: TokenLocation, so_pin: str, user_pin: str) -> None:
    """Initialise the first uninitialised token and name it as in `location`. Never touches an initialised one.

    Raises TokenError when there is none, or when a token has that label already.
    """
    label = location.label.encode()
    if not 0 < len(label) <= LABEL_BYTES:
        raise TokenError(f"{location.label!r} is no token label", f"Use 1 to {LABEL_BYTES} bytes")
    module = load_module(location)
    try:
        slot = _free_slot(module, location.label)
        _init_token(location.module, slot, so_pin.encode(), label.ljust(LABEL_BYTES))
        _set_user_pin(module, location.label, so_pin, user_pin)
    finally:
        module.close()


def _free_slot(module: Module, label: str) -> int:
    tokens = tokens_of(module)
    if any(token.label == label for token in tokens if token.flags & TokenFlag.TOKEN_INITIALIZED):
        raise TokenError(f"there is a token {label!r} already", "Choose another label; a token is never overwritten")
    free = [token.slot.slot_id for token in tokens if not token.flags & TokenFlag.TOKEN_INITIALIZED]
    if not free:
        raise TokenError("every token of this module is initialised", "Insert a blank token")
    return free[0]


def _init_token(path: Path, slot: int, so_pin: bytes, label: bytes) -> None:
    functions = ctypes.POINTER(_FunctionList)()
    answer = ctypes.CDLL(str(path)).C_GetFunctionList(ctypes.byref(functions))
    if answer == _OK:
        answer = _InitToken(functions.contents.functions[_INIT_TOKEN])(slot, so_pin, len(so_pin), label)
    if answer != _OK:
        raise TokenError(
            f"the token failed to initialise itself: error 0x{answer:x}",
            "Check that its directory is writable (SoftHSM) and that the SO PIN has 4 to 255 characters",
        )


@device_call("set its user PIN")
def _set_user_pin(module: Module, label: str, so_pin: str, user_pin: str) -> None:
    for token in tokens_of(module):
        if token.label == label:
            session = login_officer(token, so_pin)
            session.init_pin(user_pin)
            session.close()
            return
    raise TokenError(f"the token {label!r} is gone after its initialisation", "Look at the module's own log")
