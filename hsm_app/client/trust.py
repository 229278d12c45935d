"""Whose keys a client believes: one pinned manifest, or whatever a root of trust vouches for.

*Pinned* (WhatsApp's way): the app ships the manifest's digest, and another manifest takes another app. *Root of trust*
(Messenger's way): the app ships a document that names auditors, operators, a log and its witnesses, and believes each
manifest that comes with a bundle of theirs (`fleet.bundle`), from wherever it comes. What was believed once is kept, so
that neither the epoch nor the log goes back; a device that has seen nothing is protected by the document's least epoch,
the manifest's expiry and the age of the witnesses' word.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

from hsm_app.errors import ConfigError, LogError, QuorumError
from hsm_app.fleet.bundle import seen_in, verify_bundle
from hsm_app.fleet.manifest import Manifest
from hsm_app.fleet.root_of_trust import RootOfTrust, check_expiry

Keep = Callable[[bytes, Manifest], None]


def _wall_clock() -> int:
    return int(time.time())


class Trust(Protocol):
    @property
    def manifest(self) -> Manifest:
        """Return the manifest that is believed now. ConfigError when there is none."""

    def follow(self, bundle: bytes) -> Manifest:
        """Take a bundle and return the manifest to work with from now on.

        LogError names the check that a bundle did not pass; QuorumError where no bundle is followed.
        """


class PinnedManifest:
    """Believes one manifest."""

    def __init__(self, manifest: Manifest) -> None:
        self._manifest = manifest

    @property
    def manifest(self) -> Manifest:
        return self._manifest

    def follow(self, bundle: bytes) -> Manifest:
        raise QuorumError(
            f"the replica works under another manifest than the pinned one of epoch {self._manifest.epoch}",
            "If that lasts, the app needs the fleet's present manifest and its digest",
            ambiguous=True,
        )


class FollowedManifest:
    """Believes what a root of trust vouches for, and nothing older than it has seen.

    `held` is the bundle that was kept last, None on a new device. `keep` makes a bundle durable before it is believed.
    """

    def __init__(self, root: RootOfTrust, held: bytes | None, keep: Keep, now: Callable[[], int] = _wall_clock) -> None:
        """ConfigError when the root of trust has expired; LogError when what was kept is no bundle."""
        check_expiry(root, now())
        self._root = root
        self._keep = keep
        self._now = now
        self._seen = None if held is None else seen_in(held)
        self._manifest = None if held is None else self._still_believed(held)

    @property
    def manifest(self) -> Manifest:
        if self._manifest is None:
            raise ConfigError("no manifest of the fleet is known yet", "Ask the fleet for its bundle first")
        return self._manifest

    @property
    def is_known(self) -> bool:
        """Whether a manifest is believed. If not, ask for a bundle (`client.learning`)."""
        return self._manifest is not None

    def follow(self, bundle: bytes) -> Manifest:
        found = verify_bundle(bundle, self._root, now=self._now(), seen=self._seen)
        self._keep(bundle, found.manifest)
        self._seen, self._manifest = found.seen, found.manifest
        return found.manifest

    def _still_believed(self, held: bytes) -> Manifest | None:
        """Return the manifest that was kept, None when a new device would not believe it today: then ask anew."""
        try:
            return verify_bundle(held, self._root, now=self._now(), seen=None).manifest
        except LogError:
            return None
