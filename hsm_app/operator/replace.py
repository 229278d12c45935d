"""Replace one replica of a fleet: the five steps of design section 7, as far as an operator's command can take them.

The command only carries: manifests and certificates to the replicas, the fleet's root to a fresh token. Whether a step
may be taken each replica judges by itself (`fleet.membership`), so a command that is wrong, repeated, or run from an
old directory changes nothing that it may not.

It keeps no journal. Where it stands is read from what is there, each time anew, so the same command after a crash goes
on from the last finished step:

| in the directory | and so |
|---|---|
| `manifest.json` lists the replica, no manifest of the next epoch in `epochs/` | nothing has begun |
| `epochs/` has the manifest without it | step 1: replicas enter it (those that have already say so) |
| `epochs/` has that epoch's certificate | steps 2 to 4, fence, sweep and certificate, are done |
| `epochs/` has the manifest with the successor | step 5: the successor is made ready, replicas enter |
| the successor's evidence has that manifest | it is published with it, for good (`replace_evidence`) |
| `manifest.json` lists the successor | done: this file is exchanged last |

From the manifest with the successor on, its token is the one that this manifest lists, and nothing is made or moved any
more. What if that token dies is in `operator.replace_died`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from hsm_app.durable import owning
from hsm_app.errors import ConfigError, TokenError
from hsm_app.fleet.manifest import Custody, Fleet, Group, Manifest, Replica
from hsm_app.fleet.membership_manifests import group_with, with_replica, without_replica
from hsm_app.operator.fleet_directory import FleetDirectory
from hsm_app.operator.replace_anchor import begin_anew, check_token
from hsm_app.operator.replace_epochs import Doors
from hsm_app.operator.replace_evidence import complete_evidence, evidence_of
from hsm_app.operator.replace_token import fresh_member, same_member

Say = Callable[[str], None]
ONE_AT_A_TIME = "Finish that one first: one at a time keeps every record"
SEALED = """\
the fleet is sealed: no security officer can mark a transport key as TRUSTED, so the root never gets into another
  token, and the dead one stays out for good. Epoch {epoch} without it is complete: {count} replicas are left, and
  {majority} of them have to run. Should the token live after all, run the same command with --same-token."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Replacement:
    """The number of the replica to replace, of the fleet that the directory is of."""

    directory: FleetDirectory
    replica: int
    is_same_token: bool
    now: int  # POSIX seconds
    say: Say

    def run(self) -> Manifest:
        """Take every step that is left; return the manifest that clients need now. Raises what a step raises.

        StoreError while another process works on the fleet.
        """
        with owning(self.directory.root):
            return self._run()

    def _run(self) -> Manifest:
        doors = Doors(directory=self.directory, say=self.say)
        base = self._base(doors)
        fleet = self._fleet(base)
        old = group_with(fleet, self.replica).find(self.replica)
        if doors.epochs.past(base.epoch + 1) is None:
            doors.certify_to_leave(base)
        without = self._without(doors, base, fleet)
        rest = self._fleet(without).groups[group_with(fleet, self.replica).group]
        if doors.epochs.past(without.epoch + 1) is None:
            members = doors.bring(rest, without, need=rest.majority)
            self.directory.exchange_manifest(without)
            doors.certify(rest, without, members)
        is_issued = doors.epochs.past(without.epoch + 1) is not None
        if fleet.custody is Custody.SEALED and not self.is_same_token and not is_issued:
            self.say(SEALED.format(epoch=without.epoch, count=len(rest.replicas), majority=rest.majority))
            return without
        return self._grow(doors, without, rest, old)

    def _base(self, doors: Doors) -> Manifest:
        """Return the manifest that has the old replica: the present one, or the one before when that step is taken."""
        current = doors.epochs.current()
        before = doors.epochs.past(current.epoch - 1)
        if before is not None and self.replica in self.directory.removed(before, current):
            return before
        group_with(self._fleet(current), self.replica)
        if before is not None:
            self._check_finished(doors, before, current)
        if doors.epochs.past(current.epoch + 1) is None and doors.report(self.replica) is not None:
            raise ConfigError(
                f"replica {self.replica} is running",
                "Stop it for good before it is replaced; it will not come back as it is",
            )
        return current

    def _check_finished(self, doors: Doors, before: Manifest, current: Manifest) -> None:
        """Refuse while another replica is out: it could not come back any more. A sealed fleet's is out for good."""
        sizes = [len(group.replicas) for group in self._fleet(before).groups]
        is_smaller = any(
            len(group.replicas) < size for group, size in zip(self._fleet(current).groups, sizes, strict=True)
        )
        is_sealed = self._fleet(current).custody is Custody.SEALED
        if is_smaller and not (is_sealed and doors.epochs.certificate_files(current.epoch)):
            raise ConfigError("the replacement of another replica is under way", ONE_AT_A_TIME)

    def _without(self, doors: Doors, base: Manifest, fleet: Fleet) -> Manifest:
        found = doors.epochs.past(base.epoch + 1)
        if found is None:
            doors.check_not_ahead(base)
            found = without_replica(base, fleet.fleet, self.replica, issued_at=self.now)
            doors.epochs.record(base)
            doors.epochs.record(found)
        if self.replica not in self.directory.removed(base, found):
            raise ConfigError("the replacement of another replica is under way", ONE_AT_A_TIME)
        self.say(f"epoch {found.epoch}: replica {self.replica} is no member")
        return found

    def _grow(self, doors: Doors, without: Manifest, rest: Group, old: Replica) -> Manifest:
        grown = doors.epochs.past(without.epoch + 1) or self._list(doors, without, rest, old)
        group = self._fleet(grown).groups[rest.group]
        member = self._listed(grown, group, old)
        self.say(f"epoch {grown.epoch}: replica {self.replica} is a member again, incarnation {member.incarnation}")
        complete_evidence(self.directory, grown, self.say)
        with _told_too(self._if_dead()):
            begin_anew(self.directory, self._fleet(grown), rest.group, member, grown)
        self.say(f"the token of replica {self.replica} has anchored an empty store of incarnation {member.incarnation}")
        doors.bring(rest, grown, need=group.majority)
        self.directory.exchange_manifest(grown)
        return grown

    def _list(self, doors: Doors, without: Manifest, rest: Group, old: Replica) -> Manifest:
        """Issue the manifest that lists the successor, once its token was seen to live.

        No replica that runs is in that epoch: `Doors.bring` has found each in the epoch before.
        """
        fleet, root = self._fleet(without), self.directory.root
        member = same_member(old) if self.is_same_token else fresh_member(root, fleet, old, rest, say=self.say)
        evidence = None if self.is_same_token else evidence_of(self.directory, without, rest.group, member)
        with _told_too("If it died, leave out --same-token" if self.is_same_token else self._if_dead()):
            check_token(root, fleet, member)
        grown = with_replica(without, fleet.fleet, rest.group, member, issued_at=self.now, evidence=evidence)
        doors.epochs.record(grown)
        return grown

    def _listed(self, grown: Manifest, group: Group, old: Replica) -> Replica:
        """Return the successor as its epoch lists it. ConfigError when the command was begun for another token."""
        member = group.find(self.replica)
        if (member == same_member(old)) != self.is_same_token:
            raise ConfigError(
                f"epoch {grown.epoch} was issued for another token of replica {self.replica}",
                f"Run the command as it was begun: with --same-token, or without. {self._if_dead()}",
            )
        return member

    def _if_dead(self) -> str:
        again = f"hsm-vault fleet replace-replica {self.directory.root} --replica {self.replica} --new-token-died"
        return f"If the new token died, or is gone for good: {again}"

    def _fleet(self, manifest: Manifest) -> Fleet:
        return self.directory.fleet(manifest)


@contextmanager
def _told_too(more: str) -> Iterator[None]:
    """Add to what is wrong with the successor's token, or with its files, how one goes on without it."""
    try:
        yield
    except (TokenError, ConfigError) as error:
        raise type(error)(error.what, f"{error.todo}. {more}" if error.todo else more) from error
