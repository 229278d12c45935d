"""A ceremony without tokens, people or time: what its transcript will say, from the same script and the same player.

Every question gets the script's answer, every deed does nothing, every line has the same time. So the transcript of a
dry run is a function of the plan alone, and a change of a ceremony is a change of it that a reviewer can read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from hsm_app.ceremony.catalogue import script_of
from hsm_app.ceremony.document import digest
from hsm_app.ceremony.plan import parse_plan
from hsm_app.ceremony.script import DOES, Deed, Script, Step
from hsm_app.ceremony.transcript import SCHEMA
from hsm_app.errors import ConfigError
from hsm_app.operator.ceremonies.journal import Journal
from hsm_app.operator.ceremonies.play import Does, Outcome, Play

KIND = "dry-run"
MOMENT = 946_684_800  # 2000-01-01T00:00:00Z


class _Prompter:
    """Answers as the script expects, and shows nothing."""

    def __init__(self, script: Script) -> None:
        self._answers = {f"{each.asks}: ": each.answer for step in script.steps for each in step.confirmations}

    def open_step(self, number: int, of: int, step: str, title: str, roles: str) -> None:
        """Nobody watches."""

    def say(self, text: str) -> None:
        """Nobody watches."""

    def ask(self, prompt: str) -> str:
        return self._answers[prompt]

    def show_share(self, custodian: str, words: Sequence[str]) -> None:
        raise ConfigError("a dry run has no shares")

    def ask_share(self, custodian: str) -> str:
        raise ConfigError("a dry run has no shares")

    def wait(self, text: str) -> None:
        """Nobody watches."""


def dry_run(plan_bytes: bytes, transcript: Path) -> None:
    """Write the transcript of a dry run to a new file. ConfigError for a plan that does not hold."""
    plan = parse_plan(plan_bytes)
    script = script_of(plan)
    begin = {
        "schema": SCHEMA,
        "ceremony": plan.ceremony.value,
        "kind": KIND,
        "fleet": plan.fleet,
        "custody": plan.custody.value,
        "script_sha256": digest(script).hex(),
    }
    journal = Journal.create(transcript, lambda: MOMENT, begin)
    Play(script, journal, _Prompter(script)).run(_pretended())


def _pretended() -> Mapping[Deed, Does]:
    """Return deeds that only write down what they stand for."""

    def pretend(step: Step) -> Outcome:
        return Outcome(results={"deed": step.deed.value, "replica": step.replica, "would": DOES[step.deed]})

    return {deed: pretend for deed in Deed if deed is not Deed.NONE}
