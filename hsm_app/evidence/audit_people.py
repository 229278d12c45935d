"""The checks of the ceremony itself: script, transcript, signatures, custodians."""

from __future__ import annotations

import hashlib

from hsm_app.ceremony.plan import Kind, Role
from hsm_app.ceremony.transcript import SCHEMA, EntryKind
from hsm_app.errors import LogError
from hsm_app.evidence.audit_exceptions import SHOWN, are_texts, fits
from hsm_app.evidence.audit_successor import THRESHOLD, check_custodians_go_on, check_predecessor, check_shares
from hsm_app.evidence.beliefs import Beliefs, NotProven
from hsm_app.evidence.dossier import (
    BESIDE,
    CUSTODY,
    DIRECTORIES,
    NEEDED,
    PLAN,
    SCRIPT,
    SIGNATURE,
    TRANSCRIPT,
    Dossier,
    naming,
)  # fmt: skip
from hsm_app.evidence.statement import STATEMENT, verify_envelope


def script_digest(dossier: Dossier, _: Beliefs) -> str:
    """The transcript begins with the digests of plan and script; its steps and answers are the script's."""
    check, begin, plan = "script-digest", dossier.begin, dossier.plan
    for path, name in ((SCRIPT, "script_sha256"), (PLAN, "plan_sha256")):
        if begin.get(name) != dossier.sha256(path):
            raise LogError(check, f"{path} is not the one that the transcript begins with")
    agreed = {"fleet": plan.fleet, "custody": plan.custody, "ceremony": plan.ceremony, "kind": plan.kind}
    if other := [name for name, value in agreed.items() if begin.get(name) != value]:
        raise LogError(check, f"{TRANSCRIPT} has another {other[0]} than {PLAN}")
    done = [entry.step for entry in dossier.entries if entry.kind is EntryKind.DONE]
    if done != [step for step, _ in dossier.steps]:
        raise LogError(check, f"the steps that were done in {TRANSCRIPT} are not those of {SCRIPT}, in its order")
    answers = {
        (entry.step, entry.body["asked"]): entry.body["answer"]
        for entry in dossier.entries
        if entry.kind is EntryKind.CONFIRMED and are_texts(entry.body)
    }
    for step, asked in ((step, asked) for step, questions in dossier.steps for asked in questions):
        if not fits(asked, answers.get((step, asked), "")):
            raise LogError(check, f"{TRANSCRIPT} has not the answer of the script, step {step}, to: {asked[:SHOWN]}")
    return f"SHA-256 {dossier.sha256(SCRIPT)}; {len(done)} steps"


def transcript_chain(dossier: Dossier, _: Beliefs) -> str:
    """Every line has the hash of the one before, the last is the end, and it was no dry run."""
    last = dossier.entries[-1]
    if last.kind is not EntryKind.END:
        raise LogError("transcript-chain", f"{TRANSCRIPT} has no end: it was cut off, or the ceremony is not over")
    if dossier.begin.get("schema") != SCHEMA or dossier.begin.get("kind") not in list(Kind):
        raise LogError("transcript-chain", f"{TRANSCRIPT} is of a {str(dossier.begin.get('kind'))[:20]}")
    return f"{len(dossier.entries)} lines"


def signatures(dossier: Dossier, _: Beliefs) -> str:
    """The first token signed transcript and statement, the statement names every file, participants signed theirs.

    Where a token was replaced it is the new one, and the statement names the one before it.
    """
    check = "signatures"
    if not dossier.identity.holds(dossier.file(TRANSCRIPT), dossier.file(SIGNATURE)):
        raise LogError(check, f"{SIGNATURE} is not the {dossier.signing_token}'s signature of {TRANSCRIPT}")
    sealed = dossier.file(STATEMENT)
    with naming(STATEMENT):
        statement = verify_envelope(sealed, dossier.identity, dossier.signing_token)
    check_predecessor(dossier, statement)
    if (statement.fleet, statement.ceremony) != (dossier.fleet.fleet, dossier.plan.ceremony):
        raise LogError(check, f"{STATEMENT} is of fleet {statement.fleet}, {statement.ceremony}")
    for path, digest in statement.files.items():
        if hashlib.sha256(dossier.file(path)).digest() != digest:
            raise LogError(check, f"{path} is not the file that the statement names")
    if strange := sorted(set(dossier.files) - set(statement.files) - BESIDE):
        raise LogError(check, f"{strange[0]} is not named by {STATEMENT}: nobody signed it")
    if missing := [path for path in NEEDED if path not in statement.files]:
        raise LogError(check, f"{STATEMENT} does not name {missing[0]}")
    if odd := [path for path in statement.files if path not in NEEDED and path.split("/")[0] not in DIRECTORIES]:
        raise LogError(check, f"{odd[0]} is no part of evidence: nobody would look at it")
    silent = [person.name for person, said in dossier.testimonies().items() if said is None]
    if silent:
        raise NotProven(f"all signatures that are there hold; {', '.join(silent)} did not sign")
    return f"{len(statement.files)} files, {len(dossier.plan.people)} participants"


def custodian_threshold(dossier: Dossier, _: Beliefs) -> str:
    """The commitments are those of the ceremony, and a threshold of custodians agrees.

    Where a token was replaced, the custodians are those of the evidence before.
    """
    check_commitments(dossier)
    plan = dossier.plan
    agree = [
        person
        for person, said in dossier.testimonies().items()
        if person.role is Role.CUSTODIAN and said is not None and said.objection is None
    ]
    said = f"{len(agree)} of {len(plan.custodians)} custodians agree"
    if len(agree) < plan.threshold:
        raise LogError(THRESHOLD, f"{said}, and {plan.threshold} are needed")
    if dossier.is_replacement:
        check_custodians_go_on(dossier, agree)
    return f"{said}, {plan.threshold} are needed"


def check_commitments(dossier: Dossier) -> None:
    """LogError ("custodian-threshold") unless the commitments are the plan's and the ceremony's, whoever has signed."""
    plan, custody = dossier.plan, dossier.custody
    if dossier.is_replacement:
        check_shares(dossier)
    elif dossier.done("custody").get("custody_sha256") != dossier.sha256(CUSTODY):
        raise LogError(THRESHOLD, f"{CUSTODY} is not the one of the ceremony")
    names = [person.name for person in plan.custodians]
    if (custody.fleet, custody.threshold) != (plan.fleet, plan.threshold) or [
        each.custodian for each in custody.shares
    ] != names:
        raise LogError(THRESHOLD, f"{CUSTODY} is of other custodians, another threshold or another fleet than the plan")
