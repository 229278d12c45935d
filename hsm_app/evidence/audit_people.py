"""The checks of the ceremony itself: script, transcript, signatures, custodians, exceptions."""

from __future__ import annotations

import hashlib

from hsm_app.ceremony.plan import Kind, Role
from hsm_app.ceremony.transcript import EntryKind
from hsm_app.errors import LogError
from hsm_app.evidence.beliefs import Beliefs, NotProven
from hsm_app.evidence.dossier import BESIDE, CUSTODY, NEEDED, PLAN, SCRIPT, SIGNATURE, TRANSCRIPT, Dossier
from hsm_app.evidence.statement import STATEMENT, verify_envelope

SHOWN = 300  # characters of a reason


def script_digest(dossier: Dossier, _: Beliefs) -> str:
    """The transcript begins with the digests of plan and script, and its steps are the script's, in its order."""
    check, begin, plan = "script-digest", dossier.begin, dossier.plan
    for path, name in ((SCRIPT, "script_sha256"), (PLAN, "plan_sha256")):
        if begin.get(name) != dossier.sha256(path):
            raise LogError(check, f"{path} is not the one that the transcript begins with")
    if (begin.get("fleet"), begin.get("custody")) != (plan.fleet, plan.custody.value) or begin.get("ceremony") != (
        plan.ceremony.value
    ):
        raise LogError(check, "the transcript is of another fleet, ceremony or custody than the plan")
    done = [entry.step for entry in dossier.entries if entry.kind is EntryKind.DONE]
    if done != dossier.steps:
        raise LogError(check, "the steps that were done are not those of the script, in its order")
    return f"SHA-256 {dossier.sha256(SCRIPT)}; {len(done)} steps"


def transcript_chain(dossier: Dossier, _: Beliefs) -> str:
    """Every line has the hash of the one before, the last is the end, and it was no dry run."""
    last = dossier.entries[-1]
    if last.kind is not EntryKind.END:
        raise LogError("transcript-chain", "the transcript has no end: it was cut off, or the ceremony is not over")
    if dossier.begin.get("kind") not in {kind.value for kind in Kind}:
        raise LogError("transcript-chain", f"it is a transcript of a {str(dossier.begin.get('kind'))[:20]}")
    return f"{len(dossier.entries)} lines"


def signatures(dossier: Dossier, _: Beliefs) -> str:
    """The first token signed transcript and statement, the statement names every file, participants signed theirs."""
    check = "signatures"
    if not dossier.identity.holds(dossier.file(TRANSCRIPT), dossier.file(SIGNATURE)):
        raise LogError(check, f"{SIGNATURE} is not the first token's signature of {TRANSCRIPT}")
    statement = verify_envelope(dossier.file(STATEMENT), dossier.identity)
    if statement.fleet != dossier.fleet.fleet:
        raise LogError(check, f"the statement is of fleet {statement.fleet}")
    for path, digest in statement.files.items():
        if hashlib.sha256(dossier.file(path)).digest() != digest:
            raise LogError(check, f"{path} is not the file that the statement names")
    if strange := sorted(set(dossier.files) - set(statement.files) - BESIDE):
        raise LogError(check, f"{strange[0]} is not named by the statement")
    if missing := [path for path in NEEDED if path not in statement.files]:
        raise LogError(check, f"the statement does not name {missing[0]}")
    silent = [person.name for person, said in dossier.testimonies().items() if said is None]
    if silent:
        raise NotProven(f"all signatures that are there hold; {', '.join(silent)} did not sign")
    return f"{len(statement.files)} files, {len(dossier.plan.people)} participants"


def custodian_threshold(dossier: Dossier, _: Beliefs) -> str:
    """The commitments are those of the ceremony, and a threshold of custodians agrees."""
    check, plan, custody = "custodian-threshold", dossier.plan, dossier.custody
    if dossier.done("custody").get("custody_sha256") != dossier.sha256(CUSTODY):
        raise LogError(check, f"{CUSTODY} is not the one of the ceremony")
    names = [person.name for person in plan.custodians]
    if (custody.fleet, custody.threshold) != (plan.fleet, plan.threshold) or [
        each.custodian for each in custody.shares
    ] != names:
        raise LogError(check, f"{CUSTODY} is of other custodians, another threshold or another fleet than the plan")
    agree = [
        person.name
        for person, said in dossier.testimonies().items()
        if person.role is Role.CUSTODIAN and said is not None and said.objection is None
    ]
    if len(agree) < plan.threshold:
        raise LogError(check, f"{len(agree)} of {len(names)} custodians agree, and {plan.threshold} are needed")
    return f"{len(agree)} of {len(names)} custodians agree, {plan.threshold} are needed"


def exceptions(dossier: Dossier, _: Beliefs) -> str:
    """No exception sheet, no objection, no interruption, no rehearsal; each that there is, is named."""
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
