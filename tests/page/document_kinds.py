"""Every kind of document that page and audit both read: the program's parser, the page's, and cases for both."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from hsm_app.ceremony.custody import parse_custody
from hsm_app.ceremony.plan import parse_plan
from hsm_app.ceremony.transcript import parse_transcript
from hsm_app.errors import ConfigError, LogError
from hsm_app.evidence.dossier import CUSTODY, FLEET, MANIFEST, PLAN, SOFTWARE, TRANSCRIPT
from hsm_app.evidence.participants import parse_testimony
from hsm_app.evidence.software import parse_software
from hsm_app.evidence.statement import STATEMENT, read_envelope
from hsm_app.evidence.token_record import parse_token_record
from hsm_app.fleet.manifest_json import parse_fleet, parse_manifest
from hsm_app.fleet.root_of_trust import parse_root_of_trust
from tests.evidence.deployment import Files
from tests.fleet.trust import root_of_trust
from tests.page.ceremony_documents import statement_cases, testimony_cases, transcript_cases
from tests.page.fleet_documents import NO_TIMES, fleet_edges, manifest_edges, software_cases, token_edges
from tests.page.malformed import Edges, of_json
from tests.page.plan_documents import plan_cases

KIB = 1024
TOKEN, TESTIMONY = "tokens/1.json", "testimonies/1.json"
CUSTODY_EDGES: Edges = {
    ("identifier",): (0, 2**15 - 1, 2**15),
    ("threshold",): (2, 3, 4),
    ("shares", 0, "custodian"): ("Dan",),
}

ROOT_EDGES: Edges = {
    ("maximum_cosignature_age_seconds",): (60, 59, 366 * 86400, 366 * 86400 + 1),
    ("expires_at",): NO_TIMES,
    ("auditors", "threshold"): (2,),
    ("policy", 0): ("log", "#" + "x" * 499, "#" + "x" * 500),
}


@dataclass(frozen=True)
class Kind:
    """`reader` is the page's parser by its name, `cases` are documents by what is wrong with them, if anything is."""

    reader: str
    parse: Callable[[bytes], object]
    cases: Mapping[str, bytes]

    def outcome(self, name: str) -> str:
        """Return what the program's parser comes to."""
        try:
            self.parse(self.cases[name])
        except (ConfigError, LogError):
            return "Refused"
        return "reads"


def kinds(files: Files) -> dict[str, Kind]:
    """Return every kind by the path of a document of it, made from a deployment's files."""
    fleet, manifest, token = (json.loads(files[path]) for path in (FLEET, MANIFEST, TOKEN))
    return {
        FLEET: Kind("fleet", parse_fleet, of_json(files[FLEET], 16 * KIB, fleet_edges(fleet))),
        MANIFEST: Kind("manifest", parse_manifest, of_json(files[MANIFEST], 16 * KIB, manifest_edges(manifest))),
        CUSTODY: Kind("custody", parse_custody, of_json(files[CUSTODY], 16 * KIB, CUSTODY_EDGES)),
        SOFTWARE: Kind("software", parse_software, software_cases()),
        TOKEN: Kind("token", parse_token_record, of_json(files[TOKEN], 64 * KIB, token_edges(token))),
        STATEMENT: Kind("statement", read_envelope, statement_cases(read_envelope(files[STATEMENT]).raw)),
        TRANSCRIPT: Kind("transcript", parse_transcript, transcript_cases()),
        TESTIMONY: Kind("testimony", parse_testimony, testimony_cases(files[TESTIMONY])),
        "root-of-trust.json": Kind("root", parse_root_of_trust, of_json(root_of_trust().raw, 16 * KIB, ROOT_EDGES)),
        PLAN: Kind("plan", parse_plan, plan_cases(files[PLAN])),
    }
