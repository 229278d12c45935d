"""Deeds on tokens that fail or were interrupted, with stand-ins for tokens: what is asked of them, and how often."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import cast

import pytest

from hsm_app.ceremony.plan import Plan, parse_plan
from hsm_app.ceremony.script import Step
from hsm_app.errors import TokenError
from hsm_app.operator.ceremonies.hall import Hall
from hsm_app.operator.ceremonies.token_deeds import TokenDeeds
from hsm_app.token.keyspec import ORIGIN, ROOT
from tests.ceremony.plans import plan_text


@dataclass
class StandIn:
    """A token that a ceremony asks for things. `gone` from its first call for a transport key on."""

    dies: bool = False
    is_sealed: bool = False
    gone: bool = False
    calls: list[str] = field(default_factory=list)

    def _asked(self, call: str) -> None:
        self.calls.append(call)
        if self.gone:
            raise TokenError("the process of the token has ended")

    def roots(self) -> dict[str, int]:
        return {ORIGIN: 0, ROOT: 0}

    def end_carry(self) -> None:
        self._asked("end_carry")

    def make_transport_key(self, *, sealed: bool) -> bytes:
        self.gone = self.dies
        self._asked("make_transport_key")
        return b"spki"

    def remove_trusted(self, _pin: str) -> None:
        self._asked("remove_trusted")

    def refuses_officer(self, _pin: str) -> bool:
        self._asked("refuses_officer")
        return self.is_sealed

    def retire_officer(self, _pin: str) -> None:
        self._asked("retire_officer")
        self.is_sealed = True

    def objects(self, *, sealed: bool) -> list[dict[str, object]]:
        return [{"role": "fleet-root", "attributes": {"CKA_EXTRACTABLE": not sealed}}]


@dataclass
class TwoTokens:
    """A hall with a giving and a receiving token. `resumed` says that an earlier run began the step."""

    plan: Plan
    stations: dict[int, StandIn]
    resumed: bool = False

    def token(self, number: int) -> StandIn:
        return self.stations[number]

    def officer_pin(self, _number: int) -> str:
        return "the custodians' PIN"

    def was_interrupted(self, _step: Step) -> bool:
        return self.resumed


def hall(resumed: bool = False, **tokens: StandIn) -> TwoTokens:
    stations = {1: tokens.get("donor", StandIn()), 2: tokens.get("receiver", StandIn())}
    return TwoTokens(parse_plan(plan_text().encode()), stations, resumed)


STEP = Step(id="a-step", title="", roles="all", replica=2)


def test_the_trusted_key_goes_although_the_receiving_token_is_gone() -> None:
    """VAULT-CARRY-ENDS"""
    room = hall(receiver=StandIn(dies=True))
    with pytest.raises(TokenError, match="has ended"):
        TokenDeeds(cast(Hall, room)).carry(STEP)
    assert room.stations[1].calls == ["remove_trusted"]


@pytest.mark.parametrize(
    ("resumed", "was_sealed", "calls"),
    [
        (False, False, ["retire_officer", "refuses_officer"]),
        (True, False, ["refuses_officer", "retire_officer", "refuses_officer"]),
        (True, True, ["refuses_officer"]),
    ],
)
def test_a_sealed_token_is_given_the_refused_pin_once(resumed: bool, was_sealed: bool, calls: list[str]) -> None:
    """VAULT-SEAL-SHOWN"""
    room = hall(resumed, receiver=StandIn(is_sealed=was_sealed))
    outcome = TokenDeeds(cast(Hall, room)).seal(STEP)
    assert outcome.results == {"officer_refused": True, "root_extractable": False}
    assert room.stations[2].calls == calls


def test_a_token_that_still_takes_the_pin_is_not_sealed() -> None:
    """VAULT-SEAL-SHOWN"""
    token = StandIn()
    token.retire_officer = lambda _pin: None  # type: ignore[method-assign]
    with pytest.raises(TokenError, match="still takes"):
        TokenDeeds(cast(Hall, hall(receiver=token))).seal(STEP)
