"""A loaded PKCS#11 module. A process loads one, and one thread owns it.

python-pkcs11 calls C_Initialize without asking for locks, so two threads in one module crash SoftHSM; and closing the
session that logged in logs out every session of the process. Hence `Module.load` refuses a second owner: programs that
need several tokens at once start a `TokenStation` for each.

SoftHSM reads SOFTHSM2_CONF when it is initialised, and releases the memory of session objects only when it is
finalised. So loading always initialises anew, and `reload` does the same in the middle of work.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pkcs11
from pkcs11 import exceptions as ck

from hsm_app.errors import TokenError
from hsm_app.token.device import code_of, device_call

if TYPE_CHECKING:
    from pkcs11._pkcs11 import lib

SOFTHSM2_CONF = "SOFTHSM2_CONF"
_owned: set[Path] = set()


class Module:
    """An initialised module, from `load` until `close`."""

    def __init__(self, path: Path, library: lib) -> None:
        self.path = path
        self.library = library

    @classmethod
    def load(cls, path: Path, softhsm2_conf: Path | None = None) -> Module:
        """Load and initialise. TokenError when the file is missing, is no PKCS#11 module, or has an owner already."""
        if not path.is_file():
            raise TokenError(
                f"there is no PKCS#11 module {path}",
                "Install the device's software (SoftHSM: softhsm2), or correct the path",
            )
        if path in _owned:
            raise TokenError(
                f"this process uses {path} already", "Use one token in a process, or a TokenStation for each"
            )
        if softhsm2_conf is not None:
            if not softhsm2_conf.is_file():
                raise TokenError(
                    f"there is no SoftHSM configuration {softhsm2_conf}", "Correct the path of softhsm2_conf"
                )
            os.environ[SOFTHSM2_CONF] = str(softhsm2_conf)
        library = _initialised(path)
        _owned.add(path)
        return cls(path, library)

    @device_call("start anew")
    def reload(self) -> None:
        """Finalise and initialise: every session and session object is gone, and so is the memory they held."""
        self.library.reinitialize()

    def close(self) -> None:
        """Finalise, if the device still answers, and give the module free."""
        _owned.discard(self.path)
        try:
            self.library.finalize()
        except ck.PKCS11Error:
            self.library.initialized = False


def _initialised(path: Path) -> lib:
    try:
        return pkcs11.lib(str(path))
    except ck.PKCS11Error as error:
        raise TokenError(
            f"{path} does not load as a PKCS#11 module: {code_of(error)}",
            "Check the path, and the module's own configuration",
        ) from error
