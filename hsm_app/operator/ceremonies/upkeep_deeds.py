"""The deeds on a fleet that exists: its token is replaced, or the fleet is destroyed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from hsm_app.ceremony.script import Deed, Step
from hsm_app.durable import replace_file
from hsm_app.errors import ConfigError, TokenError
from hsm_app.fleet.manifest import Fleet, FleetState, Replica
from hsm_app.operator.ceremonies.hall import Hall
from hsm_app.operator.ceremonies.play import Does, Outcome
from hsm_app.operator.replace_token import KEYS, kept_settings, retired_directory, set_aside, write_keys


class UpkeepDeeds:
    """The deeds on the fleet of one hall."""

    def __init__(self, hall: Hall) -> None:
        self._hall = hall

    def deeds(self) -> Mapping[Deed, Does]:
        return {
            Deed.RETIRE_TOKEN: self.retire,
            Deed.MEMBER: self.write_member,
            Deed.LEFT: self.check_left,
            Deed.ERASE: self.erase,
        }

    def retire(self, step: Step) -> Outcome:
        """Move the files of the replica that is replaced aside; done before, it changes nothing.

        ConfigError when the next epoch names the token that is there.
        """
        self._check_planned()
        self._hall.fleet().check_settled(step.replica)
        old, place = self._listed(step.replica), self._hall.place
        retired = retired_directory(place.home, old)
        if place.files(step.replica).directory.exists() or not retired.exists():
            set_aside(place.files(step.replica).directory, retired)
        says = f"The files of replica {step.replica}, incarnation {old.incarnation}, were moved to {retired.name}."
        return Outcome(results={"incarnation": old.incarnation}, says=(says,))

    def write_member(self, step: Step) -> Outcome:
        """Write the successor's entry, and the old settings in its place, for `fleet replace-replica`."""
        hall, number = self._hall, step.replica
        old, files, made = self._listed(number), hall.place.files(number), hall.result(f"keys-{number}")
        member = replace(
            old,
            incarnation=old.incarnation + 1,
            identity_public=bytes.fromhex(made["identity_public"]),
            link_public=bytes.fromhex(made["link_public"]),
        )
        replace_file(files.settings, kept_settings(files))
        write_keys(files.directory / KEYS, member)
        says = f"when the evidence is published: hsm-vault fleet replace-replica {hall.place.home} --replica {number}"
        return Outcome(results={"incarnation": member.incarnation}, says=(says,))

    def check_left(self, _: Step) -> Outcome:
        """Refuse to destroy a fleet that people still put records into."""
        state = self._check_planned().state
        if state is FleetState.ACTIVE:
            raise ConfigError(
                f"fleet {self._hall.plan.fleet} is active: people put records into it",
                "Make a new fleet first, and let devices move their records (ceremony new-fleet)",
            )
        return Outcome(results={"state": state.value}, says=(f"The manifest says of the fleet: {state}.",))

    def erase(self, step: Step) -> Outcome:
        """Destroy every object of a token. TokenError when one is left."""
        left = self._hall.token(step.replica).erase()
        if left:
            raise TokenError(f"{left} objects are left in the token", "Reset it with its maker's tool")
        return Outcome(results={"objects": 0}, says=("The token was asked for all that it holds: there is nothing.",))

    def _check_planned(self) -> Fleet:
        """Return the fleet as its manifest lists it. ConfigError when the plan is of another one, or another custody.

        The script goes by the plan: where a sealed fleet is destroyed, no custodian is asked for a share.
        """
        opened, plan = self._hall.fleet(), self._hall.plan
        listed = opened.fleet(opened.epochs.current())
        if (listed.fleet, listed.custody) != (plan.fleet, plan.custody):
            raise ConfigError(
                f"the plan is of the {plan.custody} fleet {plan.fleet}, and the directory of the {listed.custody} "
                f"fleet {listed.fleet}",
                "Correct the plan, and announce plan and script anew",
            )
        return listed

    def _listed(self, replica: int) -> Replica:
        return self._hall.fleet().last_listed(replica)[1]
