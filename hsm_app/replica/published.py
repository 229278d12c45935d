"""The bundles of one replica: which one it hands to clients, and which epoch it lets in.

A replica with a root of trust believes no manifest before a client would. The bundle of the next epoch comes through
the operator's door, is verified whole, its time too, and kept beside the manifests; the epoch is entered with it and
not without (VAULT-EPOCH-BY-BUNDLE). One case is a replica's own: it was away for two epochs, and the witnesses' word on
the first of them has grown old. That bundle is taken when the bundle of a later epoch is here and of today, since then
nobody holds back what is newer; a client would skip that epoch, a replica may not.

The bundle of the present epoch goes into each refusal, for as long as a client would believe it; a newer proof of the
same manifest takes its place.
"""

from __future__ import annotations

import logging

from hsm_app.epochs import Epochs
from hsm_app.errors import ConfigError, LogError, QuorumError, VaultError
from hsm_app.fleet.bundle import seen_in, verify_bundle, verify_logged
from hsm_app.fleet.manifest import Manifest
from hsm_app.fleet.root_of_trust import RootOfTrust, check_expiry
from hsm_app.ports import Clock

LOOK_AGAIN = 60  # seconds; a verification takes milliseconds, and a flood of refusals must not cost one each
log = logging.getLogger(__name__)


class Published:
    """One replica's bundles, beside its manifests."""

    def __init__(self, root: RootOfTrust, epochs: Epochs, clock: Clock) -> None:
        self._root = root
        self._epochs = epochs
        self._clock = clock
        self._served = b""
        self._look_again = 0

    def served(self) -> bytes:
        """Return the bundle of the present epoch, b"" while there is none that a client would believe."""
        try:
            now = self._clock.now()
        except QuorumError:  # this replica does not know what time it is
            return b""
        if now >= self._look_again:
            self._served, self._look_again = self._present(now), now + LOOK_AGAIN
        return self._served

    def keep(self, raw: bytes) -> None:
        """Keep a bundle of the present or a later epoch, durably. LogError, ConfigError for one not to be believed."""
        self._epochs.keep_bundle(self._verified(raw).epoch, raw)
        self._look_again = 0

    def check_entry(self, following: Manifest) -> None:
        """Raise unless the bundle of the next manifest is here and to be believed now. ConfigError, LogError."""
        raw = self._epochs.bundle(following.epoch)
        if raw is None:
            raise ConfigError(
                f"nothing proves that the auditor published the manifest of epoch {following.epoch}",
                "Have it signed, counter-signed and logged, then give its bundle: `hsm-vault namespace publish`",
            )
        if self._verified(raw).digest != following.digest:
            raise LogError("digest", f"the auditor published another manifest of epoch {following.epoch}")

    def _verified(self, raw: bytes) -> Manifest:
        """Return the manifest of a bundle that a client in the present epoch would believe. LogError, ConfigError."""
        now, current = self._clock.now(), self._epochs.current()
        check_expiry(self._root, now)
        held = self._epochs.bundle(current.epoch)
        seen = None if held is None else seen_in(held)
        try:
            manifest = verify_bundle(raw, self._root, now=now, seen=seen).manifest
        except LogError as error:
            manifest = verify_logged(raw, self._root).manifest
            if error.check != "freshness" or not self._has_later(manifest.epoch, now):
                raise
        if manifest.epoch < current.epoch or (manifest.epoch == current.epoch and manifest.digest != current.digest):
            raise LogError(
                "delta",
                f"the bundle of epoch {manifest.epoch} is not this replica's, which is in epoch {current.epoch}",
            )
        return manifest

    def _has_later(self, epoch: int, now: int) -> bool:
        """Say whether a bundle of today is here for an epoch after `epoch`."""
        return any(self._is_of_today(raw, now) for raw in self._epochs.bundles_after(epoch))

    def _is_of_today(self, raw: bytes, now: int) -> bool:
        try:
            verify_bundle(raw, self._root, now=now, seen=None)
        except LogError:
            return False
        return True

    def _present(self, now: int) -> bytes:
        try:
            current = self._epochs.current()
            raw = self._epochs.bundle(current.epoch)
            if raw is None:
                log.warning("epoch %d has no bundle yet; clients cannot learn its keys here", current.epoch)
                return b""
            check_expiry(self._root, now)
            verify_bundle(raw, self._root, now=now, seen=None)
        except VaultError as error:
            log.warning("the bundle of the present epoch is not served: %s", error)
            return b""
        return raw
