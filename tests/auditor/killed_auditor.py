"""An auditor that is killed before one of its durable steps: python killed_auditor.py DIRECTORY STEP sign|publish FILES

Prints the number of durable steps when it comes to the end.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

from hsm_app.auditor import auditor, log_directory, namespaces, plexi
from hsm_app.durable import replace_file

step, done = int(sys.argv[2]), 0


def counted(path: Path, data: bytes, mode: int = 0o644) -> None:
    global done
    if done == step:
        os.kill(os.getpid(), signal.SIGKILL)
    done += 1
    replace_file(path, data, mode)


for module in (auditor, log_directory, namespaces, plexi):
    module.replace_file = counted  # type: ignore[attr-defined]
now = int(time.time())
opened = auditor.Auditor(Path(sys.argv[1]), now)
files = [Path(name).read_bytes() for name in sys.argv[4:]]
if sys.argv[3] == "sign":
    opened.sign(opened.propose(files[0], now))
else:
    opened.publish(files[0], files[1], now)
print(done)
