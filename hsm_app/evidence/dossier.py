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

Evidence of a token that was replaced has the same files, of the new token only; where it says "first token", it is the
new one. What it does not show again is in the evidence before it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from typing import TypeVar

from hsm_app.ceremony.custody import Custody, parse_custody
from hsm_app.ceremony.plan import CeremonyName, Person, Plan, parse_plan
from hsm_app.ceremony.transcript import Entry, EntryKind, parse_transcript
from hsm_app.errors import ConfigError, LogError
from hsm_app.evidence.participants import CeremonyRecord, Testimony, check_own_keys, verify_envelope, verify_ssh
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
DIRECTORIES = ("testimonies", "tokens", "attestations")
STEP_HEADING = re.compile(r"## [0-9]+\. .*  \(([a-z0-9-]+); [^()]*\)")
TO_CONFIRM = "- [ ] "
T = TypeVar("T")


@contextmanager
def naming(path: str) -> Iterator[None]:
    """Let a failure say which file it is about."""
    try:
        yield
    except LogError as error:
        raise LogError(error.check, f"{path}: {error.what}", error.todo) from None
    except ConfigError as error:
        raise ConfigError(f"{path}: {error.what}", error.todo) from None


class Dossier:
    """Each member raises LogError or ConfigError when its file is missing or does not read.

    `before` is what somebody gave as the evidence before this one; that it is, is a check (`audit_successor`).
    """

    def __init__(self, files: Mapping[str, bytes], before: Dossier | None = None) -> None:
        self.files, self.before = files, before

    def file(self, path: str) -> bytes:
        if path not in self.files:
            raise LogError("artifact", f"{path} is missing", "Get the whole evidence again")
        return self.files[path]

    def read(self, path: str, parse: Callable[[bytes], T]) -> T:
        content = self.file(path)
        with naming(path):
            return parse(content)

    def sha256(self, path: str) -> str:
        return hashlib.sha256(self.file(path)).hexdigest()

    @cached_property
    def statement(self) -> Statement:
        """As it says itself; who signed it is a check of its own."""
        return self.read(STATEMENT, read_envelope)

    @cached_property
    def plan(self) -> Plan:
        return self.read(PLAN, parse_plan)

    @cached_property
    def steps(self) -> list[tuple[str, list[str]]]:
        """The script's steps: the id off the heading, and what people confirm in it."""
        steps: list[tuple[str, list[str]]] = []
        for line in self.file(SCRIPT).decode(errors="replace").split("\n"):
            if heading := STEP_HEADING.fullmatch(line):
                steps.append((heading[1], []))
            elif line.startswith(TO_CONFIRM) and steps:
                steps[-1][1].append(line.removeprefix(TO_CONFIRM))
        return steps

    @cached_property
    def entries(self) -> tuple[Entry, ...]:
        return self.read(TRANSCRIPT, parse_transcript)

    @property
    def begin(self) -> Mapping[str, object]:
        return self.entries[0].body

    def done(self, step: str) -> Mapping[str, object]:
        """Return what a step yielded. LogError when the transcript does not have it."""
        for entry in self.entries:
            if entry.kind is EntryKind.DONE and entry.step == step:
                return entry.body
        raise LogError("transcript-chain", f"{TRANSCRIPT} has no step {step} that was done")

    @cached_property
    def custody(self) -> Custody:
        return self.read(CUSTODY, parse_custody)

    @cached_property
    def fleet(self) -> Fleet:
        return self.read(FLEET, parse_fleet)

    @property
    def replicas(self) -> tuple[Replica, ...]:
        return tuple(replica for group in self.fleet.groups for replica in group.replicas)

    @property
    def is_replacement(self) -> bool:
        """Whether one token was replaced, in a fleet that was there before."""
        return self.plan.ceremony is CeremonyName.REPLACE_TOKEN

    @property
    def made(self) -> tuple[Replica, ...]:
        """The replicas whose tokens the ceremony made: all of a new fleet, one where a token was replaced."""
        if not self.is_replacement:
            return self.replicas
        made = tuple(replica for replica in self.replicas if replica.replica == self.plan.replica)
        if not made:
            raise LogError("key-binding", f"{FLEET} has no replica {self.plan.replica}, whose token was replaced")
        return made

    @property
    def signing_token(self) -> str:
        """Whose signature is asked for, for people."""
        return "new token" if self.is_replacement else "first token"

    @property
    def identity(self) -> RoleKey:
        """The replica-identity of the first token, or of the new one."""
        return RoleKey(KeyAlgorithm.ES256, self.made[0].identity_public)

    @cached_property
    def software(self) -> Software:
        return self.read(SOFTWARE, parse_software)

    def token(self, replica: int) -> TokenRecord:
        record = self.read(f"tokens/{replica}.json", parse_token_record)
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
        document, signature, envelope = _testimony_paths(number)
        by_ssh = document in self.files or signature in self.files
        if envelope in self.files:
            if by_ssh:  # or an objection could hide behind an agreement
                raise LogError("testimony", f"{person.name} signed twice: {document} and {envelope}")
            with naming(envelope):
                return verify_envelope(self.files[envelope].removesuffix(b"\n"), person, self.record)
        if not by_ssh:
            return None
        testimony, signed = self.file(document), self.file(signature)
        with naming(document):
            return verify_ssh(testimony, signed, person, self.record)

    def testimonies(self) -> dict[Person, Testimony | None]:
        """Return what each participant signed. LogError for one of somebody who is none, or by another's key."""
        people = list(enumerate(self.plan.people, 1))
        self.only("testimonies", (path for number, _ in people for path in _testimony_paths(number)))
        said = {person: self.testimony(number, person) for number, person in people}
        with naming(PLAN):
            check_own_keys(person for person, testimony in said.items() if testimony is not None)
        return said

    def only(self, directory: str, expected: Iterable[str]) -> None:
        """LogError when a directory holds a file that nobody would look at."""
        if strange := sorted({path for path in self.files if path.startswith(f"{directory}/")}.difference(expected)):
            raise LogError("artifact", f"{strange[0]} is of nobody and nothing in the plan")


def _testimony_paths(number: int) -> tuple[str, str, str]:
    return f"testimonies/{number}.json", f"testimonies/{number}.json.sig", f"testimonies/{number}.dsse.json"
