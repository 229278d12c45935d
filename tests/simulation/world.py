"""One seeded run: a group of replicas, people who use it, and everything that can go wrong; all checks along the way.

The seed decides all of it: sizes, weather, habits, faults and every delay. There is one thread and one source of
randomness, and nothing is ordered by a hash or an address, so a run replays exactly, in any process.

A run has two parts. In the first one everything happens at once. In the second one the faults end, the hosts that are
not lost for good (never a majority) start on their own disks with right clocks, and then:

- ANSWERS: every record can be asked about;
- RECOVERABLE: what was acknowledged as activated can be recovered with its code, unless its owner ended it or its
  guesses were used;
- STARTS (also before): a replica that nobody tampered with starts on its own disk, wherever it was killed;
- CRASHED: nothing but the errors of a family ever comes out of the code.
"""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from random import Random
from typing import Any

from hsm_app.fleet.manifest import (
    Argon2Costs,
    AttemptPolicy,
    Custody,
    Fleet,
    FleetState,
    Group,
    Replica,
)
from hsm_app.model import FleetId, RecordId, ReplicaId
from hsm_app.vault.record import Record
from hsm_app.wire import messages
from tests.simulation.faults import Faults
from tests.simulation.ledger import FoundError, Ledger
from tests.simulation.network import Network, Weather
from tests.simulation.people import Account, Device, live
from tests.simulation.process import Host, Process
from tests.simulation.replacement import Replacement
from tests.simulation.token import SimulatedToken, digest, without_opaque
from tests.simulation.virtual_loop import VirtualLoop, run

LONGEST = 40.0  # simulated seconds of the first part
HEALED_TRIES = 40


@dataclass(frozen=True, slots=True)
class Epoch:
    """An epoch's members with their incarnations. `digest` stands for its manifest."""

    number: int
    members: dict[int, int]
    digest: bytes

    @property
    def majority(self) -> int:
        return len(self.members) // 2 + 1


class World:
    """One run. `lines` is its transcript, `found` what it found."""

    replacement = Replacement

    def __init__(self, seed: int, *, size: int | None = None) -> None:
        self.seed = seed
        self.random = Random(seed)
        self.loop = VirtualLoop()
        self.lines: list[str] = []
        self.found: FoundError | None = None
        self.captured: list[tuple[Any, int]] = []
        self.secret = digest(b"secret")
        random = self.random
        self.haste = random.choice([0.02, 0.1, 0.4])
        self.answers_lost = random.choice([0.0, 0.1, 0.4])
        self.held_values = random.choice([1, 8])
        self._affinity = random.choice([0.0, 0.5, 0.9])
        self._batching = random.choice([0.002, 0.02])
        self.network = Network(random, self._weather())
        size = random.choice([3, 3, 5]) if size is None else size
        self.epochs = {1: Epoch(1, {replica: 1 for replica in range(1, size + 1)}, digest(b"1"))}
        self.epoch = self.epochs[1]
        self.fleet = example_fleet(random.choice([2, 2, 3, 5]), size)
        self._token = SimulatedToken(self.secret, random, lambda _blob, _ke1: None)
        self.ledger = Ledger(
            self.fleet.fleet,
            self.fleet.attempts.maximum,
            lambda epoch: self.epochs[epoch].majority,
            self._token.message_key,
        )
        self.accounts = [Account(self, f"account-{number}") for number in range(random.choice([1, 1, 2]))]
        self.hosts: dict[int, Host] = {}
        self.twins: list[Process] = []
        self.retired: list[Host] = []
        self.background: list[asyncio.Future[None]] = []

    def _weather(self) -> Weather:
        random, is_sealed = self.random, self.random.random() < 0.4
        return Weather(
            is_sealed=is_sealed,
            lost=random.choice([0.0, 0.0005, 0.002] if is_sealed else [0.0, 0.05, 0.2, 0.35]),
            repeated=random.choice([0.0, 0.0, 0.002] if is_sealed else [0.0, 0.1, 0.3]),
            told=random.choice([0.2, 0.8]),
            delay=random.choice([0.001, 0.01, 0.05]),
        )

    # -- what the parts ask for

    def log(self, what: str) -> None:
        self.lines.append(f"{self.loop.time():9.4f}  {what}")

    def checked(self, check: Callable[[], None]) -> None:
        """Run a check; the first one that fails ends the run."""
        try:
            check()
        except FoundError as found:
            if self.found is None:
                self.found = found
                self.log(f"FOUND {found}")
                self._over.set()

    def record_id(self, subject: bytes) -> RecordId:
        return self._token.record_id(subject)

    def token_pause(self) -> float:
        return 0.0005 + self.random.random() * 0.002

    def disk_pause(self, is_slow: bool) -> float:
        return self.random.random() * (0.5 if is_slow else self._batching)

    def processes(self) -> list[Process]:
        """All that run, old and cloned ones too."""
        hosts = [*self.hosts.values(), *self.retired]
        return [host.process for host in hosts if host.process is not None] + [
            one for one in self.twins if one.is_alive
        ]

    def finder(self, replica: int) -> Callable[[], Process | None]:
        """Whoever answers at a replica's address: it itself, or a clone."""

        def find() -> Process | None:
            there = [process for process in self.processes() if process.replica == replica]
            return self.random.choice(there) if there else None

        return find

    def pick_process(self, route: int) -> Process | None:
        """A relay's choice: mostly the preferred replica, else anyone."""
        there = self.processes()
        preferred = [process for process in there if process.replica == route % len(self.hosts) + 1]
        pool = preferred if preferred and self.random.random() < self._affinity else there
        return self.random.choice(pool) if pool else None

    def next_epoch(self, members: dict[int, int]) -> Epoch:
        """Issue the manifest of the next epoch."""
        number = self.epoch.number + 1
        self.epoch = self.epochs[number] = Epoch(number, members, digest(str(number).encode()))
        return self.epoch

    def entered(self, epoch: Epoch) -> list[Process]:
        """The members that run under an epoch."""
        return [process for process in self.processes() if process.epoch is epoch]

    # -- the run

    def run(self) -> None:
        """Run to the end. Raises FoundError."""
        with without_opaque(), _quiet():
            try:
                run(self._main(), self.loop)
            except Exception as error:
                if self.found is None:
                    self.log(traceback.format_exc())
                    self.found = FoundError("CRASHED", f"{type(error).__name__}: {error}")
        if self.found is not None:
            raise self.found

    async def _main(self) -> None:
        self._over = asyncio.Event()
        for replica in self.epoch.members:
            self.hosts[replica] = Host(self, replica, 1, self.epoch)
        story = asyncio.ensure_future(self._story())
        over = asyncio.ensure_future(self._over.wait())
        await asyncio.wait([story, over], return_when=asyncio.FIRST_COMPLETED)
        if story.done():
            story.result()

    async def _story(self) -> None:
        faults = Faults(self)
        working = asyncio.ensure_future(faults.work())
        if self.random.random() < self.replacement.likely:
            self.background.append(asyncio.ensure_future(self.replacement(self, faults).run()))
        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.gather(*self._people()), LONGEST)
        working.cancel()
        await asyncio.wait([working])
        if not working.cancelled():
            working.result()
        await faults.end()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._settled(), LONGEST)
        for account in self.accounts:
            await self._check_account(account)
        self.checked(self.ledger.check_registers)

    async def _settled(self) -> None:
        """Wait for the replacement, and for the members that can still enter its epochs."""
        for task in self.background:
            if not any(host.process is None for host in self.hosts.values()) or task is self.background[0]:
                await task

    def _people(self) -> list[Any]:
        random, acts = self.random, self.random.choice([4, 8, 14])
        people = []
        for account in self.accounts:
            owner = {"register": 2.0, "recover": 3.0, "leave": 0.5, "look": 1.0, "delete": random.choice([0.0, 0.2])}
            thief = {"guess": 4.0, "look": 0.5, "replace": random.choice([0.0, 0.5, 2.0])}
            people.append(self._owner(account, acts, owner))
            for number in range(random.choice([1, 2, 3])):
                people.append(live(Device(self, account, f"thief {number}"), self, acts, thief))
        return people

    async def _owner(self, account: Account, acts: int, habits: dict[str, float]) -> None:
        owner = Device(self, account, "owner")
        await owner.register(signs=False)
        await live(owner, self, acts, habits)

    # -- the second part's checks

    async def _check_account(self, account: Account) -> None:
        last = Device(self, account, "the last one", HEALED_TRIES)
        answer = await last.look()
        if not isinstance(answer, messages.StatusReport):
            self.checked(lambda: _found("ANSWERS", f"a healed fleet does not answer: {answer}"))
            return
        record = self.ledger.read(account.record, account.line.latest())
        generation = max(account.acknowledged, default=0)
        if record.generation < generation:
            self.checked(lambda: _found("RECOVERABLE", f"generation {generation} was acknowledged and is gone"))
        if record.generation != generation or record.active is None:
            return  # another check has seen why it ended
        if record.active.registration_id != account.acknowledged[generation]:
            self.checked(lambda: _found("RECOVERABLE", "another registration is live than was acknowledged"))
        held = [self.ledger.read(account.record, value) for value in account.line.unsettled()]
        had_left = min(guesses_left(one) for one in (record, *held))
        found = await last.recover(knows=True)
        if had_left > 0 and not isinstance(found, messages.Recovered):
            self.checked(lambda: _found("RECOVERABLE", f"the right code, with {had_left} guesses left, gets {found}"))


@contextmanager
def _quiet() -> Iterator[None]:
    """The product's warnings are expected here, by the thousand."""
    log = logging.getLogger("hsm_app")
    before, _ = log.level, log.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        log.setLevel(before)


def guesses_left(record: Record) -> int:
    """How many more guesses a record allows: none when nothing is live."""
    return record.active.maximum - (record.sequence - record.last_success) if record.active else 0


def _found(check: str, what: str) -> None:
    raise FoundError(check, what)


def example_fleet(maximum: int, size: int) -> Fleet:
    """A fleet of one group, with no waits, since a run has no time for them."""
    replicas = [
        Replica(replica=ReplicaId(number), incarnation=1, identity_public=bytes(33), link_public=bytes(33))
        for number in range(1, size + 1)
    ]
    return Fleet(
        fleet=FleetId("fleet-1"),
        state=FleetState.ACTIVE,
        custody=Custody.MAINTAINED,
        kem_public=bytes(33),
        opaque_public=bytes(33),
        seal_check=bytes(32),
        id_check=bytes(32),
        groups=(Group(group=0, replicas=tuple(replicas)),),
        tenants=(),
        argon2=Argon2Costs(iterations=1, memory_kib=8, lanes=1),
        attempts=AttemptPolicy(
            maximum=maximum,
            waits_seconds=(0,),
            replace_delay_seconds=10**7,
            charges_per_hour=100_000,
            destructions_per_hour=100_000,
        ),
        evidence_sha256=None,
        assurance=None,  # type: ignore[arg-type]
    )
