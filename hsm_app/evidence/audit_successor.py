"""What evidence has to keep of the evidence before it: a token was replaced, and all else of the fleet is as it was.

Such evidence shows one new token. For all else it stands on the evidence before it, which its statement names by its
digest; so without that evidence the checks that need it are NOT-PROVEN, and with another one they fail. The evidence
before is audited by the same checks, for itself (`audit.audit_chain`).

A replica that came back with the token it had (`--same-token`) has its keys, one incarnation later, and no evidence of
its own: no key is new. Where more than one incarnation lies between two evidences, another token may have been there
for a while, with the fleet's root in it; nothing here can tell, and the check says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from hsm_app.ceremony.plan import Person
from hsm_app.errors import LogError
from hsm_app.evidence.beliefs import NotProven
from hsm_app.evidence.dossier import CUSTODY, FLEET, MANIFEST, TRANSCRIPT, Dossier, naming
from hsm_app.evidence.participants import key_of
from hsm_app.evidence.statement import STATEMENT, Statement
from hsm_app.fleet.manifest import Fleet, Manifest, Replica
from hsm_app.fleet.manifest_json import parse_manifest
from hsm_app.fleet.publication import check_fleet_goes_on as check_goes_on

BINDING, THRESHOLD = "key-binding", "custodian-threshold"


def check_predecessor(dossier: Dossier, statement: Statement) -> None:
    """LogError ("signatures") unless the statement names one before it where a token was replaced, and only there.

    It has to be the statement of the evidence that was given as the one before, when one was given.
    """
    check, previous = "signatures", statement.previous
    if dossier.is_replacement != (previous is not None):
        raise LogError(check, f"{STATEMENT} names the statement before it where a token was replaced, and only there")
    if dossier.before is None:
        return
    if previous is None:
        raise LogError(check, "a fleet begins with this evidence: give none before it, and the newest first")
    given = dossier.before.statement.digest
    if previous != given:
        raise LogError(
            check,
            f"the evidence that was given as the one before is another: its statement has SHA-256 {given.hex()}, and "
            f"{STATEMENT} names {previous.hex()}",
        )


def check_fleet_goes_on(dossier: Dossier) -> str:
    """The fleet is that of the evidence before, but for the keys and the incarnation of one replica.

    Returns the sentence of the PASS. LogError ("key-binding", "delta"), NotProven.
    """
    _check_incarnation(dossier)
    before = _predecessor(dossier)
    with naming(FLEET):
        if dossier.fleet.fleet != before.fleet.fleet or _numbers(dossier.fleet) != _numbers(before.fleet):
            raise LogError(BINDING, "it has another name or other replicas than in the evidence before")
        check_goes_on(before.fleet, dossier.fleet)
        _check_members(dossier, before)
    check_no_gap(before.replicas, dossier.fleet)
    number, others = dossier.plan.replica, len(dossier.replicas) - 1
    return f"replica {number} is new; {others} replicas and the fleet's four keys are those of the evidence before"


def check_shares(dossier: Dossier) -> None:
    """LogError ("custodian-threshold") unless a threshold of custodians, and nobody else, gave shares."""
    plan, gave = dossier.plan, dossier.done("shares").get("custodians")
    givers = set(gave) if isinstance(gave, list) and all(isinstance(name, str) for name in gave) else set()
    if not givers <= {person.name for person in plan.custodians} or len(givers) < plan.threshold:
        raise LogError(THRESHOLD, f"{TRANSCRIPT} does not show that {plan.threshold} custodians gave their shares")


def check_custodians_go_on(dossier: Dossier, agreeing: Sequence[Person]) -> None:
    """The custodians are those of the evidence before, and enough of them agree with the keys that they had.

    LogError ("custodian-threshold"), NotProven.
    """
    before = _predecessor(dossier)
    if dossier.file(CUSTODY) != before.file(CUSTODY):
        raise LogError(THRESHOLD, f"{CUSTODY} is not that of the evidence before")
    had = {person.name: key_of(person) for person in before.plan.custodians}
    known = [person.name for person in agreeing if had.get(person.name) == key_of(person)]
    if len(known) < dossier.plan.threshold:
        raise NotProven(
            f"{len(agreeing)} custodians agree, and {len(known)} of them with the key of the evidence before; ask the "
            "others whether the new one is theirs"
        )


def check_manifest_goes_on(dossier: Dossier, published: Manifest) -> None:
    """LogError ("manifest") unless the manifest is later than that of the evidence before, where there is one."""
    if not dossier.is_replacement or dossier.before is None or MANIFEST not in dossier.before.files:
        return
    before = dossier.before.read(MANIFEST, parse_manifest)
    if published.namespace != before.namespace or published.epoch <= before.epoch:
        raise LogError("manifest", f"{MANIFEST} is not later than that of the evidence before, or of another namespace")


def _predecessor(dossier: Dossier) -> Dossier:
    """Return the evidence before. LogError when another was given, NotProven when none was."""
    check_predecessor(dossier, dossier.statement)
    if dossier.before is None:
        previous = dossier.statement.previous or b""
        raise NotProven(f"give the evidence before it too (--before); its statement has SHA-256 {previous.hex()}")
    return dossier.before


def _check_incarnation(dossier: Dossier) -> None:
    """The ceremony set one incarnation aside, made the next, and took the root from a member that stays."""
    number, new = dossier.plan.replica, dossier.made[0]
    told = [dossier.done(step).get("incarnation") for step in ("set-aside", "member")]
    if told != [new.incarnation - 1, new.incarnation]:
        raise LogError(BINDING, f"incarnation {new.incarnation} of replica {number} in {FLEET} is not the ceremony's")
    giver = dossier.done(f"carry-{number}").get("from")
    if giver not in [replica.replica for replica in dossier.replicas if replica.replica != number]:
        raise LogError(BINDING, f"{TRANSCRIPT} does not show that the root came from a replica that stays")


def _check_members(dossier: Dossier, before: Dossier) -> None:
    """Keys that were are as they were, the new ones were nobody's, and no incarnation goes back."""
    was = {replica.replica: replica for replica in before.replicas}
    known = {key for replica in before.replicas for key in _keys(replica)}
    for replica in dossier.replicas:
        number, old = replica.replica, was[replica.replica]
        is_new = number == dossier.plan.replica
        if is_new and known & set(_keys(replica)):
            raise LogError(BINDING, f"replica {number} has a key that the evidence before knows already")
        if not is_new and _keys(replica) != _keys(old):
            raise LogError(BINDING, f"the keys of replica {number} are not those of the evidence before")
        if replica.incarnation < old.incarnation + is_new:
            raise LogError(BINDING, f"replica {number} was incarnation {old.incarnation}, and cannot be this one")


def check_no_gap(before: Iterable[Replica], fleet: Fleet) -> None:
    """NotProven when a replica of the fleet is later than the next incarnation of what it was before."""
    was = {replica.replica: replica.incarnation for replica in before}
    gaps = [
        f"replica {replica.replica} went from incarnation {was[replica.replica]} to {replica.incarnation}"
        for group in fleet.groups
        for replica in group.replicas
        if replica.incarnation > was[replica.replica] + 1
    ]
    if gaps:
        raise NotProven(f"{'; '.join(gaps)}: no evidence here shows which token was there in between")


def _keys(replica: Replica) -> tuple[bytes, bytes]:
    return replica.identity_public, replica.link_public


def _numbers(fleet: Fleet) -> list[tuple[int, list[int]]]:
    return [(group.group, [int(replica.replica) for replica in group.replicas]) for group in fleet.groups]
