"""Which script belongs to which ceremony."""

from __future__ import annotations

from hsm_app.ceremony.genesis import genesis
from hsm_app.ceremony.plan import CeremonyName, Plan
from hsm_app.ceremony.script import Script
from hsm_app.ceremony.upkeep import destroy_fleet, replace_token, rotate_keys

SCRIPTS = {
    CeremonyName.GENESIS: genesis,
    CeremonyName.NEW_FLEET: genesis,
    CeremonyName.REPLACE_TOKEN: replace_token,
    CeremonyName.ROTATE_KEYS: rotate_keys,
    CeremonyName.DESTROY_FLEET: destroy_fleet,
}


def script_of(plan: Plan) -> Script:
    """Return the script of a plan's ceremony."""
    return SCRIPTS[plan.ceremony](plan)
