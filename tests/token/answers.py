"""Make a real, loaded module answer one call with an error of one's choice, for what SoftHSM never does by itself.

SoftHSM does not lock PINs and cannot be unplugged. Its function list lies in writable memory, so one entry is replaced
for the time of a test; everything else stays the device's own.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# Positions in CK_FUNCTION_LIST (PKCS#11 v3.0, section 3.6), and some answers.
GET_SLOT_LIST, GET_SLOT_INFO, OPEN_SESSION, LOGIN = 4, 5, 12, 18
PIN_LOCKED, PIN_EXPIRED, DEVICE_REMOVED, GENERAL_ERROR = 0xA4, 0xA3, 0x32, 0x05

_Answer = ctypes.CFUNCTYPE(ctypes.c_ulong, *(ctypes.c_void_p,) * 6)


class _FunctionList(ctypes.Structure):
    _fields_ = (("version", ctypes.c_ubyte * 2), ("functions", ctypes.c_void_p * 68))


@contextmanager
def answering(module: Path, position: int, code: int, times: int = 1_000_000) -> Iterator[list[int]]:
    """Let the function at `position` answer `code`, `times` times; then the device answers again. Yields the calls."""
    functions = ctypes.POINTER(_FunctionList)()
    assert ctypes.CDLL(str(module)).C_GetFunctionList(ctypes.byref(functions)) == 0
    entries = functions.contents.functions
    own = entries[position]
    calls: list[int] = []

    def answer(*arguments: int | None) -> int:
        calls.append(code)
        return code if len(calls) <= times else int(_Answer(own)(*arguments))

    replacement = _Answer(answer)
    entries[position] = ctypes.cast(replacement, ctypes.c_void_p).value
    try:
        yield calls
    finally:
        entries[position] = own
