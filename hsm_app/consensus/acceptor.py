"""The acceptor: what one replica promises and accepts for one record (CASPaxos, Rystsov 2018, section 2.2).

The rules, and why they are exact:

- *Prepare(b)* is promised only when b is greater than every ballot seen. Promising at equality would let two proposers
  that ended up with one ballot both believe that they own it.
- *Accept(b, v, next)* is accepted when b is not less than the promise, and promises `next` at once: the prepare of the
  proposer's following write, so that it needs one round trip only.
- A duplicate of the accept that is held is acknowledged again, whatever was promised since: that it was accepted is
  a fact, and the first acknowledgement may have been lost. Another value under the held ballot is refused.

Both functions are pure. They return the slot to make durable *before* the reply leaves, or None when nothing changed.
"""

from __future__ import annotations

from dataclasses import dataclass

from hsm_app.consensus.ballot import ZERO, Ballot


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """One record at one replica: the highest ballot promised, the one accepted last, and its (sealed) value."""

    promised: Ballot
    accepted: Ballot
    value: bytes


EMPTY = Slot(promised=ZERO, accepted=ZERO, value=b"")


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepare:
    """The first round's question: promise to accept nothing below `ballot`, and tell what was accepted."""

    ballot: Ballot


@dataclass(frozen=True, slots=True, kw_only=True)
class Accept:
    """The second round's question: accept `value` under `ballot`, and promise the proposer's later ballot `next`."""

    ballot: Ballot
    value: bytes
    next: Ballot


@dataclass(frozen=True, slots=True, kw_only=True)
class PrepareReply:
    """`granted` with the ballot accepted last and its value; or not, with `seen`, the ballot to exceed."""

    granted: bool
    seen: Ballot
    accepted: Ballot
    value: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptReply:
    """`granted`; or not, with `seen`, the ballot to exceed."""

    granted: bool
    seen: Ballot


def prepare(slot: Slot, ballot: Ballot) -> tuple[Slot | None, PrepareReply]:
    """Answer Prepare(ballot)."""
    seen = max(slot.promised, slot.accepted)
    if ballot <= seen:
        return None, PrepareReply(granted=False, seen=seen, accepted=ZERO, value=b"")
    promised = Slot(promised=ballot, accepted=slot.accepted, value=slot.value)
    return promised, PrepareReply(granted=True, seen=ballot, accepted=slot.accepted, value=slot.value)


def accept(slot: Slot, ballot: Ballot, value: bytes, next_ballot: Ballot) -> tuple[Slot | None, AcceptReply]:
    """Answer Accept(ballot, value, next_ballot)."""
    seen = max(slot.promised, slot.accepted)
    if ballot == slot.accepted:
        return None, AcceptReply(granted=ballot != ZERO and value == slot.value, seen=seen)
    if ballot < seen:
        return None, AcceptReply(granted=False, seen=seen)
    promised = max(ballot, next_ballot)
    return Slot(promised=promised, accepted=ballot, value=value), AcceptReply(granted=True, seen=promised)
