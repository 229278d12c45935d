"""Ballots: the numbers that order all attempts to write one record (CASPaxos, Rystsov 2018, section 2.2).

A ballot is (counter, replica, incarnation, boot), compared in that order. No two attempts may ever carry the same one:
two values under one ballot would both count as chosen. Uniqueness rests on three facts: `boot` is raised durably before
a process issues its first ballot, a replica that lost its memory comes back under a higher `incarnation`, and within
one process `BallotSource` hands out each counter once, whatever the record.
"""

from __future__ import annotations

from struct import Struct
from typing import NamedTuple

from hsm_app.errors import ProtocolError

BALLOT_LENGTH = 20
COUNTER_LIMIT = 1 << 62  # far above any fleet's lifetime; room to add to it before the field overflows
_LAYOUT = Struct(">QIII")  # big-endian, so packed ballots sort as the tuples do


class Ballot(NamedTuple):
    """One attempt's number. `ZERO` is below every ballot that is issued: "nothing seen yet"."""

    counter: int
    replica: int
    incarnation: int
    boot: int

    def pack(self) -> bytes:
        """Return the 20-byte form: counter (8), replica, incarnation and boot (4 each), big-endian."""
        return _LAYOUT.pack(*self)

    @classmethod
    def unpack(cls, data: bytes) -> Ballot:
        """Read the 20-byte form. ProtocolError when it is none."""
        if len(data) != BALLOT_LENGTH:
            raise ProtocolError(f"a ballot has {BALLOT_LENGTH} bytes, not {len(data)}")
        ballot = cls._make(_LAYOUT.unpack(data))
        if ballot.counter >= COUNTER_LIMIT:
            raise ProtocolError("a ballot's counter is out of range")
        return ballot

    def next(self) -> Ballot:
        """Return the smallest greater ballot of the same replica, incarnation and boot."""
        return self._replace(counter=self.counter + 1)


ZERO = Ballot(0, 0, 0, 0)


class BallotSource:
    """Issues this process's ballots for all records: each greater than every one issued or observed before."""

    def __init__(self, *, replica: int, incarnation: int, boot: int) -> None:
        self._last = Ballot(0, replica, incarnation, boot)

    def issue(self) -> Ballot:
        """Return a ballot that this process has never returned before."""
        self._last = self._last.next()
        return self._last

    def observe(self, ballot: Ballot) -> None:
        """Note another's ballot, so that the next one issued exceeds it. Saves refusals; safety does not need it."""
        if ballot.counter > self._last.counter:
            self._last = self._last._replace(counter=ballot.counter)
