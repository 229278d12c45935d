"""Example registrations, owners and policy for the tests of the record. Nothing here is secret."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import TypeVar

from hsm_app.errors import Denied, DenyReason
from hsm_app.fleet.manifest import AttemptPolicy
from hsm_app.model import AttemptId, FleetId, RegistrationId, Subject, WrappedKey
from hsm_app.vault.attempts import hash_ke1
from hsm_app.vault.owner import NO_REGISTRATION, Action, OwnerClaim, OwnerStatement, owner_public_key, sign
from hsm_app.vault.record import Outcome, Record, Registration, Scheduled, State
from hsm_app.vault.recovery import Charged, Recovered, finish_recovery, start_recovery
from hsm_app.vault.registration import Activated, Registered, activate, finish_registration
from hsm_app.vault.removal import Cancelled, Deleted, cancel, delete
from hsm_app.vault.status import Status, status
from hsm_app.vault.step import apply

T = TypeVar("T")
NOW = 1_793_000_000
DELAY = 604_800
FLEET = FleetId("fleet-1")
SUBJECT = Subject(tenant="tenant-1", account="alice", name="backup")
POLICY = AttemptPolicy(
    maximum=10,
    waits_seconds=(0,),
    replace_delay_seconds=DELAY,
    charges_per_hour=100_000,
    destructions_per_hour=100,
)


def policy(*, maximum: int = 10, waits: tuple[int, ...] = (0,), delay: int = DELAY) -> AttemptPolicy:
    return replace(POLICY, maximum=maximum, waits_seconds=waits, replace_delay_seconds=delay)


def filled(length: int, *about: object) -> bytes:
    """Bytes that are always the same for the same arguments, and different for others."""
    return hashlib.shake_128(repr(about).encode()).digest(length)


def attempt(number: int) -> AttemptId:
    return AttemptId(filled(16, "attempt", number))


def ke1(number: int) -> bytes:
    return hash_ke1(filled(98, "ke1", number))


def registration_id(number: int) -> RegistrationId:
    return RegistrationId(filled(16, "registration", number))


def export_key(number: int) -> bytes:
    return filled(32, "export key", number)


@cache
def registration(number: int, maximum: int = 10) -> Registration:
    """The registration of that number; its owner's key comes from `export_key(number)`."""
    return Registration(
        registration_id=registration_id(number),
        key=WrappedKey(blob=filled(81, "blob", number), public=b"\x02" + filled(32, "public", number)),
        opaque_record=filled(129, "record", number),
        payload=filled(100, "payload", number),
        owner_public_key=owner_public_key(export_key(number)),
        maximum=maximum,
    )


UNSIGNED = OwnerClaim(fleet=FLEET, subject=SUBJECT, signature=b"")


@cache
def signed(signer: int, action: Action, generation: int, target: RegistrationId = NO_REGISTRATION) -> OwnerClaim:
    """A claim with the signature of registration `signer`'s owner over that statement."""
    statement = OwnerStatement(
        fleet=FLEET, subject=SUBJECT, action=action, generation=generation, registration_id=target
    )
    return replace(UNSIGNED, signature=sign(export_key(signer), statement))


@dataclass
class Vault:
    """One record that lives through messages; each answer is returned, and a Denied is one of them."""

    rules: AttemptPolicy = POLICY
    value: bytes = b""
    now: int = NOW

    def run(self, transition: Callable[[Record], Outcome[T | Denied]]) -> T | Denied:
        after, answer = apply(self.value, transition)
        self.value = self.value if after is None else after
        return answer

    def register(self, number: int, generation: int | None = None) -> Registered | Denied:
        read = self.status().generation if generation is None else generation
        fresh = registration(number, self.rules.maximum)
        return self.run(lambda record: finish_registration(record, fresh, generation=read, now=self.now))

    def activate(self, number: int, claim: OwnerClaim = UNSIGNED) -> Activated | Scheduled | Denied:
        return self.run(
            lambda record: activate(record, registration_id(number), claim, now=self.now, policy=self.rules)
        )

    def start(self, number: int, question: int | None = None) -> Charged | Denied:
        ke1_hash = ke1(number if question is None else question)
        return self.run(
            lambda record: start_recovery(
                record, attempt_id=attempt(number), ke1_hash=ke1_hash, now=self.now, policy=self.rules
            )
        )

    def finish(self, number: int, charged: Charged, *, right: bool) -> Recovered | Denied:
        return self.run(
            lambda record: finish_recovery(
                record,
                attempt_id=attempt(number),
                sequence=charged.sequence,
                generation=charged.generation,
                mac_valid=right,
                now=self.now,
            )
        )

    def delete(self, claim: OwnerClaim = UNSIGNED) -> Deleted | Scheduled | Denied:
        return self.run(lambda record: delete(record, claim, now=self.now, policy=self.rules))

    def cancel(self, claim: OwnerClaim) -> Cancelled | Denied:
        return self.run(lambda record: cancel(record, claim, now=self.now))

    def status(self) -> Status:
        answer = self.run(status)
        assert isinstance(answer, Status)
        return answer

    def charge(self, number: int) -> Charged:
        answer = self.start(number)
        assert isinstance(answer, Charged), answer
        return answer

    def recover(self, number: int, *, right: bool) -> Recovered | Denied:
        return self.finish(number, self.charge(number), right=right)


def active_vault(rules: AttemptPolicy = POLICY) -> Vault:
    """A vault whose registration 1 is live in generation 1."""
    vault = Vault(rules)
    vault.register(1)
    vault.activate(1)
    return vault


def reason(answer: object) -> DenyReason | None:
    """Why an answer is a refusal, or None when it is none."""
    return answer.reason if isinstance(answer, Denied) else None


def replacement(vault: Vault, generation: int = 1) -> None:
    """Make registration 2 wait beside the live registration 1."""
    assert isinstance(vault.register(2, generation), Registered)


def destroy(vault: Vault) -> None:
    for number in range(100, 111):
        vault.start(number)
    assert vault.status().state is State.DESTROYED


def held(vault: Vault) -> bytes:
    """The value, to see that nothing changes."""
    return vault.value
