"""The clients: owners who live with their records, and besiegers who guess at one record together.

An owner does one operation after another, so its ledger knows each answer beforehand. Besiegers share a ledger: what
one of them is told about the number left is already old, so only the bound itself is held against the vault there.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import Awaitable, Callable

from hsm_app.errors import Denied
from tests.chaos.device import Device, Finish, Line
from tests.chaos.ledger import MAXIMUM, Broken, Ledger

BESIEGERS = 4
PAUSE = 0.15  # seconds between operations, at most twice this
SIEGE_PAUSE = 1.5  # seconds: a record knows its last 32 attempts, so late copies must not meet a third siege
SAFE = 6  # charges up to which an owner still makes mistakes


class Owner:
    """One person with one record at a time, acting by dice until told to stop."""

    def __init__(self, line: Line, name: str, dice: random.Random) -> None:
        self.name = name
        self.device = Device(line, name)
        self.former: list[Device] = []
        self._line = line
        self._tally = line.tally
        self._dice = dice
        self._finished: Finish | None = None

    @property
    def records(self) -> int:
        return len(self.former) + 1

    async def live(self, stop: asyncio.Event) -> None:
        """Operate until `stop`; Broken leaves at once."""
        await self._timed("register", self._register)
        while not stop.is_set():
            kind, act = self._choose()
            await self._timed(kind, act)
            await asyncio.sleep(self._dice.uniform(0, 2 * PAUSE))

    async def verify(self) -> None:
        """The last look: what was acknowledged is in force."""
        for device in (*self.former, self.device):
            await device.status()
            finish = await device.recover(device.ledger.code)
            if device.ledger.state == "active" and finish is None:
                raise Broken(f"{device.ledger.name}: acknowledged, and cannot be recovered")

    async def _timed(self, kind: str, act: Callable[[], Awaitable[object]]) -> None:
        began = time.monotonic()
        await act()
        self._tally.seconds.setdefault(kind, []).append(time.monotonic() - began)

    def _choose(self) -> tuple[str, Callable[[], Awaitable[object]]]:
        ledger = self.device.ledger
        if ledger.state != "active":
            return self._dice.choices(
                [("register", self._register), ("recover what is gone", self._wrong), ("status", self.device.status)],
                weights=[5, 2, 1],
            )[0]
        if ledger.spent_at_most > SAFE:
            return ("exhaust", self._exhaust) if self._dice.random() < 0.15 else ("recover", self._right)
        return self._dice.choices(
            [
                ("recover", self._right), ("wrong code", self._wrong), ("status", self.device.status),
                ("change", self._register), ("repeated finish", self._repeat), ("repeated start", self._twice),
                ("reused attempt id", self._reuse), ("abandoned start", self._vanish), ("delete", self.device.delete),
                ("exhaust", self._exhaust), ("move", self._move),
            ],
            weights=[30, 20, 10, 10, 8, 6, 4, 4, 3, 1, 5],
        )[0]  # fmt: skip

    async def _register(self) -> None:
        self._finished = None
        await self.device.register(new_code())

    async def _move(self) -> None:
        """Leave the record alone until the end, and go on with a new account: stores grow, and old rows must last."""
        self.former.append(self.device)
        self.device = Device(self._line, f"{self.name}-{len(self.former)}")
        await self._register()

    async def _right(self) -> None:
        self._finished = await self.device.recover(self.device.ledger.code)

    async def _wrong(self) -> None:
        await self.device.recover(new_code())

    async def _twice(self) -> None:
        await self.device.recover(self._dice.choice((new_code(), self.device.ledger.code)), again=True)

    async def _reuse(self) -> None:
        await self.device.reuse(new_code())

    async def _vanish(self) -> None:
        await self.device.vanish(new_code(), self._dice.choice((0.001, 0.02, 0.2)))

    async def _repeat(self) -> None:
        """Guess wrong between a success and its repetition: what is given back must stay the same."""
        await self._right()
        if self._finished is not None:
            await self._wrong()
            await self.device.repeat(self._finished)
            await self.device.status()

    async def _exhaust(self) -> None:
        """Guess until the record is destroyed: the ledger objects to an eleventh guess, and to an end that is early."""
        while self.device.ledger.state == "active":
            await self._wrong()
        await self._right()


class Siege:
    """One record that several devices guess at together, again and again, until it is destroyed."""

    def __init__(self, line: Line, name: str, dice: random.Random) -> None:
        self.name = name
        self.owner = Owner(line, name, dice)
        self._devices = [Device(line, name) for _ in range(BESIEGERS)]
        self._tally = line.tally
        self._dice = dice

    async def live(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            await self.owner.device.register(new_code())
            finish = await self.owner.device.recover(self.owner.device.ledger.code)
            if finish is None:
                raise Broken(f"{self.name}: an acknowledged registration cannot be recovered")
            began = time.monotonic()
            await self._besiege(finish)
            self._tally.seconds.setdefault("siege", []).append(time.monotonic() - began)
            await asyncio.sleep(SIEGE_PAUSE)

    records = 1

    async def verify(self) -> None:
        await self.owner.verify()

    async def _besiege(self, finish: Finish) -> None:
        """Guess with all devices at once. Counted is what clients see: guesses begun, and KE2 that came back."""
        shared = Guesses(self.owner.device.ledger)
        for device in self._devices:
            device.ledger = shared
        async with asyncio.TaskGroup() as group:
            for device in self._devices:
                group.create_task(self._guess(device, shared, finish))
        self.owner.device.ledger.state = "destroyed"
        await self.owner.device.status()

    async def _guess(self, device: Device, shared: Guesses, finish: Finish) -> None:
        while shared.state == "active":
            shared.begun += 1
            await device.recover(new_code())
            if self._dice.random() < 0.3 and shared.state == "active":
                try:
                    await device.repeat(finish)
                except Denied as error:
                    shared.refused(error.reason)


class Guesses(Ledger):
    """The ledger of a siege: the bound is exact, the number left is not, since others guess meanwhile."""

    def __init__(self, owner: Ledger) -> None:
        super().__init__(owner.name, owner.state, owner.generation, owner.code, owner.secret, owner.owner_key)
        self.begun = 0

    def evaluated(self) -> None:
        self.spent += 1
        if self.spent > MAXIMUM:
            raise self._broken(f"{self.spent} guesses were evaluated, {self.begun} begun")

    def guessed_wrong(self, left: int | None) -> None:
        if left == 0 and self.begun < MAXIMUM:
            raise self._broken(f"none is left after {self.begun} guesses")

    def _may_be_spent(self) -> bool:
        return self.state == "active" and self.begun >= MAXIMUM


def new_code() -> str:
    return f"code {os.urandom(8).hex()}"
