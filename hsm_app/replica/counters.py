"""What a replica has done since its start, as one line in its log whenever it gets SIGUSR1.

    counters {"votes": 5120, "anchors": 201, "batches": [3, 0, 12, ...], "one_round": 880, ...}

`votes.VoteStats` and `register.RegisterStats` say what the numbers are. They are counts only, and name no record.
"""

from __future__ import annotations

import asyncio
import json
import logging
import signal
from collections.abc import Callable
from dataclasses import asdict

from hsm_app.replica.register import Register
from hsm_app.replica.votes import VoteWorker

log = logging.getLogger(__name__)


def tell_when_asked(worker: VoteWorker, register: Register) -> Callable[[], object]:
    """Answer SIGUSR1 with a line of counters, from now on. Return what ends that. Called on the main thread's loop."""
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(
        signal.SIGUSR1, lambda: log.info("counters %s", json.dumps({**asdict(worker.stats), **asdict(register.stats)}))
    )
    return lambda: loop.remove_signal_handler(signal.SIGUSR1)
