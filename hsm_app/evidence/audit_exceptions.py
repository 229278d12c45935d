"""The check of what went otherwise than the script: exceptions, objections, interruptions, and whether all are told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

from hsm_app.ceremony.plan import Kind
from hsm_app.ceremony.transcript import Entry, EntryKind
from hsm_app.errors import LogError
from hsm_app.evidence.beliefs import Beliefs, NotProven
from hsm_app.evidence.dossier import TRANSCRIPT, Dossier

SHOWN = 300  # characters of a reason
AFTER_ANOTHER_ANSWER = (EntryKind.EXCEPTION, EntryKind.PAUSED, EntryKind.RESUMED)


def exceptions(dossier: Dossier, _: Beliefs) -> str:
    """No exception sheet, no objection, no interruption, no rehearsal; each that there is, is named.

    LogError where the transcript is silent about one: no program that goes by the script leaves such lines.
    """
    check_told(dossier.entries)
    found = [
        f"step {entry.step}: {str(entry.body.get('what'))[:SHOWN]} ({str(entry.body.get('reason'))[:SHOWN]})"
        for entry in dossier.entries
        if entry.kind is EntryKind.EXCEPTION
    ]
    found += [
        f"{person.name} ({person.role}) objects: {said.objection[:SHOWN]}"
        for person, said in dossier.testimonies().items()
        if said is not None and said.objection is not None
    ]
    breaks = sum(entry.kind is EntryKind.RESUMED for entry in dossier.entries)
    if breaks:
        found.append(f"the ceremony was interrupted {breaks} times")
    if dossier.begin.get("kind") == Kind.REHEARSAL:
        found.append("it was a rehearsal, on throw-away tokens: nothing of it is for real use")
    if found:
        raise NotProven("; ".join(found))
    return "none"


def fits(asked: str, answer: str) -> bool:
    """Say whether it is the answer that a question of a script names itself, at its end."""
    return asked.endswith((f": type {answer}", f"({answer})"))


def are_texts(body: Mapping[str, object]) -> bool:
    """Say whether question and answer of a record are text: null is no answer, whatever a script asks for."""
    return all(isinstance(body.get(name), str) for name in ("asked", "answer"))


def check_told(entries: Sequence[Entry]) -> None:
    """LogError ("exceptions") where another answer than the script's, or a step left undone, is not told as that."""
    under_way = ""
    for before, entry in pairwise(entries):
        _check_next(before, entry.kind)
        if entry.kind is EntryKind.STARTED and under_way:
            raise _untold(entry, f"step {under_way} is not done, and nothing was resumed")
        if entry.kind is EntryKind.DONE and under_way != entry.step:
            raise _untold(entry, "what is done was not under way")
        if entry.kind is EntryKind.STARTED:
            under_way = entry.step
        elif entry.kind in (EntryKind.DONE, EntryKind.RESUMED):
            under_way = ""


def _check_next(entry: Entry, following: EntryKind) -> None:
    is_answer = entry.kind is EntryKind.CONFIRMED
    is_right = is_answer and are_texts(entry.body) and fits(entry.body["asked"], entry.body["answer"])
    if is_answer and not is_right and following not in AFTER_ANOTHER_ANSWER:
        raise _untold(entry, "the answer is not the script's, and no exception follows")
    if entry.kind is EntryKind.PAUSED and following is not EntryKind.RESUMED:
        raise _untold(entry, "after this pause nobody resumed the ceremony")


def _untold(entry: Entry, what: str) -> LogError:
    return LogError("exceptions", f"{TRANSCRIPT}: line {entry.n + 1}: {what}")
