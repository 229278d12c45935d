"""Deliberate bugs, each of which the simulator has to find: a name, and a replacement of text in one function or more.

A text that no longer stands exactly once in its function is an error, so a mutant cannot fade away unnoticed. All but
one change the product's own code; the one that is about the token changes the simulated token, which stands for it.
"""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FunctionType
from typing import Any

from hsm_app.consensus import acceptor, proposer, sweep
from hsm_app.merkle.anchor import EMPTY_ROOT
from hsm_app.replica import anchors
from hsm_app.replica.keeper import VoteKeeper
from hsm_app.replica.register import Register
from hsm_app.replica.repair import Repair
from hsm_app.vault import recovery, registration
from hsm_app.wire import hello
from tests.simulation.disks import SimulatedAnchor
from tests.simulation.ledger import FoundError
from tests.simulation.runs import story_of
from tests.simulation.schedules import SCHEDULES
from tests.simulation.world import World

SEEDS = 400  # within which each is found

Change = tuple[Callable[..., Any], str, str]
WRONG_BALLOT = "Accept(ballot=chosen[record], value=value, next=chosen[record])"
OPEN = inspect.getattr_static(VoteKeeper, "open").__func__
RELEASE = "step = await self._advance(record, proposer, proposer.answer(change))"

MUTANTS: dict[str, tuple[Change, ...]] = {
    "evaluate before the charge is committed": (
        (
            Register._operate,
            RELEASE,
            "asyncio.ensure_future(self._advance(record, proposer, proposer.answer(change))); return outcome.result",
        ),
    ),
    "accept below the promise": ((acceptor.accept, "if ballot < seen:", "if ballot < slot.accepted:"),),
    "promise nothing at the accept": ((acceptor.accept, "max(ballot, next_ballot)", "ballot"),),
    "forget to persist the promise": (
        (
            VoteKeeper.vote,
            "slots[record] = changed[record] = slot",
            "slots[record] = slot; changed.update({record: slot} if isinstance(asked, Accept) else {})",
        ),
    ),
    "skip the write-back before a refusal": (
        (
            Register._operate,
            RELEASE,
            "if change is None and isinstance(getattr(outcome, 'result', None), Denied): return outcome.result\n"
            "        " + RELEASE,
        ),
    ),
    "answer a free retry from a value that only a minority holds": (
        (
            Register._operate,
            RELEASE,
            "if change is None and hasattr(outcome.result, 'sequence'): return outcome.result\n        " + RELEASE,
        ),
    ),
    "use one next twice after a time-out": (
        (proposer.HeldValues.take, "self._held.pop(record, None)", "self._held.get(record)"),
    ),
    "answer from the cache": (
        (proposer.Proposer.begin, "held.ballot, held.value, False", "held.ballot, held.value, True"),
    ),
    "take the first value instead of the highest": (
        (proposer.Poll.latest, "max(promises, key=lambda promise: promise.accepted)", "promises[0]"),
    ),
    "be content with less than a majority": ((proposer.Poll.__init__, "len(members) // 2 + 1", "len(members) // 2"),),
    "count one replica twice": ((proposer.Poll.hear, "or member in self._heard or", "or"),),
    "let a repeated finish refund again": (
        (recovery._succeed, "if attempt.outcome is AttemptOutcome.SUCCEEDED:", "if False:"),
        (
            recovery._succeed,
            "last_success=max(record.last_success, attempt.sequence)",
            "last_success=record.sequence if attempt.outcome is AttemptOutcome.SUCCEEDED"
            " else max(record.last_success, attempt.sequence)",
        ),
    ),
    "let a success give back later charges": (
        (recovery._succeed, "max(record.last_success, attempt.sequence)", "record.sequence"),
    ),
    'look for "none left" before the attempt id': (
        (recovery.start_recovery, "if known is not None:", "if known is not None and attempts_left(record) > 0:"),
    ),
    "take a second KE1 for one charge": ((recovery._known_attempt, "known.ke1_hash != ke1_hash", "False"),),
    "activate another device's registration": (
        (
            registration.activate,
            "record.pending is None or record.pending.registration_id != registration_id",
            "record.pending is None",
        ),
    ),
    "promise at equality and reuse a ballot after restart": (
        (acceptor.prepare, "if ballot <= seen:", "if ballot < seen:"),
        (OPEN, "boot=found.state.boot + 1", "boot=found.state.boot"),
    ),
    "answer before the old anchor is destroyed": (
        (SimulatedAnchor.replace, "self.destroy(old)", "self._objects[:] = [new]"),
    ),
    "ignore the anchor": (
        (anchors.check_counter, "if stored == 0 < anchored:", "return\n    if stored == 0 < anchored:"),
        (anchors.check_root, "if root != anchor.root:", "if False:"),
    ),
    "let a wiped store rejoin": (
        (anchors.check_counter, "if stored == 0 < anchored:", "if stored == 0: return\n    if stored == 0 < anchored:"),
        (
            anchors.check_root,
            "if root != anchor.root:",
            f"if root != anchor.root and root.hex() != '{EMPTY_ROOT.hex()}':",
        ),
    ),
    "anchor a batch before it is stored": (
        (VoteKeeper._write, "    self._store.commit(batch)\n", "    pass\n"),
        (VoteKeeper._write, "    self._anchored = new\n", "    self._store.commit(batch)\n    self._anchored = new\n"),
    ),
    "grow without the sweep": ((sweep.merge_pages, "records=tuple(sorted(listed))", "records=()"),),
    "talk to members of another epoch": (
        (hello.check_hello, "own.epoch != peer.epoch and", "False and"),
        (hello.check_hello, '("fleet", "group", "manifest_digest")', '("fleet", "group")'),
        (hello.check_hello, "peer.incarnation != members[peer.replica]", "False"),
        (hello.check_hello, "peer.replica not in members", "False"),
    ),
    "repair a value under the ballot that another one was chosen under": (
        (Repair._install, "Accept(ballot=accepted, value=value, next=accepted)", WRONG_BALLOT),
        (Repair._install, "if accepted == chosen[record]", "if True"),
    ),
    "forget the undo": ((OPEN, "store.undo()", "pass"),),
}


@contextmanager
def mutated(name: str) -> Iterator[None]:
    """Have the mutant of that name in place of the right code."""
    before: list[tuple[FunctionType, Any]] = []
    try:
        for function, source in _sources(name).items():
            before.append((function, function.__code__))
            function.__code__ = _compiled(function, source)
        yield
    finally:
        for function, code in before:
            function.__code__ = code


def _sources(name: str) -> dict[FunctionType, str]:
    sources: dict[FunctionType, str] = {}
    for function, right, wrong in MUTANTS[name]:
        assert isinstance(function, FunctionType)
        source = sources.get(function) or textwrap.dedent(inspect.getsource(function))
        if source.count(right) != 1:
            raise LookupError(f"{name}: {function.__name__} does not have this text once: {right}")
        sources[function] = source.replace(right, wrong)
    return sources


def _compiled(function: FunctionType, source: str) -> Any:
    names: dict[str, Any] = {}
    scope = dict(function.__globals__)
    exec("from __future__ import annotations\n" + source, scope, names)
    made = names[function.__name__]
    return getattr(made, "__func__", made).__code__


@dataclass(frozen=True, slots=True)
class Caught:
    """By which check, and how many seeds it took: none when a directed schedule found it."""

    check: str
    seeds: int
    story: str


def hunt(name: str, seeds: int = SEEDS) -> Caught | None:
    """Run the directed schedules and then seeds on a mutant until it is found. None when it survives."""
    with mutated(name):
        for number in range(-len(SCHEDULES), seeds):
            world = World(number) if number >= 0 else SCHEDULES[number]()
            try:
                world.run()
            except FoundError as found:
                return Caught(found.check, max(0, number + 1), story_of(world, found))
    return None
