"""A witness over HTTP: `POST /add-checkpoint`, and `GET /<hash of an origin>/checkpoint` for monitors."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable

from hsm_app.errors import LogError, StoreError
from hsm_app.net.http import Reply
from hsm_app.tlog.witness_exchange import BAD_REQUEST, CONFLICT, PATH, SIZE_TYPE
from hsm_app.witness.state import Witness

_MONITORED = re.compile(r"/([0-9a-f]{64})/checkpoint")
TEXT = {"Content-Type": "text/plain; charset=utf-8"}
log = logging.getLogger(__name__)


def answering(witness: Witness, now: Callable[[], int]) -> Callable[[str, str, bytes], Reply]:
    """Return what answers a request by method, path and body."""

    def answer(method: str, path: str, body: bytes) -> Reply:
        monitored = _MONITORED.fullmatch(path)
        if method == "GET" and monitored:
            note = witness.by_hash(monitored[1])
            return Reply(404) if note is None else Reply(200, note, TEXT)
        if (method, path) != ("POST", PATH):
            return Reply(404)
        try:
            decision, said = witness.add_checkpoint(body, now())
        except LogError as error:
            return Reply(BAD_REQUEST, f"{error.what}\n".encode(), TEXT)
        except StoreError as error:
            log.error("%s", error)
            return Reply(500)
        if decision.status == CONFLICT:
            return Reply(CONFLICT, said, {"Content-Type": SIZE_TYPE})
        return Reply(decision.status, said or f"{decision.why}\n".encode(), TEXT)

    return answer
