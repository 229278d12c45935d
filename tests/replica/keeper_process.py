"""A process with a keeper on a real SQLite file and a real SoftHSM token, which stops at a point that a test names.

It says on its standard output what it does: `boot N`, `holds K` (the batch its record is at), `answered K` for each of
its batches, `at POINT` when it has come there; then it waits to be killed. It ends by itself after `BATCHES` batches.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pkcs11 import Session

from hsm_app.consensus.acceptor import Accept
from hsm_app.consensus.ballot import Ballot
from hsm_app.errors import VaultError
from hsm_app.model import RecordId
from hsm_app.ports import Batch
from hsm_app.replica.keeper import Question, VoteKeeper
from hsm_app.store.owner import StoreOwner
from hsm_app.store.sqlite import SqliteStore
from hsm_app.token.anchor import TokenAnchor
from hsm_app.token.location import TokenLocation, find_token, load_module, login
from hsm_app.token.mapper import TemplateMapper
from hsm_app.token.owner import TokenOwner
from hsm_app.token.pin import Pin
from tests.replica.memory_store import IDENTITY
from tests.token.fresh import USER_PIN, softhsm

BATCHES = 3
RECORD = RecordId(b"r" * 32)


class Stops:
    """Stops the process at the `turn`-th time that it comes to `point`."""

    def __init__(self, point: str, turn: int) -> None:
        self._point, self._turn = point, turn

    def at(self, point: str) -> None:
        if point == self._point:
            self._turn -= 1
            if self._turn == 0:
                print(f"at {point}", flush=True)
                sys.stdin.read()

    def around(self, point: str, call: Callable[[], Any]) -> None:
        self.at(f"before {point}")
        call()
        self.at(f"after {point}")


class StoppingStore(SqliteStore):
    def __init__(self, path: Path, stops: Stops) -> None:
        super().__init__(path, StoreOwner(fleet=IDENTITY.fleet, replica=IDENTITY.replica))
        self._stops = stops

    def commit(self, batch: Batch) -> None:
        self._stops.around("commit", lambda: super(StoppingStore, self).commit(batch))

    def undo(self) -> None:
        self._stops.around("undo", super().undo)


class StoppingAnchor(TokenAnchor):
    stops: Stops

    def _create(self, content: bytes) -> None:
        self.stops.around("create", lambda: super(StoppingAnchor, self)._create(content))

    def _destroy(self, content: bytes) -> None:
        self.stops.around("destroy", lambda: super(StoppingAnchor, self)._destroy(content))


class BareToken:
    """A session of a token that needs no keys: the owner's token, as far as an anchor uses it."""

    def __init__(self, location: TokenLocation) -> None:
        self._module = load_module(location)
        mapper = TemplateMapper()
        self._session = login(find_token(self._module, location.label), Pin(USER_PIN), mapper)
        mapper.leave_objects_plain()  # as a replica's token has it

    def in_session(self, job: Callable[[Session], Any]) -> Any:
        return job(self._session)

    def between_jobs(self) -> None:
        """Nothing is recycled here."""

    def close(self) -> None:
        self._module.close()


def open_anchor(location: TokenLocation) -> tuple[TokenOwner, StoppingAnchor]:
    owner = TokenOwner.start(lambda: BareToken(location))  # type: ignore[arg-type,return-value]
    return owner, StoppingAnchor(owner, location)


def vote(keeper: VoteKeeper, batch: int) -> None:
    ballot = Ballot(batch, 1, 1, keeper.boot)
    accepted = keeper.vote([Question(RECORD, Accept(ballot=ballot, value=b"batch %d" % batch, next=ballot))])
    # One string, one write: a kill cannot tear the number off, not even from an unbuffered output.
    print(f"answered {batch if accepted[0].granted else 'no'}", flush=True)


def main(directory: Path, store: Path, point: str, turn: int) -> None:
    location = TokenLocation(module=softhsm(), label="test", softhsm2_conf=directory / "softhsm2.conf")
    _, anchor = open_anchor(location)
    anchor.stops = Stops(point, turn)
    keeper = VoteKeeper.open(StoppingStore(store, anchor.stops), anchor, IDENTITY)
    print("boot", keeper.boot, flush=True)
    slot = keeper.slots([RECORD]).get(RECORD)
    held = slot.accepted.counter if slot is not None else 0
    print("holds", held, flush=True)
    for batch in range(held + 1, held + 1 + BATCHES):
        vote(keeper, batch)


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], int(sys.argv[4]))
    except VaultError as error:
        print("refused", error, flush=True)
