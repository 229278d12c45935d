"""The acceptor's rules as sentences: what it is asked, what it holds, what it answers and what it has to write."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from hsm_app.consensus.acceptor import EMPTY, AcceptReply, PrepareReply, Slot, accept, prepare
from hsm_app.consensus.ballot import ZERO, Ballot


def b(counter: int, replica: int = 1) -> Ballot:
    return Ballot(counter, replica, 1, 1)


def slot(promised: Ballot, accepted: Ballot = ZERO, value: bytes = b"") -> Slot:
    return Slot(promised=promised, accepted=accepted, value=value)


def refused(seen: Ballot) -> PrepareReply:
    return PrepareReply(granted=False, seen=seen, accepted=ZERO, value=b"")


def promise(ballot: Ballot, accepted: Ballot = ZERO, value: bytes = b"") -> PrepareReply:
    return PrepareReply(granted=True, seen=ballot, accepted=accepted, value=value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    held: Slot
    reply: PrepareReply | AcceptReply
    written: Slot | None = None


PREPARES = {
    "a first prepare is promised, and nothing was accepted": (
        b(1),
        Case(held=EMPTY, reply=promise(b(1)), written=slot(b(1))),
    ),
    "a higher prepare is promised and told what was accepted": (
        b(9),
        Case(held=slot(b(3), b(2), b"v"), reply=promise(b(9), b(2), b"v"), written=slot(b(9), b(2), b"v")),
    ),
    "the same counter of a higher replica is higher": (
        b(3, 2),
        Case(held=slot(b(3, 1)), reply=promise(b(3, 2)), written=slot(b(3, 2))),
    ),
    "an equal prepare is refused": (b(3), Case(held=slot(b(3)), reply=refused(b(3)))),
    "a lower prepare is refused and told what to exceed": (b(2), Case(held=slot(b(3)), reply=refused(b(3)))),
    "the same counter of a lower replica is refused": (b(3, 1), Case(held=slot(b(3, 2)), reply=refused(b(3, 2)))),
    "a prepare at the accepted ballot is refused, whatever was promised": (
        b(5),
        Case(held=slot(b(4), b(5), b"v"), reply=refused(b(5))),
    ),
    "the zero ballot is never promised": (ZERO, Case(held=EMPTY, reply=refused(ZERO))),
}
ACCEPTS = {
    "an accept at the promise is accepted and promises next at once": (
        (b(3), b"w", b(4)),
        Case(held=slot(b(3), b(2), b"v"), reply=AcceptReply(granted=True, seen=b(4)), written=slot(b(4), b(3), b"w")),
    ),
    "an accept above the promise is accepted, though its prepare never came": (
        (b(8), b"w", b(9)),
        Case(held=EMPTY, reply=AcceptReply(granted=True, seen=b(9)), written=slot(b(9), b(8), b"w")),
    ),
    "an accept below the promise is refused and told what to exceed": (
        (b(2), b"w", b(5)),
        Case(held=slot(b(3)), reply=AcceptReply(granted=False, seen=b(3))),
    ),
    "a duplicate of the accept that is held is acknowledged again and writes nothing": (
        (b(3), b"w", b(4)),
        Case(held=slot(b(4), b(3), b"w"), reply=AcceptReply(granted=True, seen=b(4))),
    ),
    "a duplicate is acknowledged again also after a higher promise": (
        (b(3), b"w", b(4)),
        Case(held=slot(b(9, 2), b(3), b"w"), reply=AcceptReply(granted=True, seen=b(9, 2))),
    ),
    "another value under the accepted ballot is refused": (
        (b(3), b"x", b(4)),
        Case(held=slot(b(4), b(3), b"w"), reply=AcceptReply(granted=False, seen=b(4))),
    ),
    "a late duplicate of an earlier accept is refused": (
        (b(2), b"v", b(3)),
        Case(held=slot(b(4), b(3), b"w"), reply=AcceptReply(granted=False, seen=b(4))),
    ),
    "an accept without a later next promises its own ballot": (
        (b(5), b"w", ZERO),
        Case(held=slot(b(3)), reply=AcceptReply(granted=True, seen=b(5)), written=slot(b(5), b(5), b"w")),
    ),
    "the zero ballot is never accepted": (
        (ZERO, b"", b(1)),
        Case(held=EMPTY, reply=AcceptReply(granted=False, seen=ZERO)),
    ),
}


@pytest.mark.parametrize(("ballot", "case"), PREPARES.values(), ids=PREPARES.keys())
def test_prepare(ballot: Ballot, case: Case) -> None:
    assert prepare(case.held, ballot) == (case.written, case.reply)


@pytest.mark.parametrize(("asked", "case"), ACCEPTS.values(), ids=ACCEPTS.keys())
def test_accept(asked: tuple[Ballot, bytes, Ballot], case: Case) -> None:
    assert accept(case.held, *asked) == (case.written, case.reply)
