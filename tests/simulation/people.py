"""Who uses the vault in a run: owners, their other devices, and attackers who hold an account token and no code.

Each sends the real messages to any replica, over and over until it has an answer, as clients do; answers get lost.
Everything sent is captured, so that the network can say it again. What a right code gets, and what was acknowledged, is
noted for the checks.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hsm_app.errors import Denied, QuorumError, TokenError, VaultError
from hsm_app.model import AttemptId, RegistrationId, Subject
from hsm_app.vault.owner import NO_REGISTRATION, Action, OwnerStatement, owner_public_key, sign
from hsm_app.wire import messages
from tests.simulation.ledger import FoundError, Line
from tests.simulation.token import POINT, client_mac, digest

if TYPE_CHECKING:
    from tests.simulation.world import World

PATIENCE = 2.0  # seconds for one answer
TRIES = 6


@dataclass(frozen=True, slots=True)
class Registered:
    """What the device that registered knows."""

    registration_id: RegistrationId
    code_hash: bytes
    export_key: bytes
    payload: bytes


class Account:
    """One record's name and route, the lines of the ledger about it, and what all of its devices share."""

    def __init__(self, world: World, name: str) -> None:
        self._world = world
        self._subject = Subject(tenant="tenant", account=name, name="backup")
        self.token, self.name, self.route = name, "backup", self._subject.route()
        self.record = world.record_id(self._subject.text().encode())
        self.made: dict[bytes, Registered] = {}  # by registration id
        self.acknowledged: dict[int, bytes] = {}  # generation -> registration id whose activation was acknowledged

    @property
    def line(self) -> Line:
        return self._world.ledger.line(self.record)

    async def ask(self, who: str, message: Any) -> Any:
        """Send a message once. None when no answer comes; a refusal is returned."""
        world = self._world
        process = world.pick_process(self.route)
        if process is None:
            await asyncio.sleep(0.2)
            return None
        what = type(message).__name__
        world.log(f"{who} asks replica {process.replica}: {what}")
        world.captured.append((message, self.route))
        answering = process.serve(message, self.route)
        await asyncio.wait([answering], timeout=PATIENCE)
        if not answering.done() or answering.cancelled() or world.random.random() < world.answers_lost:
            return None
        error = answering.exception()
        if error is not None and not isinstance(error, VaultError):
            return None  # the process has told
        answer = answering.result() if error is None else error
        world.log(f"{who} hears of {what}: {tell(answer)}")
        return answer

    async def insist(self, who: str, message: Any, tries: int) -> Any:
        """Send a message until it is answered by the record; None when nobody can."""
        for _ in range(tries):
            answer = await self.ask(who, message)
            if answer is not None and not isinstance(answer, QuorumError | TokenError):
                return answer
            await asyncio.sleep(0.1 + self._world.random.random() * 0.6)
        return None

    def signature(self, by: Registered, action: Action, generation: int, target: RegistrationId) -> bytes:
        """Sign as the owner; from now on that generation may end."""
        self.line.asked.signed.add(generation)
        statement = OwnerStatement(
            fleet=self._world.fleet.fleet,
            subject=self._subject,
            action=action,
            generation=generation,
            registration_id=target,
        )
        return sign(by.export_key, statement)


def tell(answer: Any) -> str:
    """One word or two about an answer, for the transcript."""
    if isinstance(answer, Denied):
        return f"denied, {answer.reason.name}"
    if isinstance(answer, QuorumError):
        return "no majority, outcome unknown" if answer.ambiguous else "no majority"
    generation = getattr(answer, "generation", None)
    return type(answer).__name__ + (f", generation {generation}" if generation is not None else "")


class Device:
    """Somebody who has the account's token. `name` is for the transcript."""

    def __init__(self, world: World, account: Account, name: str, tries: int = TRIES) -> None:
        self._world = world
        self._random = world.random
        self._tries = tries
        self.account = account
        self.name = name

    async def register(self, *, signs: bool, activates: bool = True) -> None:
        """Register under a new code, and activate it, signed with the live registration's key if `signs`."""
        account, new = self.account, self._made()
        started = await self._insist(messages.RegisterStart(token=account.token, name=account.name, blinded=POINT))
        if not isinstance(started, messages.RegisterStarted):
            return
        finish = messages.RegisterFinish(
            ticket=started.ticket,
            registration_id=new.registration_id,
            opaque_record=POINT + new.code_hash + bytes(64),
            payload=new.payload,
            owner_public_key=owner_public_key(new.export_key),
        )
        finished = await self._insist(finish)
        if activates and isinstance(finished, messages.RegisterFinished):
            await self._activate(new, started.generation, signs)

    def _made(self) -> Registered:
        made = Registered(
            RegistrationId(self._random.randbytes(16)),
            self._random.randbytes(32),
            self._random.randbytes(32),
            self._random.randbytes(24),
        )
        self.account.made[made.registration_id] = made
        return made

    async def _activate(self, new: Registered, generation: int, signs: bool) -> None:
        account = self.account
        live = account.made.get(account.line.registered.get(generation, b""))
        target, signature = new.registration_id, b""
        if signs and live is not None:
            signature = account.signature(live, Action.ACTIVATE, generation, target)
        account.line.asked.activations.add(target)
        message = messages.Activate(
            token=account.token, name=account.name, registration_id=target, owner_signature=signature
        )
        answer = await self._insist(message)
        if isinstance(answer, messages.Activated):
            account.acknowledged[answer.generation] = target

    async def recover(self, *, knows: bool, finishes: bool = True, again: bool = False) -> Any:
        """Guess once, with the live registration's code or without, and return the last answer.

        `again`: also say each message once more, or with another KE1 under the same attempt id.
        """
        account = self.account
        attempt = AttemptId(self._random.randbytes(16))
        account.line.asked.attempts.add(attempt)
        start = self._start(attempt)
        started = await self._insist(start)
        if again:
            await account.ask(self.name, start if self._random.random() < 0.7 else self._start(attempt))
        if not isinstance(started, messages.RecoverStarted) or not finishes:
            return started
        live = account.made.get(account.line.registered.get(max(account.line.registered, default=0), b""))
        code_hash = live.code_hash if knows and live is not None else self._random.randbytes(32)
        if knows:
            account.line.asked.proved.add(attempt)
        ke3 = client_mac(code_hash, start.ke1, started.ke2)
        finish = messages.RecoverFinish(ticket=started.ticket, ke3=ke3)
        answer = await self._insist(finish)
        self._check_payload(answer, knows)
        if again:
            await account.ask(self.name, finish)
        return answer

    def _start(self, attempt: AttemptId) -> messages.RecoverStart:
        ke1 = digest(b"ke1", self._random.randbytes(16)) * 3 + b"ke"
        return messages.RecoverStart(token=self.account.token, name=self.account.name, attempt_id=attempt, ke1=ke1)

    def _check_payload(self, answer: Any, knows: bool) -> None:
        if not isinstance(answer, messages.Recovered):
            return
        live = self.account.made[self.account.line.registered[answer.generation]]

        def check() -> None:
            if not knows:
                raise FoundError("PAYLOAD", "a wrong code was given the payload")
            if answer.payload != live.payload:
                raise FoundError("PAYLOAD", "a right code was given another payload than was registered")

        self._world.checked(check)

    async def look(self) -> Any:
        """Ask for the status."""
        nonce = self._random.randbytes(32)
        return await self._insist(messages.Status(token=self.account.token, name=self.account.name, nonce=nonce))

    async def delete(self) -> None:
        """Delete with the owner's signature."""
        account = self.account
        generation = max(account.line.registered, default=0)
        live = account.made.get(account.line.registered.get(generation, b""))
        if live is None:
            return
        signature = account.signature(live, Action.DELETE, generation, NO_REGISTRATION)
        await self._insist(messages.Delete(token=account.token, name=account.name, owner_signature=signature))

    async def _insist(self, message: Any) -> Any:
        return await self.account.insist(self.name, message, self._tries)


async def live(device: Device, world: World, acts: int, habits: dict[str, float]) -> None:
    """Do so many things, drawn by the weights of `habits`."""
    doing = {
        "register": lambda: device.register(signs=True),
        "replace": lambda: device.register(signs=False, activates=world.random.random() < 0.6),
        "recover": lambda: device.recover(knows=True, again=world.random.random() < 0.3),
        "leave": lambda: device.recover(knows=True, finishes=False),
        "guess": lambda: device.recover(
            knows=False, finishes=world.random.random() < 0.4, again=world.random.random() < 0.5
        ),
        "look": device.look,
        "delete": device.delete,
    }
    names, weights = list(habits), list(habits.values())
    for _ in range(acts):
        await asyncio.sleep(world.random.expovariate(1 / world.haste))
        await doing[world.random.choices(names, weights)[0]]()
