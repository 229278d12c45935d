"""One replica: the host with its disk, token and clock, and the process that runs on it from a start to its end.

In a process everything but the wires is the product's: the keeper over the simulated store and anchor, the voter for
its own votes, the register with its held values, and the service's handlers. Only the vote worker's thread is replaced,
by a queue that takes simulated time for each batch.
"""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from hsm_app.consensus.acceptor import Accept
from hsm_app.consensus.ballot import BallotSource
from hsm_app.consensus.proposer import Reply
from hsm_app.errors import StoreError, TokenError, VaultError
from hsm_app.merkle.anchor import first_anchor
from hsm_app.model import RecordId, ReplicaId, Subject
from hsm_app.replica.anchors import KeeperIdentity
from hsm_app.replica.clock import GuardedClock
from hsm_app.replica.desk import Desk
from hsm_app.replica.entropy import TokenEntropy
from hsm_app.replica.keeper import Question, VoteKeeper
from hsm_app.replica.limits import HourlyLimit
from hsm_app.replica.register import Change, Register, Transition
from hsm_app.replica.service import HANDLERS
from hsm_app.replica.votes import OwnVoter
from hsm_app.wire.hello import Hello
from tests.simulation.disks import Disk, KilledError, Point, SimulatedAnchor, SimulatedStore
from tests.simulation.ledger import FoundError
from tests.simulation.linearizability import Operation
from tests.simulation.network import SimulatedPeer
from tests.simulation.repairing import repairing
from tests.simulation.token import SimulatedQueue, SimulatedToken

if TYPE_CHECKING:
    from tests.simulation.world import Epoch, World

T = TypeVar("T")
DEADLINE = 1.5  # seconds of one operation
BATCH = 64  # votes
START = 1_790_000_000  # POSIX seconds when a run begins


class Host:
    """What survives a process. `trap` ends the process at the point it names: by a kill, or by an error."""

    def __init__(self, world: World, replica: int, incarnation: int, epoch: Epoch) -> None:
        self.world = world
        self.replica = replica
        self.incarnation = incarnation
        self.epoch = epoch
        self.follows: bytes | None = None
        self.disk = Disk()
        self.objects: list[bytes] = []
        self.backups: list[Disk] = []
        self.clock_offset = 0.0
        self.is_slow = False
        self.trap: tuple[Point, bool] | None = None
        self.process: Process | None = None
        self.when_down: Callable[[Host], None] = lambda host: None
        SimulatedAnchor(self.objects, self.pass_by).first(self._first_anchor())

    def _first_anchor(self) -> bytes:
        return first_anchor(
            fleet=self.world.fleet.fleet,
            group=0,
            replica=ReplicaId(self.replica),
            incarnation=self.incarnation,
            epoch=self.epoch.number,
            manifest=self.epoch.digest,
        ).to_bytes()

    def pass_by(self, point: Point) -> None:
        """Called at each point between two durable writes."""
        if self.trap is None or self.trap[0] is not point:
            return
        is_kill, self.trap = self.trap[1], None
        self.world.log(f"replica {self.replica} {'is killed' if is_kill else 'has an error'} {point.value}")
        if is_kill:
            raise KilledError
        raise TokenError(f"a device error {point.value}")

    def start(self, disk: Disk | None = None) -> Process | None:
        """Start a process, on its own disk or another one. None when it refuses or dies at once."""
        disk = self.disk if disk is None else disk
        try:
            process = Process(self, disk)
        except KilledError:
            return None
        except (StoreError, TokenError) as error:
            self.world.log(f"replica {self.replica} does not start: {error.what}")
            return None
        self.world.log(f"replica {self.replica} starts: boot {process.boot}, epoch {self.epoch.number}")
        self.process = process
        return process

    def ended(self, process: Process) -> None:
        """Called when a process has ended."""
        if self.process is process:
            self.process = None
            self.when_down(self)

    def stop(self) -> None:
        if self.process is not None:
            self.process.end()


class Process:
    """One start of a replica."""

    def __init__(self, host: Host, disk: Disk) -> None:
        world = self._world = host.world
        self.host, self.disk, self.epoch = host, disk, host.epoch
        self.replica = host.replica
        self.is_alive = True
        store = SimulatedStore(disk, host.pass_by)
        self.keeper = VoteKeeper.open(store, SimulatedAnchor(host.objects, host.pass_by), self._identity())
        for record, slot in disk.rows.items():  # durable, though nobody may have heard of the last ones
            self.note_accepted(record, slot.accepted, slot.value)
        self.boot = self.keeper.boot
        self.members = host.epoch.members
        self.tasks: dict[asyncio.Task[Any], None] = {}  # in the order of their starts
        self.worker = Worker(self)
        self.network = world.network
        self.ballots = BallotSource(replica=self.replica, incarnation=host.incarnation, boot=self.boot)
        self._peers = [
            SimulatedPeer(self, other, world.finder(other), world.network)
            for other in self.members
            if other != self.replica
        ]
        self._desk = self._made_desk()
        for peer in self._peers:
            peer.keep_up()
        pause = world.random.choice([0.3, 2.0, 1000.0])  # the last one repairs nothing
        self.spawn(repairing(self, {peer.replica: peer for peer in self._peers}, pause))

    def _identity(self) -> KeeperIdentity:
        return KeeperIdentity(
            fleet=self._world.fleet.fleet,
            group=0,
            replica=ReplicaId(self.replica),
            incarnation=self.host.incarnation,
            epoch=self.epoch.number,
            manifest=self.epoch.digest,
            root_of_trust=bytes(32),
            follows=self.host.follows,
        )

    @property
    def hello(self) -> Hello:
        return Hello(
            fleet=self._world.fleet.fleet,
            group=0,
            epoch=self.epoch.number,
            manifest_digest=self.epoch.digest,
            replica=self.replica,
            incarnation=self.host.incarnation,
            boot=self.boot,
            nonce=bytes(32),
        )

    def _made_desk(self) -> Desk:
        world, fleet = self._world, self._world.fleet
        token = SimulatedToken(world.secret, world.random, self._evaluated)
        tokens = SimulatedQueue(token, world.token_pause, lambda: self.is_alive)  # type: ignore[arg-type]
        voters = {ReplicaId(self.replica): OwnVoter(ReplicaId(self.replica), self.worker)}  # type: ignore[arg-type]
        voters |= {ReplicaId(peer.replica): peer for peer in self._peers}  # type: ignore[misc]
        self.register = Register(
            voters=voters,
            ballots=self.ballots,
            deadline=DEADLINE,
            held_values=world.held_values,
            jitter=world.random.random,
        )
        return SimulatedDesk(
            fleet=fleet,
            epoch=self.epoch.number,
            group=fleet.groups[0],
            replica=ReplicaId(self.replica),
            tokens=tokens,
            register=WatchedRegister(self),  # type: ignore[arg-type]
            clock=GuardedClock(lambda: START + world.loop.time() + self.host.clock_offset, world.loop.time),
            entropy=TokenEntropy(tokens),
            charges=HourlyLimit("guesses", 100_000),
            destructions=HourlyLimit("destructions", 100_000),
            ticket_seconds=300,
        )

    def _evaluated(self, blob: bytes, ke1: bytes) -> None:
        self._world.log(f"replica {self.replica} evaluates {ke1[:4].hex()} under key {blob[:4].hex()}")
        self._world.checked(lambda: self._world.ledger.note_evaluation(blob, ke1))

    def spawn(self, work: Any) -> asyncio.Task[Any]:
        """Run something that ends with the process."""
        task = asyncio.get_running_loop().create_task(work)
        self.tasks[task] = None
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        """Whether or not anyone waits for it: an error that is no answer is a bug."""
        self.tasks.pop(task, None)
        error = None if task.cancelled() else task.exception()
        if error is not None and (isinstance(error, StoreError) or not isinstance(error, VaultError)):
            self._world.log("".join(traceback.format_exception(error)))
            self._world.checked(lambda: _crashed(error))

    def serve(self, message: Any, route: int) -> asyncio.Task[Any]:
        """Answer a request as the service does; the task is cancelled when the process ends meanwhile."""
        return self.spawn(HANDLERS[type(message)](self._desk, message, route))

    def hear_questions(self, questions: Iterable[Question]) -> None:
        for _, asked in questions:
            self.ballots.observe(asked.next if isinstance(asked, Accept) else asked.ballot)

    def note_accepted(self, record: RecordId, ballot: Any, value: bytes) -> None:
        if ballot.counter:
            member = self.replica + 1000 * self.host.incarnation
            note = self._world.ledger.note_accepted
            self._world.checked(lambda: note(member, self.epoch.number, record, ballot, value))

    def end(self) -> None:
        """End the process: nothing of it leaves any more."""
        self.is_alive = False
        self.host.ended(self)
        for task in list(self.tasks):
            task.cancel()


def _crashed(error: BaseException) -> None:
    raise FoundError("CRASHED", f"{type(error).__name__}: {error}")


class SimulatedDesk(Desk):
    """The desk, with account tokens that are just the account's name."""

    __slots__ = ()

    def authorise(self, token: str, name: str, scope: str, route: int) -> Subject:
        subject = Subject(tenant="tenant", account=token, name=name)
        self.check_route(subject, route)
        return subject


class WatchedRegister:
    """The register, with each call's versions noted for the check of linearizability."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._world = process._world

    async def update(self, record: RecordId, transition: Transition[Any]) -> Any:
        loop, line, began = (
            asyncio.get_running_loop(),
            self._world.ledger.line(record),
            asyncio.get_running_loop().time(),
        )
        tried: list[Operation] = []

        async def watched(value: bytes) -> Change[Any]:
            change = await transition(value)
            if change.value is None:
                tried.append(Operation(began, None, value))
            else:
                line.writers[change.value] = value
                tried.append(Operation(began, None, change.value, value))
            return change

        try:
            result = await self._process.register.update(record, watched)
            if self._process.is_alive:
                last = tried.pop()
                line.operations.append(Operation(began, loop.time(), last.version, last.parent))
        finally:
            line.operations += [operation for operation in tried if operation.parent is not None]
        return result


class Worker:
    """Stands for replica.votes.VoteWorker: batches for the keeper, one after the other, without a thread."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._queue: list[tuple[Sequence[Question], Callable[[list[Reply]], None]]] = []
        self._is_busy = False

    def submit(self, questions: Sequence[Question], answer: Callable[[list[Reply]], None]) -> None:
        self._queue.append((questions, answer))
        if not self._is_busy:
            self._is_busy = True
            self._later()

    async def run(self, job: Callable[[VoteKeeper], T]) -> T:
        """Run a job on the keeper between two batches; nothing comes of it when the process has ended."""
        done: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_later(self._pause(), self._job, job, done)
        return await done

    def _job(self, job: Callable[[VoteKeeper], T], done: asyncio.Future[T]) -> None:
        if self._process.is_alive and not done.done():
            done.set_result(job(self._process.keeper))

    def _pause(self) -> float:
        return self._process._world.disk_pause(self._process.host.is_slow)

    def _later(self) -> None:
        asyncio.get_running_loop().call_later(self._pause(), self._vote)

    def _vote(self) -> None:
        process = self._process
        if not process.is_alive:
            return
        batch, self._queue = self._queue[:BATCH], self._queue[BATCH:]
        questions = [question for asked, _ in batch for question in asked]
        try:
            replies = process.keeper.vote(questions)
        except KilledError:
            process.end()
            return
        except VaultError as error:
            process._world.log(f"replica {process.replica} ends: {error.what}")
            process.end()
            return
        for (record, asked), reply in zip(questions, replies, strict=True):
            if isinstance(asked, Accept) and reply.granted:
                process.note_accepted(record, asked.ballot, asked.value)
        for asked_, answer in batch:
            answer(replies[: len(asked_)])
            replies = replies[len(asked_) :]
        self._is_busy = bool(self._queue)
        if self._is_busy:
            self._later()
