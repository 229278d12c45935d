"""The token that a replacement brings in dies before the replacement is finished: how the fleet goes on.

| where the replacement is | and so |
|---|---|
| no manifest lists the token | it is set aside; the same incarnation gets another one |
| an epoch lists it, whoever has entered that | the epoch is finished without it; then it is replaced like any other |

VAULT-MEMBERSHIP-ISSUED-STAYS: an epoch that was issued is never taken back. Some replicas may have entered it, its
manifest may stand in a public log, and the token may not be as dead as people think. With another manifest of the same
epoch, some replicas and the token that came back could be a majority of the one, while the others and the newest token
are one of the other: `tests/fleet/test_membership_model.py` loses a charge so. Finished, the epoch has one member that
is silent. A group of odd size has the same majority with it as without it, so nobody waits for it; one of even size
takes one replica more, which has to run first. What follows are the steps that replace any dead replica, and the
argument is theirs (`fleet.membership`). Whether people were right about the token decides nothing: if it was anchored
it may start, as the member that it is; if not, it does not start.

Each run does one of the two and no more, so running it again by mistake does not give up a living token; and one that
can still sign is refused.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hsm_app.durable import owning
from hsm_app.errors import ConfigError, QuorumError, VaultError
from hsm_app.fleet.manifest import Group, Manifest, Replica
from hsm_app.fleet.membership_manifests import group_with
from hsm_app.operator.fleet_directory import FleetDirectory
from hsm_app.operator.replace_anchor import check_token
from hsm_app.operator.replace_epochs import Doors
from hsm_app.operator.replace_evidence import complete_evidence
from hsm_app.operator.replace_token import discard_member, made_member

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class NewTokenDied:
    """The number of the replica whose new token died, of the fleet that the directory is of."""

    directory: FleetDirectory
    replica: int
    say: Say

    def run(self) -> Manifest:
        """Set the token aside, or finish the epoch that lists it; return the manifest that clients need now.

        ConfigError when no new token of this replica is under way, or it lives. QuorumError, and nothing has changed,
        while too few of the others run to serve in the epoch. StoreError while another process works on the fleet.
        """
        with owning(self.directory.root):
            doors = Doors(directory=self.directory, say=self.say)
            before, without = self._under_way(doors)
            group = group_with(self.directory.fleet(before), self.replica)
            grown = doors.epochs.past(without.epoch + 1)
            rest = self.directory.fleet(without).groups[group.group]
            if grown is None:
                self._set_aside(doors, rest, group.find(self.replica))
                return without
            self._finish(doors, rest, grown)
            return grown

    def _under_way(self, doors: Doors) -> tuple[Manifest, Manifest]:
        """Return the manifest before the present one, which removed the replica, and the present one."""
        current = doors.epochs.current()
        before = doors.epochs.past(current.epoch - 1)
        if before is None or self.replica not in self.directory.removed(before, current):
            raise ConfigError(
                f"epoch {current.epoch} does not wait for a new token of replica {self.replica}",
                "Leave out --new-token-died: a member that died is replaced like any other",
            )
        return before, current

    def _set_aside(self, doors: Doors, rest: Group, old: Replica) -> None:
        root = self.directory.root
        self._check_dead(doors, made_member(root, old))
        discard_member(root, old, rest)
        self.say(f"the new token of replica {self.replica} was set aside; no epoch lists it")

    def _finish(self, doors: Doors, rest: Group, grown: Manifest) -> None:
        group = self.directory.fleet(grown).groups[rest.group]
        self._check_dead(doors, group.find(self.replica))
        there = [member for member in rest.replicas if doors.report(member.replica) is not None]
        if len(there) < group.majority:
            raise QuorumError(
                f"{len(there)} replicas run, and epoch {grown.epoch} serves with {group.majority}",
                "Start the replicas that are away, then run the same command again; nothing was changed",
            )
        complete_evidence(self.directory, grown, self.say)
        doors.bring(rest, grown, need=group.majority)
        self.directory.exchange_manifest(grown)
        self.say(f"epoch {grown.epoch} is complete; replica {self.replica}, which it lists, is a member that died")

    def _check_dead(self, doors: Doors, member: Replica) -> None:
        """ConfigError when the new token runs a replica, or can still sign."""
        is_there = doors.report(self.replica) is not None
        if not is_there:
            try:
                check_token(self.directory.root, self.directory.fleet(doors.epochs.current()), member)
            except VaultError:
                return
        raise ConfigError(
            f"the new token of replica {self.replica} lives" + (", and its replica runs" if is_there else ""),
            "Run the command without --new-token-died. If it cannot be used all the same, take it away first",
        )
