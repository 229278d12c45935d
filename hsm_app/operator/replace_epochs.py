"""Bring running replicas to an epoch, have one of them sweep it, and fetch the certificate, through their doors."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from hsm_app.epochs import Epochs
from hsm_app.errors import ConfigError, ProtocolError, QuorumError
from hsm_app.fleet.manifest import Group, Manifest
from hsm_app.fleet.membership import GroupStep, group_step, needs_certificate
from hsm_app.fleet.membership_certificate import parse_certificate
from hsm_app.net.address import Address
from hsm_app.operator.door_client import DoorClosedError, call
from hsm_app.operator.fleet_directory import FleetDirectory
from hsm_app.operator.layout import ReplicaFiles
from hsm_app.wire.operator_bodies import (
    BUNDLE,
    CERTIFICATE,
    ENTER,
    EPOCH,
    SWEEP,
    Entry,
    EpochReport,
    decode_report,
    encode_entry,
)

POLL_SECONDS = 0.2
TELL_SECONDS = 2.0  # between two lines of progress
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Doors:
    """The replicas of a fleet made by `fleet create`, by way of their operator's doors."""

    directory: FleetDirectory
    say: Say

    @property
    def root(self) -> Path:
        return self.directory.root

    @property
    def epochs(self) -> Epochs:
        return self.directory.epochs

    def report(self, replica: int) -> EpochReport | None:
        """Ask a replica where it stands; None when it is away."""
        try:
            return decode_report(call(self._address(replica), EPOCH))
        except DoorClosedError:
            return None

    def bring(self, group: Group, target: Manifest, *, need: int) -> list[int]:
        """Bring every member that runs to `target`, step by step; return who is there. QuorumError for too few.

        Each replica judges each step by itself; one that is behind by two epochs enters them one after the other.
        """
        members = [member.replica for member in group.replicas]
        with ThreadPoolExecutor(len(members)) as all_at_once:  # while they are in two epochs there is no majority
            came = list(all_at_once.map(lambda member: self._bring_one(member, target), members))
        arrived = [member for member, is_there in zip(members, came, strict=True) if is_there]
        away = sorted(set(members) - set(arrived))
        self.say(
            f"entered epoch {target.epoch}: replicas {_list(arrived)}" + (f"; away: {_list(away)}" if away else "")
        )
        if len(arrived) < need:
            raise QuorumError(
                f"{len(arrived)} replicas have entered epoch {target.epoch}, and it takes {need}",
                "Start the replicas that are away, then run the same command again: it goes on from here",
            )
        return [int(replica) for replica in arrived]

    def renew(self, bundle: bytes, present: Manifest) -> bool:
        """Give every replica that runs a newer proof of the present manifest. False when none runs."""
        members = [member.replica for group in self.directory.fleet(present).groups for member in group.replicas]
        given = [member for member in members if self.report(member) is not None]
        for member in given:
            call(self._address(member), BUNDLE, bundle)
        away = sorted(set(members) - set(given))
        self.say(
            f"epoch {present.epoch} is proved to clients by replicas {_list(given)}"
            + (f"; away: {_list(away)}, give it to them later by the same command" if away else "")
        )
        return bool(given)

    def _bring_one(self, replica: int, target: Manifest) -> bool:
        report = self.report(replica)
        if report is not None and report.epoch < target.epoch:
            self._give_bundle(replica, target.epoch)  # first, since it shows that what lies between is only old
        while report is not None and report.epoch < target.epoch:
            report = self._enter_next(replica, report.epoch)
        if report is not None and (report.epoch, report.manifest) != (target.epoch, target.digest):
            raise ConfigError(
                f"replica {replica} is in epoch {report.epoch} under another manifest than this directory has",
                "Find out which directory the fleet's operator works with; nothing was changed there",
            )
        return report is not None

    def _enter_next(self, replica: int, epoch: int) -> EpochReport | None:
        following = self.epochs.past(epoch + 1)
        if following is None:
            raise ConfigError(f"{self.root / 'epochs'} lacks the manifest of epoch {epoch + 1}", "Put it back there")
        if not self._give_bundle(replica, epoch + 1):
            return None
        entry = Entry(manifest=following.raw, certificates=self.epochs.certificate_files(epoch))
        try:
            return decode_report(call(self._address(replica), ENTER, encode_entry(entry)))
        except DoorClosedError:
            return None

    def _give_bundle(self, replica: int, epoch: int) -> bool:
        """Hand over an epoch's bundle, where replicas want one. False when the replica is away."""
        if self.directory.trusted is None:
            return True
        raw = self.epochs.bundle(epoch)
        if raw is None:
            path = self.root / "epochs" / f"manifest-{epoch}.json"
            raise ConfigError(
                f"the manifest of epoch {epoch} is not public yet, so no replica enters it",
                f"Have the auditor sign {path}, counter-sign and log it, give the bundle to `hsm-vault namespace "
                "publish`, and run this command again",
            )
        try:
            call(self._address(replica), BUNDLE, raw)
        except DoorClosedError:
            return False
        return True

    def check_not_ahead(self, manifest: Manifest) -> None:
        """ConfigError when a replica is in a later epoch: this directory lost what it issued, and issues none anew."""
        for group in self.directory.fleet(manifest).groups:
            for member in group.replicas:
                report = self.report(member.replica)
                if report is not None and report.epoch > manifest.epoch:
                    own = ReplicaFiles(root=self.root, number=member.replica).directory / "epochs"
                    raise ConfigError(
                        f"replica {member.replica} is in epoch {report.epoch}, which this directory has not issued",
                        f"Copy what {self.root / 'epochs'} lacks from {own}, then run the same command again",
                    )

    def certify_to_leave(self, current: Manifest) -> None:
        """Have the present epoch swept and certified, where it is left only with a certificate (rule 4)."""
        before = self.epochs.past(current.epoch - 1)
        for index, group in enumerate(self.directory.fleet(current).groups):
            came = self._came(before, current, index)
            if needs_certificate(group, came) and not self.epochs.certificate_files(current.epoch):
                self.certify(group, current, self.bring(group, current, need=group.majority))

    def _came(self, before: Manifest | None, current: Manifest, index: int) -> GroupStep:
        """Return the step by which a group came into the present epoch."""
        fleet = self.directory.fleet(current)
        listed = [] if before is None else [each for each in before.fleets if each.fleet == fleet.fleet]
        return group_step(listed[0].groups[index], fleet.groups[index]) if listed else None

    def certify(self, group: Group, epoch: Manifest, members: list[int]) -> None:
        """Have the epoch swept and certified, and keep the certificate. Nothing is done when it is there already."""
        if self.epochs.certificate_files(epoch.epoch):
            self.say(f"epoch {epoch.epoch} is certified already")
            return
        sweeper = self._sweeper(members)
        self.say(
            f"replica {sweeper} sweeps epoch {epoch.epoch}: every record to a majority of the {len(group.replicas)}"
        )
        self._sweep(sweeper)
        raw = call(self._address(sweeper), CERTIFICATE)
        certificate = parse_certificate(raw)
        if (certificate.epoch, certificate.manifest) != (epoch.epoch, epoch.digest):
            raise ProtocolError(f"replica {sweeper} gave a certificate of another epoch", "Run the command again")
        certificate.check(group)
        self.epochs.record_certificates(epoch.epoch, [raw])
        signers = _list([replica for replica, _ in certificate.signatures])
        self.say(f"certificate of epoch {epoch.epoch}: signed by replicas {signers}")

    def _sweeper(self, members: list[int]) -> int:
        """Choose who sweeps: whoever has come furthest with it."""
        reports = [report for member in members if (report := self.report(member)) is not None]
        if not reports:
            raise QuorumError("no replica is there to sweep", "Start the replicas and run the command again")
        return max(reports, key=lambda report: (report.is_swept, report.swept)).replica

    def _sweep(self, sweeper: int) -> None:
        report = decode_report(call(self._address(sweeper), SWEEP))
        told = time.monotonic()
        while not report.is_swept:
            if report.fault:
                raise QuorumError(f"the sweep by replica {sweeper} stopped: {report.fault}", "Run the command again")
            time.sleep(POLL_SECONDS)
            report = decode_report(call(self._address(sweeper), EPOCH if report.is_sweeping else SWEEP))
            if time.monotonic() - told > TELL_SECONDS:
                told = time.monotonic()
                self.say(f"  {report.swept} records swept")
        self.say(f"swept: {report.swept} records")

    def _address(self, replica: int) -> Address:
        return Address(path=str(ReplicaFiles(root=self.root, number=replica).operator))


def _list(replicas: Sequence[int]) -> str:
    return ", ".join(str(int(replica)) for replica in replicas) or "none"
