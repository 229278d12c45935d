"""What a client demands of the fleet that is to keep its key, whatever the signatures say.

Three claims are told apart: who keeps the keys, what enforces the code, how fresh the anchors are. A production policy
refuses a fleet below its minimum on any of them; a development policy takes any fleet, and says so on each use.
"""

from __future__ import annotations

from dataclasses import dataclass

from hsm_app.errors import ConfigError
from hsm_app.fleet.manifest import Assurance, AssuranceLevel, Fleet

AXES = ("key_custody", "code_enforcement", "anchor_freshness")


@dataclass(frozen=True, slots=True)
class ClientPolicy:
    """`minimum` None: development, where everything is accepted and said."""

    minimum: Assurance | None

    def check(self, fleet: Fleet) -> str:
        """Return what a person is told on each use, "" for nothing. ConfigError for a fleet below the minimum."""
        if self.minimum is None:
            return f"development policy: fleet {fleet.fleet} is taken as it is ({_said(fleet.assurance)})"
        for axis in AXES:
            has, wants = getattr(fleet.assurance, axis), getattr(self.minimum, axis)
            if has < wants:
                raise ConfigError(
                    f"the {axis.replace('_', ' ')} of fleet {fleet.fleet} is {_name(has)}; this device demands "
                    f"{_name(wants)}",
                    'Use another fleet; `policy = "development"` is for trying things out',
                )
        return ""


DEVELOPMENT = ClientPolicy(None)
PRODUCTION = ClientPolicy(
    Assurance(
        key_custody=AssuranceLevel.VENDOR_ROOTED,
        code_enforcement=AssuranceLevel.OPERATOR_SIGNED,
        anchor_freshness=AssuranceLevel.OPERATOR_SIGNED,
    )
)
NAMED = {"production": PRODUCTION, "development": DEVELOPMENT}


def policy_named(name: str) -> ClientPolicy:
    """Return the policy of that name. ConfigError for another one."""
    if name not in NAMED:
        raise ConfigError(f"there is no policy {name!r}", f"Write {' or '.join(NAMED)}")
    return NAMED[name]


def _said(assurance: Assurance) -> str:
    return ", ".join(f"{axis.replace('_', ' ')}: {_name(getattr(assurance, axis))}" for axis in AXES)


def _name(level: AssuranceLevel) -> str:
    return level.name.lower().replace("_", "-")
