"""Deeds on a fleet that exists, held against its manifest before anything happens to a file or a token."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import cast

import pytest

from hsm_app.ceremony.plan import parse_plan
from hsm_app.ceremony.script import Deed, Step
from hsm_app.errors import ConfigError
from hsm_app.fleet.manifest import Custody, Fleet, FleetState
from hsm_app.operator.ceremonies.hall import Hall
from hsm_app.operator.ceremonies.upkeep_deeds import UpkeepDeeds
from tests.ceremony.plans import plan_text
from tests.fleet.example import example_fleet

PLAN = parse_plan(plan_text().encode())  # of a sealed fleet-1
LISTED = replace(example_fleet(), state=FleetState.RECOVER_ONLY, custody=Custody.SEALED)


@dataclass
class Directory:
    """A fleet's directory, as far as the deeds look before they do anything."""

    entry: Fleet

    @property
    def epochs(self) -> Directory:
        return self

    def current(self) -> None:
        return None

    def fleet(self, _manifest: None) -> Fleet:
        return self.entry


@dataclass
class OneFleet:
    entry: Fleet
    plan: object = PLAN

    def fleet(self) -> Directory:
        return Directory(self.entry)


@pytest.mark.parametrize("deed", [Deed.RETIRE_TOKEN, Deed.LEFT])
@pytest.mark.parametrize(
    "other", [{"fleet": "fleet-2"}, {"fleet": "fleet-1", "custody": Custody.MAINTAINED}], ids=["fleet", "custody"]
)
def test_a_plan_of_another_fleet_or_custody_does_nothing(deed: Deed, other: dict[str, object]) -> None:
    """A maintained fleet is destroyed by its custodians: no plan that calls it sealed goes round them."""
    does = UpkeepDeeds(cast(Hall, OneFleet(replace(LISTED, **other)))).deeds()[deed]
    with pytest.raises(ConfigError, match="the plan is of the sealed fleet fleet-1, and the directory of"):
        does(Step(id="a-step", title="", roles="all", replica=1))


def test_a_plan_of_this_fleet_goes_on() -> None:
    does = UpkeepDeeds(cast(Hall, OneFleet(replace(LISTED, fleet="fleet-1")))).deeds()[Deed.LEFT]
    assert does(Step(id="a-step", title="", roles="all")).results == {"state": "recover-only"}
