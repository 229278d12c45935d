"""A device that asks until it is answered, and notes each answer in its record's ledger.

Every message is repeated, freshly sealed and with the same ids, until the fleet answers or refuses it, so no outcome is
left open unless the device goes away on purpose (`vanish`).
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from hsm_app.client.opaque_session import OpaqueSession
from hsm_app.client.transport import RelayConnection
from hsm_app.errors import Denied, DenyReason, ProtocolError, QuorumError, StoreError, TokenError
from hsm_app.fleet.routing import group_of
from hsm_app.model import AttemptId, RegistrationId, Subject
from hsm_app.net.address import Address
from hsm_app.opaque.envelope import AuthenticationFailed
from hsm_app.vault.owner import NO_REGISTRATION, Action, OwnerStatement, owner_public_key, sign
from hsm_app.vault.payload import NONCE, open_secret, seal_secret
from hsm_app.wire import messages
from hsm_app.wire.envelopes import Outcome
from hsm_app.wire.refusal import raise_refusal
from hsm_app.wire.session import open_answer
from hsm_app.wire.status import open_status
from people import NAME, TENANT, World
from tests.chaos.ledger import Broken, Ledger

ANSWER_SECONDS = 20.0  # more than the relay's own patience
PATIENCE = 120.0  # seconds after which a fleet that has a majority owes an answer: outages are shorter
PAUSE = 0.1
TRIES = 6  # registrations that a late copy of an older message may make stale
T = TypeVar("T")


@dataclass(slots=True)
class Tally:
    """What all devices have seen. `seconds`: of each operation by kind, from first message to last answer."""

    seconds: dict[str, list[float]] = field(default_factory=dict)
    retries: Counter[str] = field(default_factory=Counter)
    refusals: Counter[str] = field(default_factory=Counter)
    successes: list[float] = field(default_factory=list)  # monotonic seconds of answers


class Line:
    """The way to the fleet: a few connections to the relay, used in turn."""

    def __init__(self, world: World, relay_port: int, tally: Tally) -> None:
        self.world = world
        self.tally = tally
        self._connections = [RelayConnection(Address(host="127.0.0.1", port=relay_port), "") for _ in range(8)]
        self._turn = 0

    async def once(self, route: int, request: messages.ClientRequest) -> messages.Answer:
        """Ask one time. Raises what the fleet or the way to it refused with."""
        sealed = self.world.seal(request)
        self._turn += 1
        connection = self._connections[self._turn % len(self._connections)]
        response = await connection.ask(route, sealed.sealed, ANSWER_SECONDS)
        if not response.sealed or response.outcome is Outcome.REFUSED:
            raise QuorumError(response.detail or response.outcome.name, ambiguous=True)
        answer = open_answer(sealed, response.sealed)
        if isinstance(answer, messages.Refusal):
            raise_refusal(answer)
        return answer

    async def ask(self, route: int, make: Callable[[], messages.ClientRequest], expected: type[T]) -> T:
        """Ask until there is an answer. Raises Denied, or Broken when patience is out or the answer is no answer."""
        give_up = time.monotonic() + PATIENCE
        while True:
            try:
                answer = await self.once(route, make())
            except (QuorumError, TokenError, StoreError) as error:
                self.tally.retries[type(error).__name__] += 1
                if time.monotonic() > give_up:
                    raise Broken(f"no answer within {PATIENCE:g} s: {error}") from error
            except Denied as error:
                self.tally.refusals[error.reason.name] += 1
                self.tally.successes.append(time.monotonic())
                raise
            except ProtocolError as error:
                raise Broken(f"{type(make()).__name__}: {error}") from error
            else:
                self.tally.successes.append(time.monotonic())
                if not isinstance(answer, expected):
                    raise Broken(f"{type(make()).__name__} was answered with {type(answer).__name__}")
                return answer
            await asyncio.sleep(PAUSE)

    async def close(self) -> None:
        for connection in self._connections:
            await connection.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Finish:
    """A successful finish, to be repeated later."""

    ticket: bytes = field(repr=False)
    ke3: bytes = field(repr=False)
    export_key: bytes = field(repr=False)


class Device:
    """Acts for one account with one record."""

    def __init__(self, line: Line, account: str) -> None:
        self._line = line
        self._account = account
        self._subject = Subject(tenant=TENANT, account=account, name=NAME)
        self._route = self._subject.route()
        self._opaque = OpaqueSession(line.world.fleet, self._subject)
        self.ledger = Ledger(account)

    async def register(self, code: str) -> None:
        """Register, or change what is live. A late copy of an older message may make it stale: then again."""
        for _ in range(TRIES):
            try:
                return await self._register(code, os.urandom(32))
            except Denied as error:
                if error.reason is not DenyReason.STALE:
                    raise Broken(f"{self._account}: a registration was refused: {error}") from error
        raise Broken(f"{self._account}: {TRIES} registrations in a row became stale")

    async def _register(self, code: str, secret: bytes) -> None:
        ledger, start = self.ledger, self._opaque.start_registration(code)
        started = await self._ask(
            lambda: messages.RegisterStart(token=self._token(), name=NAME, blinded=start.blinded),
            messages.RegisterStarted,
        )
        if started.live != (ledger.state == "active"):
            raise Broken(f"{self._account} is {ledger.state}, and a registration is told that live is {started.live}")
        record, export_key = self._opaque.finish_registration(start, started.evaluated, started.server_public_key)
        finish = messages.RegisterFinish(
            ticket=started.ticket,
            registration_id=RegistrationId(os.urandom(16)),
            opaque_record=record,
            payload=seal_secret(
                secret, export_key=export_key, nonce=os.urandom(NONCE), fleet=self._fleet, subject=self._subject
            ),
            owner_public_key=owner_public_key(export_key),
        )
        await self._ask(lambda: finish, messages.RegisterFinished)
        signature = self._signed(Action.ACTIVATE, finish.registration_id) if started.live else b""
        activated = await self._ask(
            lambda: messages.Activate(
                token=self._token(), name=NAME, registration_id=finish.registration_id, owner_signature=signature
            ),
            messages.Activated,
        )
        ledger.activated(activated.generation, code, secret, export_key)

    async def recover(self, code: str, *, again: bool = False) -> Finish | None:
        """Guess: return the finish when the code was right, None when it was wrong or refused. `again`: start twice."""
        login, attempt = self._opaque.start_login(code), AttemptId(os.urandom(16))
        try:
            started = await self._start(attempt, login.ke1)
            self.ledger.evaluated()
            if again:
                started = await self._start(attempt, login.ke1)
        except Denied as error:
            self.ledger.refused(error.reason)
            return None
        try:
            ke3, export_key = self._opaque.finish_login(login, started.ke2)
        except AuthenticationFailed:
            if code == self.ledger.code:
                raise Broken(f"{self._account}: the acknowledged code is not in force") from None
            await self._admit(started.ticket)
            return None
        return await self._succeed(code, Finish(ticket=started.ticket, ke3=ke3, export_key=export_key))

    async def _succeed(self, code: str, finish: Finish) -> Finish | None:
        if code != self.ledger.code:
            raise Broken(f"{self._account}: a code opened that is not the acknowledged one")
        try:
            recovered = await self._finish(finish)
        except Denied as error:  # a ghost may have destroyed the record after this guess was charged
            self.ledger.refused(error.reason)
            return None
        self.ledger.opened(self._open(recovered, finish), recovered.generation, time.monotonic())
        return finish

    async def _admit(self, ticket: bytes) -> None:
        try:
            await self._ask(lambda: messages.RecoverFinish(ticket=ticket, ke3=os.urandom(32)), messages.Recovered)
        except Denied as error:
            if error.reason is DenyReason.WRONG_CODE:
                self.ledger.guessed_wrong(error.attempts_left)
            else:
                self.ledger.refused(error.reason)
            return
        raise Broken(f"{self._account}: random bytes were taken for a proof")

    async def repeat(self, finish: Finish) -> None:
        """Send a successful finish again: it returns the same, and changes nothing."""
        self.ledger.reopened(self._open(await self._finish(finish), finish))

    async def reuse(self, code: str) -> None:
        """Start twice under one attempt id with different KE1: the second is refused and costs nothing."""
        attempt = AttemptId(os.urandom(16))
        await self._start(attempt, self._opaque.start_login(code).ke1)
        self.ledger.evaluated()
        try:
            await self._start(attempt, self._opaque.start_login(code).ke1)
        except Denied as error:
            if error.reason is not DenyReason.ATTEMPT_REUSED:
                self.ledger.refused(error.reason)
            return
        raise Broken(f"{self._account}: two KE1 were evaluated for one charge")

    async def vanish(self, code: str, seconds: float) -> None:
        """Send a start, and go away after a moment without having heard the answer."""
        attempt, ke1 = AttemptId(os.urandom(16)), self._opaque.start_login(code).ke1
        self.ledger.abandoned(time.monotonic())
        try:
            async with asyncio.timeout(seconds):
                await self._line.once(self._route, self._start_message(attempt, ke1))
        except (TimeoutError, QuorumError, TokenError, StoreError, Denied):
            pass  # nobody is listening

    async def status(self) -> None:
        nonce = os.urandom(32)
        report = await self._ask(
            lambda: messages.Status(token=self._token(), name=NAME, nonce=nonce), messages.StatusReport
        )
        key = group_of(self._line.world.fleet, self._route).find(report.replica).identity_public
        body = open_status(
            report, key, fleet=self._fleet, epoch=self._line.world.epoch, subject=self._subject.text(), nonce=nonce
        )
        self.ledger.told(body.state, body.generation, body.attempts_left)

    async def ask_once(self) -> None:
        """Ask for the status one time, without patience. Raises what it is refused with."""
        await self._line.once(self._route, messages.Status(token=self._token(), name=NAME, nonce=os.urandom(32)))

    async def delete(self) -> None:
        signature = self._signed(Action.DELETE, NO_REGISTRATION)
        try:
            deleted = await self._ask(
                lambda: messages.Delete(token=self._token(), name=NAME, owner_signature=signature), messages.Deleted
            )
        except Denied as error:
            raise Broken(f"{self._account}: a signed deletion was refused: {error}") from error
        self.ledger.deleted(deleted.generation)

    @property
    def _fleet(self):  # type: ignore[no-untyped-def]
        return self._line.world.fleet.fleet

    async def _ask(self, make: Callable[[], messages.ClientRequest], expected: type[T]) -> T:
        return await self._line.ask(self._route, make, expected)

    async def _start(self, attempt: AttemptId, ke1: bytes) -> messages.RecoverStarted:
        return await self._ask(lambda: self._start_message(attempt, ke1), messages.RecoverStarted)

    def _start_message(self, attempt: AttemptId, ke1: bytes) -> messages.RecoverStart:
        return messages.RecoverStart(token=self._token(), name=NAME, attempt_id=attempt, ke1=ke1)

    async def _finish(self, finish: Finish) -> messages.Recovered:
        return await self._ask(lambda: messages.RecoverFinish(ticket=finish.ticket, ke3=finish.ke3), messages.Recovered)

    def _open(self, recovered: messages.Recovered, finish: Finish) -> bytes:
        return open_secret(recovered.payload, export_key=finish.export_key, fleet=self._fleet, subject=self._subject)

    def _signed(self, action: Action, registration: RegistrationId) -> bytes:
        statement = OwnerStatement(
            fleet=self._fleet,
            subject=self._subject,
            action=action,
            generation=self.ledger.generation,
            registration_id=registration,
        )
        return sign(self.ledger.owner_key, statement)

    def _token(self) -> str:
        return self._line.world.account_token(self._account)
