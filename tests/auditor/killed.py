"""A process that appends to a log and is killed at one point between two durable steps.

    python killed.py DIRECTORY STEP FIRST COUNT

Before durable step number STEP it ends by SIGKILL. Entries are b"FIRST", b"FIRST+1" and so on. Prints how many durable
steps it did, when it comes to the end.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from hsm_app.auditor import log_directory
from hsm_app.durable import replace_file
from tests.tlog.keys import LOG, private

step = int(sys.argv[2])
done = 0


def counted(path: Path, data: bytes, mode: int = 0o644) -> None:
    global done
    if done == step:
        os.kill(os.getpid(), signal.SIGKILL)
    done += 1
    replace_file(path, data, mode)


log_directory.replace_file = counted  # type: ignore[attr-defined]
log = log_directory.LogDirectory(Path(sys.argv[1]), LOG, private(1).sign)
first, count = int(sys.argv[3]), int(sys.argv[4])
log.publish(log.append([b"%d" % number for number in range(first, first + count)]))
print(done)
