"""Where a ceremony stands, in words: which steps are done, and what each token is left with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hsm_app.ceremony.script import Deed, Script, Step
from hsm_app.operator.ceremonies.journal import Journal

# What a token is after a deed was done, and what it may be when the deed was interrupted.
_AFTER = {
    Deed.INITIALISE: ("initialised, without keys", "is half initialised: with or without a user PIN"),
    Deed.REPLICA_KEYS: ("has its own keys, and no root", "may hold keys whose public halves nobody knows"),
    Deed.CARRY: ("has its root", "may hold a transport key, a TRUSTED object on the token that gave, or its root"),
    Deed.SEAL: ("sealed", "may be sealed already"),
    Deed.INVENTORY: ("listed, and holds nothing else", "is as before"),
    Deed.ERASE: ("erased", "may be erased in part"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """`tokens` says of each token, by label, what it is. `next_step` is None when all are done."""

    done: int
    of: int
    next_step: Step | None
    tokens: Mapping[str, str]
    exceptions: int
    is_ended: bool


def standing(script: Script, journal: Journal) -> Standing:
    """Return where the ceremony of this script stands by its journal."""
    left = [step for step in script.steps if journal.result(step.id) is None]
    return Standing(
        done=len(script.steps) - len(left),
        of=len(script.steps),
        next_step=left[0] if left else None,
        tokens={script.plan.label(each.replica): _token(script, journal, each.replica) for each in script.plan.tokens},
        exceptions=len(journal.exceptions()),
        is_ended=journal.is_ended,
    )


def _token(script: Script, journal: Journal, replica: int) -> str:
    said = "not touched by this ceremony"
    for step in script.steps:
        if step.replica != replica or step.deed not in _AFTER:
            continue
        after, interrupted = _AFTER[step.deed]
        if journal.result(step.id) is not None:
            said = f"{said}; {after}" if step.deed is Deed.INVENTORY else after
        elif step.id in journal.interrupted:
            said = f"{said}; then {step.id} was interrupted: it {interrupted}"
    return said
