"""The next manifest of a namespace from the operator's side: propose it, and bring replicas to it once it is public.

Between the two lie the auditor's signature, the operator's counter-signature and the log; what comes back is a bundle.
Replicas take nothing from this command on trust: each verifies the bundle, and enters by the rules of
`fleet.membership`. An epoch that changes members belongs to `fleet replace-replica`, which takes the steps in their
order; for such a one, only the bundle is kept here. Done again after an interruption, this goes on where it was.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from hsm_app.durable import owning, replace_file
from hsm_app.errors import ConfigError, LogError, QuorumError
from hsm_app.fleet.bundle import seen_in, verify_bundle
from hsm_app.fleet.manifest import Fleet, FleetState, Manifest
from hsm_app.fleet.manifest_encoding import encode_manifest
from hsm_app.fleet.manifest_json import parse_manifest
from hsm_app.fleet.membership import group_step
from hsm_app.fleet.publication import check_fleets_go_on
from hsm_app.fleet.root_of_trust import RootOfTrust, check_expiry
from hsm_app.operator.fleet_directory import FleetDirectory
from hsm_app.operator.replace_epochs import Doors
from hsm_app.operator.replace_evidence import prove_evidence

Say = Callable[[str], None]


def next_manifest(
    current: Manifest, *, now: int, not_after: int, states: Mapping[str, FleetState], more: tuple[Fleet, ...] = ()
) -> Manifest:
    """Return the manifest of the next epoch: fleets in new states, and new fleets. ConfigError, LogError by its rules.

    `now` and `not_after` are POSIX seconds.
    """
    for fleet in states:
        current.fleet(fleet)
    fleets = tuple(replace(fleet, state=states.get(fleet.fleet, fleet.state)) for fleet in current.fleets)
    following = parse_manifest(
        encode_manifest(
            namespace=current.namespace,
            epoch=current.epoch + 1,
            previous_sha256=current.digest,
            issued_at=max(now, current.issued_at),
            not_before=current.not_before,
            not_after=not_after,
            fleets=(*fleets, *more),
        )
    )
    check_fleets_go_on(current, following)
    return following


def trusted_root(directory: FleetDirectory) -> RootOfTrust:
    """Return whom the fleet's replicas believe. ConfigError when they believe nobody."""
    if directory.trusted is None:
        raise ConfigError(
            f"the fleet below {directory.root} was made without a root of trust, so it follows no bundle",
            "Only `hsm-vault fleet create --root-of-trust` gives one",
        )
    return directory.trusted


@dataclass(frozen=True, slots=True, kw_only=True)
class Publishing:
    """One bundle on its way to the replicas. `now` is POSIX seconds."""

    directory: FleetDirectory
    now: int
    say: Say

    def run(self, raw: bytes) -> Manifest:
        """Verify a bundle as a client would, keep it, and bring the replicas that run to its epoch.

        Returns its manifest. LogError names the check that failed; QuorumError when too few replicas are there;
        StoreError while another process works on the fleet.
        """
        with owning(self.directory.root):
            return self._run(raw)

    def _run(self, raw: bytes) -> Manifest:
        epochs = self.directory.epochs
        current = epochs.current()
        manifest = self._verified(raw, current)
        epochs.keep_bundle(manifest.epoch, raw)
        doors = Doors(directory=self.directory, say=self.say)
        given = True
        if manifest.epoch == current.epoch:
            for group in self.directory.fleet(manifest).groups:
                doors.bring(group, manifest, need=0)  # whoever was away when it was entered
            given = doors.renew(raw, manifest)
        elif self._changes_members(current, manifest):
            self.say(f"epoch {manifest.epoch} changes members: the bundle is kept for `fleet replace-replica`; run it")
        else:
            self._enter(doors, current, manifest)
        prove_evidence(self.directory, manifest, raw)
        if not given:
            raise QuorumError(
                f"no replica runs, so nobody proves epoch {manifest.epoch} to clients",
                "The bundle is kept in the directory; start the replicas, then run the same command again",
            )
        return manifest

    def _verified(self, raw: bytes, current: Manifest) -> Manifest:
        root = trusted_root(self.directory)
        check_expiry(root, self.now)
        held = self.directory.epochs.bundle(current.epoch)
        seen = None if held is None else seen_in(held)
        manifest = verify_bundle(raw, root, now=self.now, seen=seen).manifest
        if not current.epoch <= manifest.epoch <= current.epoch + 1:
            raise ConfigError(
                f"the bundle is of epoch {manifest.epoch}, and this directory is in epoch {current.epoch}",
                "Publish the epochs in their order, none left out",
            )
        if manifest.epoch == current.epoch and manifest.digest != current.digest:
            raise LogError("delta", f"the bundle has another manifest of epoch {manifest.epoch} than this directory")
        return manifest

    def _changes_members(self, current: Manifest, manifest: Manifest) -> bool:
        return any(
            group_step(old, new) is not None
            for fleet in current.fleets
            for old, new in zip(fleet.groups, manifest.fleet(fleet.fleet).groups, strict=True)
        )

    def _enter(self, doors: Doors, current: Manifest, manifest: Manifest) -> None:
        epochs, fleet = self.directory.epochs, self.directory.fleet(current)
        doors.certify_to_leave(current)
        epochs.check(manifest, epochs.certificates(current.epoch))
        epochs.record(current)
        epochs.record(manifest)
        for group in fleet.groups:
            doors.bring(group, manifest, need=group.majority)
        replace_file(self.directory.root / "manifest.json", manifest.raw)
