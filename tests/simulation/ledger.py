"""The checks: a ledger that sees every vote, evaluation, request and answer, and trusts none of the code it watches.

A value is *chosen* when a majority of an epoch's members has durably accepted it under one ballot. What is chosen may
be found out late, and in the middle; evaluations are held against charges, never against the time of their release
(a correct protocol releases eleven evaluations after a success that was delayed). The checks, by name:

- ONE_VALUE: no ballot has two values;
- NOTHING_LOST: of two chosen values, the one with the higher ballot descends from the other one;
- EVALUATION: when a key is used on a KE1, that KE1's charge is in a chosen value, under that key;
- COUNT: charges after the latest succeeded one never exceed the maximum, no number is given to two charges, only a
  right code succeeds, and under one key no more KE1 are evaluated than the maximum for each success;
- GENERATION: it never goes back, names one registration, and ends only by its owner's signature or a destruction;
- DESTRUCTION: only with all guesses used, by a new attempt or by a wrong code for the last charge;
- PAYLOAD: a right code gets what was registered for the generation, a wrong one nothing;
- REGISTER: all answers about a record are those of a single register (`linearizability`);
- RECOVERABLE, STARTS, ANSWERS, CRASHED: see `world`.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from hsm_app.consensus.ballot import ZERO, Ballot
from hsm_app.model import AttemptId, FleetId, RecordId
from hsm_app.vault.attempts import Attempt, AttemptOutcome, hash_ke1
from hsm_app.vault.record import Record, State
from hsm_app.vault.record_codec import decode_record
from hsm_app.vault.sealing import Purpose, Seal, nonce_of, unseal
from tests.simulation.linearizability import ROOT, Operation, linearizability_fault

ENTRY = 73  # bytes of one packed attempt; its id is the first field


class FoundError(Exception):
    """A check has failed: `check` is its name."""

    def __init__(self, check: str, what: str) -> None:
        super().__init__(f"{check}: {what}")
        self.check = check


class Charge(NamedTuple):
    attempt: bytes
    ke1_hash: bytes
    generation: int


@dataclass(slots=True)
class Asked:
    """What people have asked for, about one record, whether or not it was answered."""

    attempts: set[bytes] = field(default_factory=set)
    activations: set[bytes] = field(default_factory=set)  # registration ids
    signed: set[int] = field(default_factory=set)  # generations whose end an owner signed for
    proved: set[bytes] = field(default_factory=set)  # attempt ids for which a right code's KE3 was sent


@dataclass(slots=True)
class Line:
    """All that is known of one record."""

    accepted: dict[Ballot, tuple[bytes, int, set[int]]] = field(default_factory=dict)  # value, epoch, holders
    chosen: list[Ballot] = field(default_factory=list)  # ascending
    writers: dict[bytes, bytes] = field(default_factory=dict)  # version -> the one it was written on
    operations: list[Operation] = field(default_factory=list)
    charges: dict[int, Charge] = field(default_factory=dict)  # by sequence
    evaluable: set[tuple[bytes, bytes]] = field(default_factory=set)  # key blob and KE1 hash, of chosen charges
    evaluated: dict[bytes, set[bytes]] = field(default_factory=dict)  # key blob -> KE1 hashes
    succeeded: dict[bytes, set[int]] = field(default_factory=dict)  # key blob -> sequences
    registered: dict[int, bytes] = field(default_factory=dict)  # generation -> registration id
    asked: Asked = field(default_factory=Asked)

    def latest(self) -> bytes:
        """Return the chosen value of the highest ballot."""
        return self.accepted[self.chosen[-1]][0] if self.chosen else ROOT

    def unsettled(self) -> list[bytes]:
        """Return what somebody has accepted under higher ballots than the latest chosen one.

        The requests behind these values were never answered. Any of them may still be chosen, and then counts.
        """
        latest = self.chosen[-1] if self.chosen else ZERO
        return [value for ballot, (value, _, _) in self.accepted.items() if ballot > latest]


class Ledger:
    """`majority` tells an epoch's; `key` is the tokens' message key, to read the sealed values with.

    `maximum` is the policy's, and not learnt from a record: the first value chosen may have a whole life behind it.
    """

    def __init__(
        self, fleet: FleetId, maximum: int, majority: Callable[[int], int], key: Callable[[bytes, bytes], bytes]
    ) -> None:
        self._maximum = maximum
        self._fleet = fleet
        self._majority = majority
        self._key = key
        self._records: dict[bytes, Record] = {ROOT: decode_record(b"")}
        self._keys: dict[bytes, Line] = {}
        self.lines: dict[RecordId, Line] = {}
        self.evaluations = self.choices = 0

    def line(self, record: RecordId) -> Line:
        return self.lines.setdefault(record, Line())

    def read(self, record: RecordId, value: bytes) -> Record:
        """Return the record that a sealed value holds."""
        if value not in self._records:
            about = Seal(purpose=Purpose.RECORD, fleet=self._fleet, group=0, record=record)
            key = self._key(about.purpose.value, nonce_of(about, value))
            self._records[value] = decode_record(unseal(about, key=key, sealed=value))
        return self._records[value]

    # -- what replicas do

    def note_accepted(self, member: int, epoch: int, record: RecordId, ballot: Ballot, value: bytes) -> None:
        """Member `member`, in `epoch`, has accepted durably."""
        line = self.line(record)
        known, begun, holders = line.accepted.setdefault(ballot, (value, epoch, set()))
        if known != value:
            raise FoundError("ONE_VALUE", f"two values under {tuple(ballot)}")
        if member in holders:
            return
        holders.add(member)
        if len(holders) == self._majority(begun):
            self._choose(record, line, ballot, value)

    def _choose(self, record: RecordId, line: Line, ballot: Ballot, value: bytes) -> None:
        at = bisect_left(line.chosen, ballot)
        line.chosen.insert(at, ballot)
        self.choices += 1
        for older, newer in zip(line.chosen[max(0, at - 1) :], line.chosen[at : at + 2], strict=False):
            self._check_descent(record, line, line.accepted[older][0], line.accepted[newer][0])
        if value != ROOT:
            self._check_record(line, self.read(record, value))

    def _check_descent(self, record: RecordId, line: Line, older: bytes, newer: bytes) -> None:
        version = newer
        while version != older:
            if version == ROOT:
                raise FoundError("NOTHING_LOST", "a value was chosen that does not descend from one chosen before")
            version = line.writers[version]
        before, after = self.read(record, older), self.read(record, newer)
        if after.generation < before.generation:
            raise FoundError("GENERATION", f"from {before.generation} to {after.generation}")
        if after.sequence < before.sequence:
            raise FoundError("COUNT", f"from {before.sequence} charges to {after.sequence}")

    # -- what a chosen record may look like

    def _check_record(self, line: Line, record: Record) -> None:
        log = list(attempts_of(record))
        for attempt in log:
            charge = Charge(attempt.attempt_id, attempt.ke1_hash, attempt.generation)
            if line.charges.setdefault(attempt.sequence, charge) != charge:
                raise FoundError("COUNT", f"two charges have number {attempt.sequence}")
            if attempt.outcome is AttemptOutcome.SUCCEEDED and attempt.attempt_id not in line.asked.proved:
                raise FoundError("COUNT", f"charge {attempt.sequence} succeeded without a right code")
        self._check_generation(line, record)
        own = [attempt for attempt in log if attempt.generation == record.generation]
        last = max((one.sequence for one in own if one.outcome is AttemptOutcome.SUCCEEDED), default=0)
        unanswered = [one for one in own if one.sequence > last]
        if len(unanswered) > self._maximum:
            raise FoundError(
                "COUNT", f"{len(unanswered)} charges after the latest success; {self._maximum} are allowed"
            )
        if record.state is State.DESTROYED:
            self._check_destruction(line, unanswered)
        if record.active is not None:
            self._note_charges(line, record.active.key.blob, own)

    def _check_generation(self, line: Line, record: Record) -> None:
        if record.active is not None:
            known = line.registered.setdefault(record.generation, record.active.registration_id)
            if known != record.active.registration_id:
                raise FoundError("GENERATION", f"generation {record.generation} has two registrations")
            if known not in line.asked.activations:
                raise FoundError("GENERATION", "a registration is live that nobody activated")
            if record.active.maximum != self._maximum:
                raise FoundError("COUNT", "a registration has another maximum than the policy's")
        destroyed = record.state is State.DESTROYED
        for generation in line.registered:
            if generation < record.generation and generation not in line.asked.signed and not destroyed:
                self._check_was_destroyed(line, generation)

    def _check_was_destroyed(self, line: Line, generation: int) -> None:
        charges = [charge for charge in line.charges.values() if charge.generation == generation]
        if len(charges) < self._maximum:
            raise FoundError("GENERATION", f"generation {generation} ended without its owner's signature")

    def _check_destruction(self, line: Line, unanswered: list[Attempt]) -> None:
        if len(unanswered) < self._maximum:
            raise FoundError("DESTRUCTION", f"after {len(unanswered)} of {self._maximum} guesses")
        charged = {charge.attempt for charge in line.charges.values()}
        if unanswered[-1].outcome is not AttemptOutcome.FAILED and not line.asked.attempts - charged:
            raise FoundError("DESTRUCTION", "nobody made a new attempt, and the last one was not answered wrong")

    def _note_charges(self, line: Line, blob: bytes, own: list[Attempt]) -> None:
        self._keys[blob] = line
        line.evaluable |= {(blob, one.ke1_hash) for one in own}
        succeeded = {one.sequence for one in own if one.outcome is AttemptOutcome.SUCCEEDED}
        line.succeeded.setdefault(blob, set()).update(succeeded)

    # -- what leaves

    def note_evaluation(self, blob: bytes, ke1: bytes) -> None:
        """A token has used the record key `blob` on a KE1."""
        self.evaluations += 1
        line, ke1_hash = self._keys.get(blob), hash_ke1(ke1)
        if line is None or (blob, ke1_hash) not in line.evaluable:
            raise FoundError("EVALUATION", "a KE1 was evaluated whose charge is not chosen")
        guesses = line.evaluated.setdefault(blob, set())
        guesses.add(ke1_hash)
        if len(guesses) > self._maximum * (1 + len(line.succeeded[blob])):
            raise FoundError(
                "COUNT", f"{len(guesses)} KE1 were evaluated under one key; its maximum is {self._maximum}"
            )

    def check_registers(self) -> None:
        """Hold all answers against single registers."""
        for line in self.lines.values():
            fault = linearizability_fault(line.operations)
            if fault is not None:
                raise FoundError("REGISTER", fault)


def attempts_of(record: Record) -> list[Attempt]:
    """Return a record's attempts, oldest first."""
    packed = record.attempts.packed
    found = (record.attempts.find(AttemptId(packed[at : at + 16])) for at in range(0, len(packed), ENTRY))
    return [attempt for attempt in found if attempt is not None]
