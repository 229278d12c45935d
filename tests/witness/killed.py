"""A witness that is killed before or after the one durable step of an answer.

python killed.py DIRECTORY before|after < REQUEST
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from hsm_app.durable import replace_file
from hsm_app.witness import state
from tests.tlog.keys import LOG, NOW, ORIGIN, WITNESSES, private


def dying(path: Path, data: bytes) -> None:
    if sys.argv[2] == "after":
        replace_file(path, data)
    os.kill(os.getpid(), signal.SIGKILL)


state.replace_file = dying  # type: ignore[attr-defined]
witness = state.Witness(Path(sys.argv[1]), WITNESSES[0], private(10).sign, {ORIGIN: LOG})
witness.add_checkpoint(sys.stdin.buffer.read(), NOW)
