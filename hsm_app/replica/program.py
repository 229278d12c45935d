"""The replica as a process: from its configuration to a listening service, and the ways it ends.

It comes up in this order, so that nothing is promised before it can be kept: manifest and window, token and fleet keys
(checked against the manifest), store and anchor (checked against each other; the epoch entered and the boot number
raised in the anchor, before either is used), links to the other replicas, the door for relays; it is called ready when
it reaches a majority, or after two seconds without one. A store or token that fails ends the process at once with its
error: a replica that cannot remember its votes must not vote. Configuration that does not fit the manifest is refused
before the token is touched.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

from hsm_app.consensus.ballot import BallotSource
from hsm_app.errors import ConfigError
from hsm_app.fleet.manifest import FleetState, Manifest, check_window
from hsm_app.merkle.anchor import NO_ROOT_OF_TRUST
from hsm_app.ports import Anchor, Clock, TokenQueue
from hsm_app.replica.anchors import KeeperIdentity
from hsm_app.replica.clock import GuardedClock
from hsm_app.replica.counters import tell_when_asked
from hsm_app.replica.desk import Desk
from hsm_app.replica.entropy import TokenEntropy
from hsm_app.replica.epoch_desk import EpochDesk
from hsm_app.replica.keeper import VoteKeeper
from hsm_app.replica.limits import HourlyLimit
from hsm_app.replica.links import LinkIdentity
from hsm_app.replica.membership import membership
from hsm_app.replica.peers import Peers
from hsm_app.replica.register import Register
from hsm_app.replica.repair import Repair
from hsm_app.replica.repair_answers import RepairAnswers
from hsm_app.replica.server import Door
from hsm_app.replica.service import Service
from hsm_app.replica.settings import ReplicaSettings
from hsm_app.replica.standing import Standing
from hsm_app.replica.sweep_answers import SweepAnswers
from hsm_app.replica.sweep_progress import SweepPlace
from hsm_app.replica.sweeping import Sweep
from hsm_app.replica.votes import OwnVoter, VoteWorker
from hsm_app.root_files import TrustedRoot
from hsm_app.store.opening import open_store
from hsm_app.store.owner import StoreOwner
from hsm_app.wire.hello import Hello

log = logging.getLogger(__name__)


class ReplicaProgram:
    """One replica. `tokens` is its token's queue, started and checked by the caller, who also closes it.

    `anchor` is the same token's memory of this replica's store. `follows` is the digest of the manifest that `manifest`
    was proved to follow, None when nothing proves it. `bundle` is what clients with another manifest are given. The
    progress of a sweep is kept at `sweep_progress`.
    """

    epoch_desk: EpochDesk  # from `start` on
    standing: Standing  # likewise

    def __init__(
        self,
        settings: ReplicaSettings,
        manifest: Manifest,
        tokens: TokenQueue,
        anchor: Anchor,
        *,
        follows: bytes | None,
        root: TrustedRoot | None,
        bundle: Callable[[], bytes],
        sweep_progress: Path,
    ) -> None:
        self._follows = follows
        self._root = root
        self._bundle = bundle
        self._sweep_progress = sweep_progress
        self._settings = settings
        self._manifest = manifest
        self._tokens = tokens
        self._anchor = anchor
        self._clock: Clock = GuardedClock()
        self._fleet = manifest.fleet(settings.fleet)
        self._group, self._member = membership(self._fleet, settings)
        self._failed: asyncio.Future[None] | None = None
        self._closers: list[Callable[[], object]] = []

    async def start(self) -> None:
        """Come up. Raises ConfigError, StoreError or TokenError; nothing listens then."""
        self._check_window()
        if self._fleet.state is FleetState.REVOKED:
            raise ConfigError(f"fleet {self._fleet.fleet} is revoked", "Do not run it; use an active fleet")
        self._failed = asyncio.get_running_loop().create_future()
        settings, own = self._settings, self._member.replica
        worker = VoteWorker(self._open_keeper, fatal=self.fail)
        boot = await worker.start()
        self._closers.append(worker.close)
        ballots = BallotSource(replica=own, incarnation=self._member.incarnation, boot=boot)
        others = [member.replica for member in self._group.replicas if member.replica != own]
        addresses = {other: settings.peers[other] for other in others}
        place = SweepPlace(manifest=self._manifest, fleet=self._fleet.fleet, group=self._group, own=own)
        answers = SweepAnswers(place, worker, self._tokens)
        peers = Peers(
            self._identity(boot),
            addresses,
            worker=worker,
            ballots=ballots,
            inquiries={**answers.handlers(), **RepairAnswers(worker).handlers()},
            fail=self.fail,
        )
        self._closers.append(peers.close)
        await peers.start(settings.listen.peers)
        register = Register(voters={own: OwnVoter(own, worker), **peers.voters}, ballots=ballots)
        self._closers.append(tell_when_asked(worker, register))
        sweep = Sweep(place, answers, peers=peers, register=register, tokens=self._tokens, path=self._sweep_progress)
        self.epoch_desk = EpochDesk(place, sweep)
        self._closers.append(self.epoch_desk.close)
        service = Service(self._desk(register), self._manifest, self._bundle)
        door = Door(service, settings.in_flight, self.fail)
        self._closers.append(door.close)
        await peers.settle()
        await door.start(settings.listen.clients)
        members = len(self._group.replicas)
        repair = Repair(others, members=members, peers=peers, worker=worker, register=register, ballots=ballots)
        repairing = asyncio.create_task(self._repair(repair))
        self._closers.append(repairing.cancel)
        self.standing = Standing(self._manifest.epoch, self._member, boot, worker, register, repair)
        log.info("replica %d of fleet %s, boot %d", own, self._fleet.fleet, boot)

    def _check_window(self) -> None:
        """Refuse to start outside the manifest's window; with a root of trust, wait for the next one at the door.

        Requests are refused then, each by the same check (`replica.service`).
        """
        try:
            check_window(self._manifest, self._clock.now())
        except ConfigError as error:
            if self._root is None:
                raise
            log.error("%s; until a new epoch is published to this replica, it serves nobody", error.what)

    async def failure(self) -> None:
        """Wait for as long as all is well; return when told to `end`, and raise what else ended it."""
        if self._failed is None:
            raise RuntimeError("start the replica first")
        await self._failed

    async def close(self) -> None:
        """Close the door, then the links, then the store."""
        for close in reversed(self._closers):
            result = close()
            if asyncio.iscoroutine(result):
                await result
        self._closers.clear()

    def end(self) -> None:
        """Let `failure` return: another program takes this one's place."""
        if self._failed is not None and not self._failed.done():
            self._failed.set_result(None)

    def fail(self, error: BaseException) -> None:
        """Let `failure` raise."""
        if self._failed is not None and not self._failed.done():
            self._failed.set_exception(error)

    async def _repair(self, repair: Repair) -> None:
        try:
            await repair.run()
        except Exception as error:  # the repair copes with every VaultError; what gets here is a bug
            self.fail(error)

    def _open_keeper(self) -> VoteKeeper:
        """Open the store and check it against the anchor. Runs on the vote thread, where both are used from then on."""
        fleet, own = self._fleet.fleet, self._member
        store = open_store(self._settings.votes_in(), StoreOwner(fleet=fleet, replica=own.replica))
        identity = KeeperIdentity(
            fleet=fleet,
            group=self._group.group,
            replica=own.replica,
            incarnation=own.incarnation,
            epoch=self._manifest.epoch,
            manifest=self._manifest.digest,
            root_of_trust=NO_ROOT_OF_TRUST if self._root is None else self._root.document.digest,
            follows=self._follows,
            root_follows=() if self._root is None else self._root.follows,
        )
        try:
            return VoteKeeper.open(store, self._anchor, identity)
        except BaseException:
            store.close()
            raise

    def _identity(self, boot: int) -> LinkIdentity:
        hello = Hello(
            fleet=self._fleet.fleet,
            group=self._group.group,
            epoch=self._manifest.epoch,
            manifest_digest=self._manifest.digest,
            replica=self._member.replica,
            incarnation=self._member.incarnation,
            boot=boot,
            nonce=bytes(32),
        )
        members = {member.replica: member for member in self._group.replicas}
        return LinkIdentity(hello=hello, members=members, tokens=self._tokens)

    def _desk(self, register: Register) -> Desk:
        attempts = self._fleet.attempts
        return Desk(
            fleet=self._fleet,
            epoch=self._manifest.epoch,
            group=self._group,
            replica=self._member.replica,
            tokens=self._tokens,
            register=register,
            clock=self._clock,
            entropy=TokenEntropy(self._tokens),
            charges=HourlyLimit("charges", attempts.charges_per_hour),
            destructions=HourlyLimit("destructions", attempts.destructions_per_hour),
            ticket_seconds=self._settings.ticket_seconds,
        )
