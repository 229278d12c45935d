"""Audits a deployment from its evidence alone: a verdict for each check of `checks.CHECKS`.

A check returns the sentence of its PASS, raises NotProven where the evidence cannot tell, and LogError or ConfigError
where it does not hold. A file that is missing or does not read is a FAIL of every check that needs it; what the
auditing person did not bring (a wheel, a root of trust, a maker's root, the evidence before a replacement) is
NOT-PROVEN.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from hsm_app.errors import ConfigError, LogError
from hsm_app.evidence import audit_exceptions, audit_fleet, audit_people
from hsm_app.evidence.beliefs import Beliefs, NotProven
from hsm_app.evidence.checks import CHECKS
from hsm_app.evidence.dossier import Dossier
from hsm_app.evidence.verdict import Outcome, Verdict, Verdicts, complete

_LOOKS: Mapping[str, Callable[[Dossier, Beliefs], str]] = {
    "script-digest": audit_people.script_digest,
    "transcript-chain": audit_people.transcript_chain,
    "signatures": audit_people.signatures,
    "custodian-threshold": audit_people.custodian_threshold,
    "key-attributes": audit_fleet.key_attributes,
    "key-binding": audit_fleet.key_binding,
    "software-digest": audit_fleet.software_digest,
    "attestation-chain": audit_fleet.attestation_chain,
    "sealed": audit_fleet.sealed,
    "manifest": audit_fleet.manifest,
    "log-inclusion": audit_fleet.log_inclusion,
    "exceptions": audit_exceptions.exceptions,
}


def audit(files: Mapping[str, bytes], beliefs: Beliefs) -> Verdicts:
    """Return a verdict on each check, in their order. `files` are the evidence's, by path. Never raises."""
    return audit_chain([files], beliefs)[0]


def audit_chain(evidence: Sequence[Mapping[str, bytes]], beliefs: Beliefs) -> list[Verdicts]:
    """Return the verdicts on each evidence, the newest first, as given. Never raises.

    Each is looked at with the one after it as the evidence before it; it has to be that, and to go on from it.
    """
    verdicts: list[Verdicts] = []
    before: Dossier | None = None
    for files in reversed(evidence):
        before = Dossier(files, before)
        is_newest = len(verdicts) + 1 == len(evidence)
        verdicts.insert(0, _verdicts(before, beliefs if is_newest else replace(beliefs, manifest=None)))
    return verdicts


def _verdicts(dossier: Dossier, beliefs: Beliefs) -> Verdicts:
    return complete(CHECKS, {name: _verdict(look, dossier, beliefs) for name, look in _LOOKS.items()})


def _verdict(look: Callable[[Dossier, Beliefs], str], dossier: Dossier, beliefs: Beliefs) -> Verdict:
    try:
        return Verdict(Outcome.PASS, look(dossier, beliefs))
    except NotProven as reason:
        return Verdict(Outcome.NOT_PROVEN, _shown(reason.why))
    except (LogError, ConfigError) as error:
        return Verdict(Outcome.FAIL, _shown(error.what))


def _shown(why: str) -> str:
    """Parts of it come from the evidence; on a terminal they must not be able to move the cursor or turn the text."""
    return "".join(sign if sign.isprintable() else "?" for sign in why)
