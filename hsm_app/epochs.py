"""The manifests of past epochs as files, and the one step by which a manifest file is exchanged for the next.

    manifest.json                        the present epoch's
    epochs/manifest-N.json               those before it (and a copy of the present one)
    epochs/certificate-N-K.json          the certificates by which epoch N may be left
    epochs/bundle-N                      why epoch N may be believed (`fleet.bundle`), where there is a root of trust
    epochs/sweep-N.json                  how far this replica has swept epoch N (`replica.sweeping`)

A replica's own directory has them, and the operator's. Nothing here is secret, and nothing is trusted because it lies
here: a manifest is followed by another one only when `fleet.membership.check_entry` says so, each time anew.

Entering an epoch writes the certificates, then copies of both manifests, then exchanges `manifest.json` by a rename.
A crash before the rename leaves the old epoch, and the same request does it again; after it, the new manifest with all
that proves it. What the token has anchored is not touched: `VoteKeeper.open` enters the epoch when the replica starts
with the new file, the same way after a crash as without one.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hsm_app.durable import make_directories, replace_file
from hsm_app.errors import ConfigError, LogError
from hsm_app.fleet.bundle import verify_logged
from hsm_app.fleet.manifest import Manifest
from hsm_app.fleet.manifest_json import parse_manifest
from hsm_app.fleet.membership import check_entry
from hsm_app.fleet.membership_certificate import SweepCertificate, parse_certificate
from hsm_app.fleet.root_of_trust import RootOfTrust


class Epochs:
    """The files beside one `manifest.json`. ConfigError for a file that cannot be read, StoreError for a write.

    With a root of trust a manifest is entered only with its bundle, and may then change more (`fleet.membership`). With
    `fleet`, certificates are asked for that fleet's groups only: what others hold is theirs to bring along.
    """

    def __init__(self, manifest: Path, root: RootOfTrust | None = None, fleet: str | None = None) -> None:
        self._manifest = manifest
        self._fleet = fleet
        self._root = root
        self._directory = manifest.parent / "epochs"

    def current(self) -> Manifest:
        """Return the present manifest."""
        return read_manifest(self._manifest)

    def past(self, epoch: int) -> Manifest | None:
        """Return the manifest of an epoch from the history, None when it is not there."""
        path = self._past(epoch)
        return read_manifest(path) if path.exists() else None

    def certificates(self, epoch: int) -> tuple[SweepCertificate, ...]:
        """Return the certificates by which an epoch may be left, as far as they are there."""
        return tuple(parse_certificate(raw) for raw in self.certificate_files(epoch))

    def certificate_files(self, epoch: int) -> tuple[bytes, ...]:
        """The same as files."""
        return tuple(_read(path) for path in sorted(self._directory.glob(f"certificate-{epoch}-*.json")))

    def sweep(self, epoch: int) -> Path:
        """Return where the progress of an epoch's sweep is kept."""
        return self._directory / f"sweep-{epoch}.json"

    def check(self, following: Manifest, certificates: Sequence[SweepCertificate]) -> None:
        """Raise ConfigError unless `following` may be entered from the present manifest."""
        current = self.current()
        check_entry(
            self.past(current.epoch - 1),
            current,
            following,
            certificates,
            is_published=self._root is not None,
            fleet=self._fleet,
        )

    def proven_predecessor(self) -> bytes | None:
        """Return the digest of the manifest that the present one was proved to follow; None when nothing proves it.

        ConfigError or LogError when the history is there and breaks the rules.
        """
        current = self.current()
        before = self.past(current.epoch - 1)
        if before is None or not self._is_proven(current):
            return None
        older = self.past(before.epoch - 1)
        if older is None and before.epoch > 1:
            return None
        certificates = self.certificates(before.epoch)
        check_entry(older, before, current, certificates, is_published=self._root is not None, fleet=self._fleet)
        return before.digest

    def bundle(self, epoch: int) -> bytes | None:
        """Return the bundle that was kept for an epoch, None when there is none."""
        path = self._bundle(epoch)
        return _read(path) if path.exists() else None

    def bundles_after(self, epoch: int) -> list[bytes]:
        """Return the bundles that were kept for later epochs, the newest first."""
        numbers = (path.name.removeprefix("bundle-") for path in self._directory.glob("bundle-*"))
        later = sorted((int(number) for number in numbers if number.isdecimal() and int(number) > epoch), reverse=True)
        return [_read(self._bundle(number)) for number in later]

    def keep_bundle(self, epoch: int, raw: bytes) -> None:
        """Keep a bundle that was verified, durably."""
        self._write(self._bundle(epoch), raw)

    def record(self, manifest: Manifest) -> None:
        """Add a manifest to the history, durably."""
        self._write(self._past(manifest.epoch), manifest.raw)

    def record_certificates(self, epoch: int, files: Sequence[bytes]) -> None:
        """Add the certificates by which an epoch may be left, durably, in place of those that were there."""
        for number, raw in enumerate(files):
            self._write(self._directory / f"certificate-{epoch}-{number}.json", raw)

    def enter(self, following: Manifest, certificates: Sequence[bytes]) -> None:
        """Make `following`, which was checked, the present manifest: durable when this returns, whole at any crash."""
        current = self.current()
        self.record_certificates(current.epoch, certificates)
        self.record(current)
        self.record(following)
        replace_file(self._manifest, following.raw)

    def _is_proven(self, manifest: Manifest) -> bool:
        """Say whether nothing more is asked for, or the manifest's bundle is here. Its time was checked on entry."""
        if self._root is None:
            return True
        raw = self.bundle(manifest.epoch)
        try:
            return raw is not None and verify_logged(raw, self._root).manifest.digest == manifest.digest
        except LogError:
            return False

    def _bundle(self, epoch: int) -> Path:
        return self._directory / f"bundle-{epoch}"

    def _past(self, epoch: int) -> Path:
        return self._directory / f"manifest-{epoch}.json"

    def _write(self, path: Path, raw: bytes) -> None:
        make_directories(self._directory, self._manifest.parent)
        replace_file(path, raw)


def read_manifest(path: Path) -> Manifest:
    """Read and check a manifest file. ConfigError when it cannot be read or is none."""
    return parse_manifest(_read(path))


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}", "Check the path, and the rights to it") from error
