"""The replica's process: the program of the present epoch, the next epoch's after it, and the operator's door beside.

A new epoch is entered by ending the program and starting it again with the new manifest, in the same process and with
the token kept open. So everything that must not cross an epoch is gone with the old program: held values, links,
frames under way, the boot number. What the entry writes, and in which order, stands in `hsm_app.epochs`; the start then
does what any start does: `proven_predecessor` proves the step by the rules, the keeper anchors the epoch, and only
then a link comes up or the call is answered. A crash at any point is such a start.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping

from hsm_app.epochs import Epochs
from hsm_app.errors import ConfigError, ProtocolError
from hsm_app.fleet.manifest import Manifest
from hsm_app.fleet.manifest_json import parse_manifest
from hsm_app.fleet.membership_certificate import parse_certificate
from hsm_app.ports import Anchor, TokenQueue
from hsm_app.replica.clock import GuardedClock
from hsm_app.replica.epoch_desk import EpochDesk
from hsm_app.replica.membership import membership
from hsm_app.replica.operator_door import Handler, OperatorDoor
from hsm_app.replica.program import ReplicaProgram
from hsm_app.replica.published import Published
from hsm_app.replica.settings import ReplicaSettings
from hsm_app.wire.operator_bodies import BUNDLE, CERTIFICATE, ENTER, EPOCH, SWEEP, decode_entry, encode_report
from hsm_app.wire.operator_status import STATUS, encode_status_report

log = logging.getLogger(__name__)


class ReplicaHost:
    """Implements `cli.serving.Program`. The caller owns `tokens`; `anchor` is the same token's."""

    def __init__(self, settings: ReplicaSettings, tokens: TokenQueue, anchor: Anchor) -> None:
        self._settings = settings
        self._tokens = tokens
        self._anchor = anchor
        self._root = settings.trusted_root()
        document = None if self._root is None else self._root.document
        self._epochs = Epochs(settings.manifest, document, settings.fleet)
        self._published = None if document is None else Published(document, self._epochs, GuardedClock())
        self._program = self._present()
        self._is_up = asyncio.Event()  # not while one epoch's program ends and the next one's starts
        self._door: OperatorDoor | None = None

    async def start(self) -> None:
        """Come up in the present epoch. Raises ConfigError, StoreError or TokenError."""
        await self._program.start()
        self._is_up.set()
        if self._settings.listen.operator is not None:
            self._door = OperatorDoor(self._handlers(), lambda error: self._program.fail(error))
            await self._door.start(self._settings.listen.operator)

    async def failure(self) -> None:
        """Wait for as long as all is well, through the epochs, and raise what ended it."""
        while True:
            await self._program.failure()
            await self._program.close()
            self._program = self._present()
            await self._program.start()
            self._is_up.set()

    async def close(self) -> None:
        """Close the doors, then the program."""
        if self._door is not None:
            self._door.close()
        await self._program.close()

    def _present(self) -> ReplicaProgram:
        manifest, follows = self._epochs.current(), self._epochs.proven_predecessor()
        return ReplicaProgram(
            self._settings,
            manifest,
            self._tokens,
            self._anchor,
            follows=follows,
            root=self._root,
            bundle=_nothing if self._published is None else self._published.served,
            sweep_progress=self._epochs.sweep(manifest.epoch),
        )

    def _handlers(self) -> Mapping[str, Handler]:
        return {
            STATUS: self._status,
            EPOCH: self._report,
            BUNDLE: self._keep_bundle,
            ENTER: self._enter,
            SWEEP: self._sweep,
            CERTIFICATE: self._certificate,
        }

    async def _status(self, body: bytes) -> bytes:
        _check_empty(body)
        await self._is_up.wait()
        return encode_status_report(await self._program.standing.report())

    async def _report(self, body: bytes) -> bytes:
        _check_empty(body)
        return encode_report((await self._desk()).report())

    async def _keep_bundle(self, body: bytes) -> bytes:
        """Keep the bundle of the present or the next epoch. LogError names the check that it does not pass."""
        if self._published is None:
            raise ConfigError(
                "this replica has no root of trust, so it believes nobody's bundle",
                "Only `fleet create --root-of-trust` gives one: the token remembers it from the first day",
            )
        self._published.keep(body)
        return b""

    async def _enter(self, body: bytes) -> bytes:
        """Enter the next epoch; answer when it is anchored. ConfigError when its manifest does not follow."""
        entry = decode_entry(body)
        following = parse_manifest(entry.manifest)
        if following.digest != self._epochs.current().digest:
            self._go_on_to(following, entry.certificates)
        return await self._report(b"")

    def _go_on_to(self, following: Manifest, certificates: tuple[bytes, ...]) -> None:
        if self._published is not None:
            self._published.check_entry(following)
        self._epochs.check(following, [parse_certificate(raw) for raw in certificates])
        membership(following.fleet(self._settings.fleet), self._settings)
        self._epochs.enter(following, certificates)
        log.info("entering epoch %d", following.epoch)
        self._is_up.clear()
        self._program.end()

    async def _sweep(self, body: bytes) -> bytes:
        _check_empty(body)
        (await self._desk()).begin()
        return await self._report(b"")

    async def _certificate(self, body: bytes) -> bytes:
        _check_empty(body)
        return await (await self._desk()).certificate()

    async def _desk(self) -> EpochDesk:
        await self._is_up.wait()
        return self._program.epoch_desk


def _nothing() -> bytes:
    return b""


def _check_empty(body: bytes) -> None:
    if body:
        raise ProtocolError("this call carries nothing")
