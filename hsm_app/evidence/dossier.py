"""The files of one deployment's evidence, each read when a check first needs it. Nothing in them is trusted.

| file | what it is |
|---|---|
| `plan.toml`, `script.md` | what was agreed on before the ceremony |
| `transcript.jsonl`, `transcript.sig` | what was recorded, and the first token's signature of it (ECDSA P-256, DER) |
| `custody.json` | commitments to the custodians' shares |
| `testimonies/N.json` with `N.json.sig`, or `N.dsse.json` | what participant N of the plan signed |
| `tokens/N.json`, `attestations/N/*.pem` | what token N held, and what its maker vouches for |
| `fleet.json` | the fleet's entry in the manifest, before it named the evidence |
| `software.json` | what ran |
| `statement.dsse.json` | the statement over all files above |
| `manifest.json`, `bundle.json` | what was published with it; the manifest names the statement |
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from functools import cached_property

from hsm_app.ceremony.custody import Custody, parse_custody
from hsm_app.ceremony.plan import Person, Plan, parse_plan
from hsm_app.ceremony.transcript import Entry, EntryKind, parse_transcript
from hsm_app.errors import LogError
from hsm_app.evidence.participants import CeremonyRecord, Testimony, verify_envelope, verify_ssh
from hsm_app.evidence.software import Software, parse_software
from hsm_app.evidence.statement import STATEMENT, Statement, read_envelope
from hsm_app.evidence.token_record import TokenRecord, parse_token_record
from hsm_app.fleet.manifest import Fleet, Replica
from hsm_app.fleet.manifest_json import parse_fleet
from hsm_app.fleet.role_keys import KeyAlgorithm, RoleKey

PLAN, SCRIPT, TRANSCRIPT, SIGNATURE = "plan.toml", "script.md", "transcript.jsonl", "transcript.sig"
CUSTODY, FLEET, SOFTWARE, MANIFEST, BUNDLE = (
    "custody.json", "fleet.json", "software.json", "manifest.json", "bundle.json",
)  # fmt: skip
BESIDE = frozenset({STATEMENT, MANIFEST, BUNDLE})  # what the statement does not name
NEEDED = (PLAN, SCRIPT, TRANSCRIPT, SIGNATURE, CUSTODY, FLEET, SOFTWARE)
STEP_HEADING = re.compile(rb"^## [0-9]+\. .*  \(([a-z0-9-]+); [^()]*\)$", re.MULTILINE)


class Dossier:
    """Each member raises LogError or ConfigError when its file is missing or does not read."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self.files = files

    def file(self, path: str) -> bytes:
        if path not in self.files:
            raise LogError("artifact", f"{path} is missing", "Get the whole evidence again")
        return self.files[path]

    def sha256(self, path: str) -> str:
        return hashlib.sha256(self.file(path)).hexdigest()

    @cached_property
    def statement(self) -> Statement:
        """As it says itself; who signed it is a check of its own."""
        return read_envelope(self.file(STATEMENT))

    @cached_property
    def plan(self) -> Plan:
        return parse_plan(self.file(PLAN))

    @cached_property
    def steps(self) -> list[str]:
        """The ids of the script's steps, off its headings."""
        return [found.decode() for found in STEP_HEADING.findall(self.file(SCRIPT))]

    @cached_property
    def entries(self) -> tuple[Entry, ...]:
        return parse_transcript(self.file(TRANSCRIPT))

    @property
    def begin(self) -> Mapping[str, object]:
        return self.entries[0].body

    def done(self, step: str) -> Mapping[str, object]:
        """Return what a step yielded. LogError when the transcript does not have it."""
        for entry in self.entries:
            if entry.kind is EntryKind.DONE and entry.step == step:
                return entry.body
        raise LogError("transcript-chain", f"the transcript has no step {step} that was done")

    @cached_property
    def custody(self) -> Custody:
        return parse_custody(self.file(CUSTODY))

    @cached_property
    def fleet(self) -> Fleet:
        return parse_fleet(self.file(FLEET))

    @property
    def replicas(self) -> tuple[Replica, ...]:
        return tuple(replica for group in self.fleet.groups for replica in group.replicas)

    @property
    def identity(self) -> RoleKey:
        """The first token's replica-identity."""
        return RoleKey(KeyAlgorithm.ES256, self.replicas[0].identity_public)

    @cached_property
    def software(self) -> Software:
        return parse_software(self.file(SOFTWARE))

    def token(self, replica: int) -> TokenRecord:
        record = parse_token_record(self.file(f"tokens/{replica}.json"))
        if record.replica != replica:
            raise LogError("key-attributes", f"tokens/{replica}.json is of token {record.replica}")
        return record

    @property
    def record(self) -> CeremonyRecord:
        """What testimonies have to be about."""
        return CeremonyRecord(
            hashlib.sha256(self.file(SCRIPT)).digest(), hashlib.sha256(self.file(TRANSCRIPT)).digest()
        )

    def testimony(self, number: int, person: Person) -> Testimony | None:
        """Return what participant `number` of the plan signed, None when there is nothing. LogError when it is bad."""
        document = f"testimonies/{number}.json"
        if (envelope := self.files.get(f"testimonies/{number}.dsse.json")) is not None:
            return verify_envelope(envelope.removesuffix(b"\n"), person, self.record)
        if document not in self.files:
            return None
        return verify_ssh(self.file(document), self.file(f"{document}.sig"), person, self.record)

    def testimonies(self) -> dict[Person, Testimony | None]:
        return {person: self.testimony(number, person) for number, person in enumerate(self.plan.people, 1)}
